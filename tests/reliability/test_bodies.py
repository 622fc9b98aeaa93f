"""Bodies pass through a worker without piling up in it; and R14: what is too large is refused unread."""

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
from tests.reliability.upstreams import LoadUpstream
from tests.support.gateway import RunningGateway, TenantInUse

pytestmark = [pytest.mark.slow, pytest.mark.alone]

PLUGINS = Path(__file__).parent / "plugins"
DOWNLOAD, OFFERED = 300 * MIB, 1024 * MIB
BODY_LIMIT = 1 * MIB


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    settings = {"GATEWAY__PLUGINS__PATHS": str(PLUGINS), "GATEWAY__LIMITS__REQUEST_BODY": "1MB"}
    with RunningGateway(tmp_path_factory.mktemp("bodies") / "data", settings) as running:
        yield running


@pytest.fixture
def caller(gateway: RunningGateway, upstream: LoadUpstream) -> Iterator[Caller]:
    tenant = slowed(gateway, upstream)
    tenant.request("GET", "/v1/ok")
    with steady(gateway):
        yield Caller.of(tenant)


def slowed(gateway: RunningGateway, upstream: LoadUpstream) -> TenantInUse:
    """A tenant whose answers wait for a second in an async hook."""
    tenant = gateway.create_tenant()
    hook = {"name": "slow_hook", "stage": "post_request", "timeout": "5s", "settings": {"seconds": 1.0}}
    tenant.create_rule("/v1", upstream.url, plugin_chain=[hook])
    return tenant


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
    """Send `begin`, then `piece` up to 1 GiB or until the other side is through. Bytes sent, and the answer."""
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


def chunked(caller: Caller) -> tuple[bytes, bytes]:
    return caller.request("/v1/ok", "POST", b"", "Transfer-Encoding: chunked"), b"10000\r\n%s\r\n" % bytes(
        1 << 16
    )


def crumbs(caller: Caller) -> tuple[bytes, bytes]:
    return chunked(caller)[0], b"2\r\nab\r\n" * 8192


def sized(caller: Caller) -> tuple[bytes, bytes]:
    return caller.request("/v1/ok", "POST", b"", f"Content-Length: {OFFERED}"), bytes(1 << 16)


def long_target(caller: Caller) -> tuple[bytes, bytes]:
    return b"GET /v1/", b"a" * (1 << 16)


def many_headers(caller: Caller) -> tuple[bytes, bytes]:
    return caller.request("/v1/ok")[:-2], b"X-Filler: %s\r\n" % (b"a" * 1000)


def long_header(caller: Caller) -> tuple[bytes, bytes]:
    return caller.request("/v1/ok")[:-2] + b"X-Filler: ", b"a" * (1 << 16)


def no_key(caller: Caller) -> tuple[bytes, bytes]:
    return chunked(Caller(caller.port, caller.host))


Offer = Callable[[Caller], tuple[bytes, bytes]]
CASES = [
    (sized, 413),
    (chunked, 413),
    (crumbs, 413),
    (long_target, 414),
    (many_headers, 431),
    (long_header, 431),
    (no_key, 401),
]


@pytest.mark.parametrize(("make", "status"), CASES, ids=[make.__name__ for make, _ in CASES])
def test_a_gigabyte_that_nobody_wants_is_refused_before_it_is_read(
    gateway: RunningGateway, caller: Caller, make: Offer, status: int
) -> None:
    with growth(gateway) as grown, connect(caller) as client:
        sent, response = offer(client, *make(caller))
    told = response[9:12].decode() or "reset"
    figure(
        "R14", f"1 GB offered ({make.__name__}): {told} after {sent / MIB:.1f} MB, worker +{grown[0]:.1f} MB"
    )
    assert sent < 16 * MIB
    assert grown[0] < 2 * BODY_LIMIT / MIB + 2
    assert told == str(status)
