"""A gateway that serves its clients over TLS, and the authority that they have to trust."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.gateway import RunningGateway

ADDRESS = "127.0.0.1"


@contextmanager
def secured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], *, is_tls: bool = True
) -> Iterator[tuple[RunningGateway, Authority | None]]:
    """A gateway whose certificate lies in ``127.0.0.1.pem`` of the folder; without `is_tls` it has none."""
    authority = Authority(folder)
    authority.server_context(ADDRESS)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    pair = str(folder / f"{ADDRESS}.pem")
    files = {"GATEWAY__SERVER__TLS__CERT": pair, "GATEWAY__SERVER__TLS__KEY": pair} if is_tls else {}
    with RunningGateway(folder / "data", {**settings, **files}) as gateway:
        yield gateway, authority if is_tls else None
