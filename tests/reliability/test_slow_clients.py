"""R16: 2,000 clients that are as slow as they can be cost other clients nothing, and are cut off."""

import asyncio
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest
import uvloop

from tests.reliability.callers import Caller
from tests.reliability.figures import figure
from tests.reliability.loads import Tally, closed_loop, for_seconds
from tests.reliability.processes import worker
from tests.support.gateway import TenantInUse

SLOW, OTHERS = 2_000, 4
CLOSED_WITHIN, LONGEST = 15.0, 45.0  # seconds: the promise, and a bound of the test
#: The bytes that a client sends first, and then slowly; without a byte to send it reads slowly.
KINDS: dict[str, tuple[Callable[[Caller], bytes], bytes]] = {
    "headers": (lambda caller: caller.request("/v1/ok")[:-2], b"X"),
    "body": (lambda caller: caller.request("/v1/ok", "POST", b"", "Content-Length: 10000"), b"x"),
    "reading": (lambda caller: caller.request("/v1/bytes/4000000"), b""),
    # The worker has handed all over, and waits for the next request.
    "reading what the kernel holds": (lambda caller: caller.request("/v1/bytes/200000"), b""),
    # The bytes that the kernel does not take are the worker's last write before it closes.
    "reading the end": (
        lambda caller: caller.request("/v1/bytes/300000", "GET", b"", "Connection: close"),
        b"",
    ),
}


def connect(stack: ExitStack, caller: Caller, number: int, begin: bytes) -> socket.socket:
    client = stack.enter_context(socket.socket())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.bind((f"127.0.0.{2 + number % 100}", 0))
    client.connect(("127.0.0.1", caller.port))
    client.sendall(begin)
    client.setblocking(False)
    return client


async def drip(clients: list[socket.socket], crumb: bytes) -> None:
    """Each client sends, or reads, a byte a second."""
    while True:
        for client in clients:
            with suppress(OSError):
                client.send(crumb) if crumb else client.recv(1)
        await asyncio.sleep(1)


async def endure(tenant: TenantInUse, begin: bytes, crumb: bytes) -> tuple[Tally, float]:
    """The times of the others, and the seconds for which the worker kept the most patient slow client."""
    caller, one, tally, start = Caller.of(tenant), worker(tenant.gateway), Tally(), time.monotonic()
    seen: dict[str, tuple[float, float]] = {}
    with ExitStack() as stack:
        clients = [connect(stack, caller, number, begin) for number in range(SLOW)]
        theirs = {client.getsockname()[0] for client in clients}
        slow = asyncio.ensure_future(drip(clients, crumb))
        while time.monotonic() - start < LONGEST:
            await closed_loop(caller, "/v1/ok", OTHERS, for_seconds(0.2), tally)
            now = time.monotonic()
            here = {peer for peer in one.connections(caller.port) if address_of(peer) in theirs}
            seen |= {peer: (seen.get(peer, (now, now))[0], now) for peer in here}
            if len(seen) == SLOW and not here:
                break
        slow.cancel()
    assert len(seen) == SLOW, f"Only {len(seen)} were ever served."
    return tally, max(last - first for first, last in seen.values())


def address_of(peer: str) -> str:
    """The address in a row of /proc/net/tcp, which has it in the machine's own order."""
    return socket.inet_ntoa(bytes.fromhex(peer.partition(":")[0])[::-1])


@pytest.mark.parametrize("kind", KINDS)
def test_2000_slow_clients_block_no_other_and_are_closed_within_15_s(
    steady_tenant: TenantInUse, kind: str
) -> None:
    begin, crumb = KINDS[kind]
    caller = Caller.of(steady_tenant)
    tally, closed = uvloop.run(endure(steady_tenant, begin(caller), crumb))
    figure(
        "R16",
        f"{SLOW} slow ({kind}): each closed within {closed:.1f} s (promise 15); others: "
        f"{tally.statuses[200]} good, {tally.errors} errors, p99 {tally.quantile():.0f} ms",
    )
    assert tally.errors == 0
    assert closed <= CLOSED_WITHIN
    assert tally.quantile() < 1000


def slowhttptest() -> str:
    """Debian's program; as root it is installed when it is missing."""
    if shutil.which("slowhttptest") is None:
        try:
            for command in ("update", "install -y slowhttptest"):
                subprocess.run(["apt-get", "-qq", *command.split()], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise AssertionError(
                f"This test needs slowhttptest. On Debian: sudo apt-get install slowhttptest ({error})"
            ) from None
    return "slowhttptest"


MODES = {
    "slow headers": ("-H", "-i", "5", "-x", "24"),
    "slow body": ("-B", "-i", "5", "-s", "8192", "-x", "10"),
    "slow read": ("-X", "-w", "256", "-y", "512", "-n", "2", "-z", "32", "-k", "1"),
}


@pytest.mark.parametrize("mode", MODES)
def test_slowhttptest_leaves_the_service_available(steady_tenant: TenantInUse, mode: str) -> None:
    program, arguments = slowhttptest(), MODES[mode]
    url = f"http://127.0.0.1:{steady_tenant.gateway.proxy_port}/v1/bytes/200000"
    # It has no option for the key, but copies this one unchanged.
    accept = f"*/*\r\nAuthorization: Bearer {steady_tenant.key}"
    done = subprocess.run(
        [program, *arguments, "-m", accept, "-c", "1000", "-r", "500", "-l", "20", "-p", "2", "-u", url],
        capture_output=True,
        text=True,
        timeout=60,
    )
    seen = re.findall(r"service available:\S*\s+\S*?(YES|NO)", done.stdout)
    figure(
        "R16", f"slowhttptest, {mode}, 1,000 connections: available {seen.count('YES')} of {len(seen)} times"
    )
    assert seen
    assert "NO" not in seen, done.stdout[-3000:]
