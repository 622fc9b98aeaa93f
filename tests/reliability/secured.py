"""A gateway that serves its clients over TLS, and what they need to trust it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.gateway import RunningGateway

ADDRESS = "127.0.0.1"


@contextmanager
def secured(
    folder: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> Iterator[tuple[RunningGateway, Authority]]:
    """A gateway whose certificate, signed by the authority, lies in ``127.0.0.1.pem`` of the folder."""
    authority = Authority(folder)
    authority.server_context(ADDRESS)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    pair = str(folder / f"{ADDRESS}.pem")
    files = {"GATEWAY__SERVER__TLS__CERT": pair, "GATEWAY__SERVER__TLS__KEY": pair}
    with RunningGateway(folder / "data", {**settings, **files}) as gateway:
        yield gateway, authority
