"""R8: a worker that is killed costs what it had in hand, and nothing else."""

import asyncio
import os
import signal
import time

import uvloop

from tests.reliability.callers import Caller
from tests.reliability.figures import figure
from tests.reliability.loads import Tally, closed_loop, for_seconds
from tests.reliability.processes import MIB, Process, await_standby, supervisor, workers
from tests.reliability.steadiness import assert_clean, assert_closed
from tests.support.gateway import RunningGateway, TenantInUse

WORKERS, CALLERS = 3, 30
SETTINGS = {"GATEWAY__SERVER__WORKERS": str(WORKERS)}
KILLING = 60.0  # seconds
BACK_WITHIN, FINE_AFTER = 2.0, 0.05  # seconds


def kill(one: Process, port: int) -> int:
    """Kill a worker. Returns how many requests it may have had in flight: one a connection."""
    os.kill(one.pid, signal.SIGSTOP)
    count = len(one.connections(port))
    os.kill(one.pid, signal.SIGKILL)
    return count


async def serving(gateway: RunningGateway, count: int = WORKERS) -> list[Process]:
    """The workers, once so many have clients; the load makes them come."""
    while True:
        found = [one for one in workers(gateway) if one.connections(gateway.proxy_port)]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.02)


def test_a_killed_worker_loses_only_its_own_requests_and_is_back_within_2_s(
    gateway: RunningGateway, tenant: TenantInUse
) -> None:
    async def measure() -> tuple[Tally, Tally, int, float]:
        caller, stop = Caller.of(tenant), False
        old, new = Tally(), Tally()
        load = asyncio.ensure_future(closed_loop(caller, "/v1/wait/20", CALLERS, lambda: not stop, old))
        before = await serving(gateway)
        await asyncio.to_thread(await_standby, gateway)
        in_flight, killed = kill(before[0], caller.port), time.monotonic()
        await asyncio.sleep(FINE_AFTER)
        back = asyncio.ensure_future(asyncio.wait_for(serving_anew(before), 20))
        while not back.done():
            # Each of these is a new connection.
            await closed_loop(caller, "/v1/ok", 1, for_seconds(0), new)
            await closed_loop(caller, "/v1/wait/1", 4, for_seconds(0.005), new)
        taken = await back - killed
        stop = True
        await load
        return old, new, in_flight, taken

    async def serving_anew(before: list[Process]) -> float:
        while not set(await serving(gateway)) - set(before):
            await asyncio.sleep(0.02)
        return time.monotonic()

    old, new, in_flight, taken = uvloop.run(measure())
    figure(
        "R8",
        f"worker killed: {len(old.failed)} failed of {in_flight} in flight; back in {taken:.2f} s (promise 2)",
    )
    figure("R8", f"new connections 50 ms after it: {new.statuses[200]} good, {new.errors} errors (promise 0)")
    assert old.errors <= in_flight
    assert new.errors == 0
    assert taken <= BACK_WITHIN
    assert_clean(gateway)


def test_a_minute_of_killing_leaks_nothing_and_fails_only_what_was_in_flight(
    gateway: RunningGateway, tenant: TenantInUse
) -> None:
    """All but one worker are killed over and over; the survivor and the supervisor stay as they were."""

    async def measure() -> tuple[Tally, int, int]:
        caller, in_flight, kills, tally = Caller.of(tenant), 0, 0, Tally()
        going = for_seconds(KILLING)
        load = asyncio.ensure_future(closed_loop(caller, "/v1/wait/20", CALLERS, going, tally))
        while going():
            await asyncio.sleep(0.5)
            victims = [one for one in workers(gateway) if one != survivor]
            if victims and len(victims) + 1 >= WORKERS - 1:
                in_flight += kill(victims[kills % len(victims)], caller.port)
                kills += 1
        await load
        return tally, in_flight, kills

    survivor = workers(gateway)[0]
    uvloop.run(closed_loop(Caller.of(tenant), "/v1/wait/20", 4 * CALLERS, for_seconds(5)))
    watched = [supervisor(gateway), survivor]
    files = {one: len(one.files()) for one in watched}
    memory = [one.memory() for one in watched]
    tally, in_flight, kills = uvloop.run(measure())
    grown = [(one.memory() - before) / MIB for one, before in zip(watched, memory, strict=True)]
    figure(
        "R8",
        f"{kills} kills in {KILLING:.0f} s: {tally.errors} failed of {in_flight} in flight, "
        f"{tally.statuses[200]} good; supervisor {grown[0]:+.1f} MB, survivor {grown[1]:+.1f} MB",
    )
    assert kills >= 10
    assert tally.errors <= in_flight
    assert max(grown) < 3
    assert survivor in workers(gateway)
    assert_closed(files)
    assert_clean(gateway)
