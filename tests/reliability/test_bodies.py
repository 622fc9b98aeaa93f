"""Bodies pass through a worker without piling up in it; and R14: what is too large is rejected unread."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.reliability.callers import Caller
from tests.reliability.figures import figure
from tests.reliability.processes import MIB, worker
from tests.reliability.steadiness import steady
from tests.support.gateway import RunningGateway
from tests.support.load_upstream import LoadUpstream

SETTINGS = {
    "GATEWAY__PLUGINS__PATHS": str(Path(__file__).parent / "plugins"),
    "GATEWAY__LIMITS__REQUEST_BODY": "1MB",
}
DOWNLOAD, OFFERED = 300 * MIB, 1024 * MIB
BODY_LIMIT = 1 * MIB


@pytest.fixture
def caller(gateway: RunningGateway, upstream: LoadUpstream) -> Iterator[Caller]:
    """Of a tenant whose responses are held for a second by an async hook."""
    hook = {"name": "slow_hook", "stage": "post_request", "timeout": "5s", "settings": {"seconds": 1.0}}
    tenant = upstream.tenant(gateway, hook)
    with steady(tenant):
        yield Caller.of(tenant)


def connect(caller: Caller) -> socket.socket:
    return socket.create_connection(("127.0.0.1", caller.port), timeout=10)


@contextlib.contextmanager
def growth(gateway: RunningGateway) -> Iterator[list[float]]:
    """MiB that the worker's memory grew by in the block, at its peak."""
    grown: list[float] = []
    one = worker(gateway)
    one.forget_peak()
    before = one.memory()
    yield grown
    grown.append((one.memory("VmHWM") - before) / MIB)


def read_slowly(client: socket.socket, pause: float) -> int:
    """Read to the end, with a pause after each MiB. Returns how many bytes came."""
    count, paused = 0, 0
    while piece := client.recv(1 << 16):
        count += len(piece)
        if count - paused > MIB:
            paused = count
            time.sleep(pause)
    return count


def test_300_mb_for_a_slow_reader_behind_a_slow_hook_take_less_than_20_mb(
    gateway: RunningGateway, caller: Caller
) -> None:
    with growth(gateway) as grown, connect(caller) as client:
        client.sendall(caller.request(f"/v1/bytes/{DOWNLOAD}", "GET", b"", "Connection: close"))
        received = read_slowly(client, 0.02)
    figure("memory", f"300 MB to a slow reader behind a slow hook: {grown[0]:.1f} MB more (promise 20)")
    assert received > DOWNLOAD
    assert grown[0] < 20


def offer(client: socket.socket, begin: bytes, piece: bytes) -> tuple[int, bytes]:
    """Send `begin`, then `piece` up to 1 GiB or until the other side ends. Bytes sent, and the response."""
    sent = 0
    with contextlib.suppress(OSError):
        client.sendall(begin)
        while sent < OFFERED:
            client.sendall(piece)
            sent += len(piece)
    response = b""
    with contextlib.suppress(OSError):
        while more := client.recv(1 << 16):
            response += more
    return sent, response


def post(caller: Caller, framing: str = "Transfer-Encoding: chunked") -> bytes:
    return caller.request("/v1/ok", "POST", b"", framing)


PIECE = bytes(1 << 16)
CHUNK = b"10000\r\n%s\r\n" % PIECE
#: The beginning of a request, what is sent after it over and over, and the status of the response.
OFFERS: dict[str, tuple[Callable[[Caller], bytes], bytes, int]] = {
    "sized": (lambda caller: post(caller, f"Content-Length: {OFFERED}"), PIECE, 413),
    "chunked": (post, CHUNK, 413),
    "crumbs": (post, b"2\r\nab\r\n" * 8192, 413),
    "long target": (lambda _: b"GET /v1/", b"a" * (1 << 16), 414),
    "many headers": (lambda caller: caller.request("/v1/ok")[:-2], b"X-Filler: %s\r\n" % (b"a" * 1000), 431),
    "long header": (lambda caller: caller.request("/v1/ok")[:-2] + b"X-Filler: ", b"a" * (1 << 16), 431),
    "no key": (lambda caller: post(Caller(caller.port, caller.host)), CHUNK, 401),
}


@pytest.mark.parametrize("kind", OFFERS)
def test_an_unwanted_gigabyte_is_rejected_before_it_is_read(
    gateway: RunningGateway, caller: Caller, kind: str
) -> None:
    begin, piece, status = OFFERS[kind]
    with growth(gateway) as grown, connect(caller) as client:
        sent, response = offer(client, begin(caller), piece)
    seen = response[9:12].decode() or "reset"
    figure("R14", f"1 GB offered ({kind}): {seen} after {sent / MIB:.1f} MB, worker +{grown[0]:.1f} MB")
    assert sent < 16 * MIB
    assert grown[0] < 2 * BODY_LIMIT / MIB + 2
    assert seen == str(status)
