"""A client that reads steadily gets the whole response, however slowly, and however the connection ends."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.callers import Caller
from tests.reliability.figures import figure
from tests.reliability.steadiness import steady
from tests.support.gateway import secured
from tests.support.load_upstream import LoadUpstream

# The kernel takes about 2 MB, and lets a third of that go before it takes more: 3 s at this speed.
SIZE, SPEED, GRACE = 3_000_000, 200_000, 1.0  # bytes, bytes a second, seconds
_PAUSE = threading.Event()  # never set


@pytest.fixture(params=["plain", "TLS"])
def caller(
    request: pytest.FixtureRequest, tmp_path: Path, upstream: LoadUpstream, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Caller]:
    settings = {"GATEWAY__LIMITS__TIMEOUTS__BODY_GRACE": f"{GRACE}s"}
    with secured(tmp_path, monkeypatch, settings, is_tls=request.param == "TLS") as (gateway, authority):
        tenant = upstream.tenant(gateway)
        with steady(tenant):
            yield Caller.of(tenant, authority)


def read_steadily(client: socket.socket) -> int:
    count = 0
    while piece := client.recv(SPEED // 50):
        count += len(piece)
        _PAUSE.wait(len(piece) / SPEED)
    return count


@pytest.mark.parametrize("way", ["keep-alive", "close"])
def test_a_client_that_reads_steadily_gets_the_whole_response(caller: Caller, way: str) -> None:
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    with contextlib.closing(plain):
        plain.connect(("127.0.0.1", caller.port))
        client = caller.tls.wrap_socket(plain, server_hostname="127.0.0.1") if caller.tls else plain
        with client:
            # The second request ends the connection, too.
            client.sendall(caller.request(f"/v1/bytes/{SIZE}", "GET", b"", f"Connection: {way}"))
            if way == "keep-alive":
                client.sendall(caller.request("/v1/ok", "GET", b"", "Connection: close"))
            received = read_steadily(client)
    kind = "TLS" if caller.tls else "plain"
    figure(
        "R16", f"steady reader of {SPEED // 1000} KB/s ({kind}, {way}): {received} of {SIZE} bytes and heads"
    )
    assert received > SIZE
