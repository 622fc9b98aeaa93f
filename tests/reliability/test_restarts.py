"""R9: a proxy that ends lets everything under way finish; a rolling restart loses no request."""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import uvloop

from tests.reliability.balancers import Balancer
from tests.reliability.callers import Caller, Line
from tests.reliability.figures import figure
from tests.reliability.loads import Tally, closed_loop
from tests.reliability.steadiness import assert_clean
from tests.support.gateway import RunningGateway, TenantInUse

DRAIN = 6.0  # seconds
SETTINGS = {"GATEWAY__SERVER__WORKERS": "2", "GATEWAY__SERVER__DRAIN_TIMEOUT": f"{DRAIN}s"}
CALLERS, ROUNDS = 40, 2


@pytest.fixture
def second(gateway: RunningGateway) -> Iterator[RunningGateway]:
    """Another proxy on the same store."""
    other = RunningGateway(gateway.folder, gateway.settings)
    other.start_proxy()
    yield other
    other.stop()


def end(gateway: RunningGateway) -> float:
    """Ask the proxy to end. Returns the seconds that it took."""
    start = time.monotonic()
    process = gateway.processes.pop("proxy")
    process.send_signal(signal.SIGTERM)
    assert process.wait(DRAIN + 10) == 0
    return time.monotonic() - start


def restart(gateway: RunningGateway) -> None:
    end(gateway)
    gateway.start_proxy()


def test_a_rolling_restart_under_load_fails_no_request(
    gateway: RunningGateway, second: RunningGateway, tenant: TenantInUse
) -> None:
    async def measure() -> Tally:
        tally, stop = Tally(), False
        async with Balancer(gateway.proxy_port, second.proxy_port) as balancer:
            caller = Caller(balancer.port, tenant.host, tenant.key)
            load = asyncio.ensure_future(closed_loop(caller, "/v1/wait/20", CALLERS, lambda: not stop, tally))
            for one in (gateway, second) * ROUNDS:
                await asyncio.to_thread(restart, one)
                await asyncio.sleep(0.5)
            stop = True
            await load
        return tally

    tally = uvloop.run(measure())
    figure(
        "R9", f"{2 * ROUNDS} restarts in turn: {tally.statuses[200]} good, {tally.errors} failed (promise 0)"
    )
    assert not tally.failed, tally.failed[:5]
    assert tally.errors == 0
    assert_clean(gateway)


def test_a_request_on_an_idle_connection_during_a_shutdown_is_served(
    gateway: RunningGateway, tenant: TenantInUse
) -> None:
    """Clients reuse connections; they cannot know that this one is about to be closed."""

    async def measure() -> list[int]:
        caller, statuses = Caller.of(tenant), []
        lines = [await caller.open() for _ in range(20)]
        for line in lines[:10]:  # the others have not asked for anything yet
            await line.ask(caller.request("/v1/ok"))
        ending = asyncio.ensure_future(asyncio.to_thread(end, gateway))
        await rejected(caller.port)
        for line in lines:
            response = await line.ask(caller.request("/v1/ok"))
            statuses.append(response.status)
            assert line.is_over, "The response did not announce the close."
            line.close()
        await ending
        return statuses

    statuses = uvloop.run(measure())
    gateway.start_proxy()
    figure("R9", f"requests on idle connections just after SIGTERM: {statuses.count(200)} of 20 good")
    assert statuses == [200] * 20
    assert_clean(gateway)


async def rejected(port: int) -> None:
    """Wait until the port is closed."""
    with suppress(ConnectionRefusedError):
        while True:
            line = await Caller(port).open()
            line.close()


async def to_the_end(line: Line) -> tuple[str, float]:
    """How a stream ends, and when."""
    how = "cut"
    with suppress(OSError, asyncio.IncompleteReadError):
        async for _ in line.chunks():
            pass
        how = "whole"
    return how, time.monotonic()


def test_open_streams_get_the_drain_timeout(gateway: RunningGateway, tenant: TenantInUse) -> None:
    """One that ends in time is whole; one that does not is cut at the timeout."""

    async def measure() -> list[tuple[str, float]]:
        lines = [await Caller.of(tenant).stream(path) for path in ("/v1/events/40/100/short", "/v1/hold")]
        ends = [asyncio.ensure_future(to_the_end(line)) for line in lines]
        start = time.monotonic()
        await asyncio.to_thread(end, gateway)
        seen = await asyncio.gather(*ends)
        for line in lines:
            line.close()
        return [(how, at - start) for how, at in seen]

    (short, _), (long, taken) = uvloop.run(measure())
    gateway.start_proxy()
    figure(
        "R9",
        f"SIGTERM: a stream of 4 s ends {short}, an endless one is {long} after {taken:.1f} s (drain {DRAIN})",
    )
    assert (short, long) == ("whole", "cut")
    assert DRAIN - 0.5 <= taken <= DRAIN + 1.5
    assert_clean(gateway)
