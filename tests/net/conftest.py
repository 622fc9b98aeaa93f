"""Services and a certificate authority that end with the test."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Authority
from tests.support.upstream import Upstream


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def serve() -> Iterator[Callable[..., Upstream]]:
    """Start services (`Upstream`); they end with the test."""
    with ExitStack() as stack:
        yield lambda *given: stack.enter_context(Upstream(*given))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names that resolve, and to what; all others do not."""
    known: dict[str, list[str]] = {}
    system = socket.getaddrinfo

    def look_up(host: str, port: int, *more: Any, **options: Any) -> object:
        if host in known:
            return [system(address, port, type=socket.SOCK_STREAM)[0] for address in known[host]]
        if host.replace(".", "").isdigit() or ":" in host:
            return system(host, port, *more, **options)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> Iterator[threading.Event]:
    """The resolver of `names`, that responds only once the event is set; addresses it knows at once."""
    released = threading.Event()
    response = socket.getaddrinfo

    def look_up(host: str, *more: Any, **options: Any) -> object:
        if not host.replace(".", "").isdigit():
            released.wait(10)
        return response(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield released
    released.set()
