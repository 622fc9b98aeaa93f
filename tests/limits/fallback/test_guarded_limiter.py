"""The limiter of a worker: it always decides, and an outage of Redis is neither a wall nor a free refill."""

import asyncio
import signal
from dataclasses import replace

import pytest
import redis

from shared.core.errors import StoreDown
from shared.limits.fallback.guarded_limiter import GuardedLimiter
from shared.limits.values import CLOSED, OPEN, Limit
from tests.limits.fallback.guarded_world import (
    admitted,
    at,
    is_open,
    scripts_run,
    slots,
    until_open,
    used,
    worker,
)
from tests.limits.redis.limiter_world import at_a_time, limit
from tests.support.valkey_server import Server
from tests.support.wait import until_true

HUNDRED = limit(number=100, window_ms=60_000)
# Seconds between two pushes: longer than a test.
NEVER = 60.0


async def test_request_uses_one_redis_command_while_redis_responds(running: Server) -> None:
    async with worker(running) as limiter:
        with redis.Redis(**at(running)) as store:
            store.config_resetstat()
        limits = [HUNDRED, limit("per_ip", 200, 60_000), at_a_time(300, "x")]
        decisions = await asyncio.gather(*(limiter.acquire(limits) for _ in range(50)))
        assert all(decision.allowed and not decision.degraded for decision in decisions)
    with redis.Redis(**at(running)) as store:
        assert store.info("commandstats")["cmdstat_evalsha"]["calls"] == 50


async def test_a_rejected_client_that_keeps_asking_does_not_reach_redis(running: Server) -> None:
    async with worker(running) as limiter:
        assert await admitted(limiter, limit(number=1), times=1) == 1
        with redis.Redis(**at(running)) as store:
            store.config_resetstat()
            assert await admitted(limiter, limit(number=1), times=500) == 0
            assert store.info("commandstats")["cmdstat_evalsha"]["calls"] < 50


async def test_limiter_without_redis_admits_the_rest_and_marks_decisions_degraded(running: Server) -> None:
    async with worker(running) as limiter:
        assert await admitted(limiter, HUNDRED, times=70) == 70
        running.kill()
        last = await until_open(limiter, HUNDRED)
        assert last.degraded
        assert last.allowed
        left = last.states[0].remaining
        # The breaker opens after three calls that fail. Those in the background may be among them.
        assert 100 - 70 - 3 <= left < 100 - 70
        assert await admitted(limiter, HUNDRED, times=100) == left
        assert (await limiter.peek([HUNDRED])).states[0].remaining == 0


async def test_several_workers_have_a_share_each(running: Server) -> None:
    async with worker(running, workers=4) as limiter:
        assert await admitted(limiter, HUNDRED, times=60) == 60
        running.kill()
        assert await admitted(limiter, HUNDRED, times=100) == 10
        assert await admitted(limiter, limit("unheard", 100), times=100) == 25
        assert await admitted(limiter, limit("small", 2), times=100) == 1


async def test_a_closed_limit_decides_nothing_and_an_open_one_has_room(running: Server) -> None:
    closed, opened = replace(HUNDRED, on_error=CLOSED), replace(limit(number=1), on_error=OPEN)
    async with worker(running) as limiter:
        running.kill()
        for _ in range(5):
            with pytest.raises(StoreDown):
                await limiter.acquire([opened, closed])
            with pytest.raises(StoreDown):
                await limiter.peek([closed])
        assert await admitted(limiter, opened, times=20) == 20
        assert await admitted(limiter, opened, limit("local", 2), times=20) == 2


async def test_requests_admitted_without_redis_are_charged_when_redis_is_back(running: Server) -> None:
    async with worker(running) as limiter:
        running.kill()
        left = (await until_open(limiter, HUNDRED)).states[0].remaining
        assert 100 - 3 <= left < 100
        await admitted(limiter, HUNDRED, times=7)
        running.start()
        await until_true(lambda: not is_open(limiter))
        assert used(running, HUNDRED) == 100 - left + 7
        again = await limiter.acquire([HUNDRED])
        assert (again.degraded, again.states[0].remaining) == (False, left - 7 - 1)


async def test_call_with_a_late_reply_opens_no_breaker_and_is_charged_once(running: Server) -> None:
    async with worker(running, probe_every=NEVER) as limiter:
        await limiter.acquire([HUNDRED])
        before = scripts_run(running)
        with redis.Redis(**at(running)) as store:
            store.client_pause(200)
        assert (await limiter.acquire([HUNDRED])).degraded
        assert not is_open(limiter)
        # The charge of the late call is taken back, and that of this worker is pushed.
        await until_true(lambda: scripts_run(running) == before + 2)
        assert used(running, HUNDRED) == 1
        await limiter.tend()
        assert used(running, HUNDRED) == 2


async def test_late_reply_is_taken_back_only_where_it_charged_what_is_pushed(running: Server) -> None:
    opened, small, closed = limit("open", 9), limit("small", 1), replace(limit("closed", 9), on_error=CLOSED)
    opened = replace(opened, on_error=OPEN)
    async with worker(running, probe_every=NEVER) as limiter:
        assert await admitted(limiter, small, times=1) == 1
        before = scripts_run(running)
        running.signal(signal.SIGSTOP)
        calls = [[HUNDRED, opened], [small, HUNDRED], [closed]]
        await asyncio.gather(*(limiter.acquire(limits) for limits in calls), return_exceptions=True)
        running.signal(signal.SIGCONT)
        # The second one was rejected, so it charged nothing.
        await until_true(lambda: scripts_run(running) == before + 3 + 2)
        assert [used(running, each) for each in (HUNDRED, opened, small, closed)] == [0, 1, 1, 0]


async def test_push_with_a_late_reply_is_charged_once(running: Server) -> None:
    async with worker(running, probe_every=NEVER) as limiter:
        await limiter.acquire([HUNDRED])
        before = scripts_run(running)
        running.signal(signal.SIGSTOP)
        assert (await limiter.acquire([HUNDRED])).degraded
        await limiter.tend()
        running.signal(signal.SIGCONT)
        await until_true(lambda: scripts_run(running) == before + 2 + 2)
        assert used(running, HUNDRED) == 1
        await limiter.tend()
        assert used(running, HUNDRED) == 2


async def test_an_error_about_one_key_is_logged_once_and_no_outage_for_the_others(
    running: Server, caplog: pytest.LogCaptureFixture
) -> None:
    poisoned = limit("poisoned", 2)
    with redis.Redis(**at(running)) as store:
        store.lpush(poisoned.key, "something else")
    async with worker(running) as limiter:
        assert await admitted(limiter, poisoned, times=9) == 2
        assert caplog.text.count("Its limits were counted in this process.") == 1
        assert not is_open(limiter)
        assert not (await limiter.acquire([HUNDRED])).degraded


async def test_a_stopped_redis_is_asked_three_times_and_then_only_probed(running: Server) -> None:
    async with worker(running) as limiter:
        running.signal(signal.SIGSTOP)
        loop = asyncio.get_running_loop()
        waits = []
        for _ in range(20):
            started = loop.time()
            assert (await limiter.acquire([HUNDRED])).degraded
            waits.append(loop.time() - started)
        assert sum(wait > 0.04 for wait in waits) == 3
        running.signal(signal.SIGCONT)
        await until_true(lambda: not is_open(limiter))
        assert not (await limiter.acquire([HUNDRED])).degraded


async def test_leases_are_renewed_until_their_release(running: Server) -> None:
    one = at_a_time(1, "one", length_ms=300)
    async with worker(running) as limiter:
        assert (await limiter.acquire([one])).allowed
        ends = set()
        async with asyncio.timeout(20):
            while len(ends) < 5:
                ends.add(end_of(running, one))
                assert not (await limiter.acquire([replace(one, lease="two")])).allowed
                await asyncio.sleep(0.01)
        await limiter.release([one])
        assert (await limiter.acquire([replace(one, lease="two")])).allowed


async def test_slot_released_while_redis_is_away_is_free_after_its_return(running: Server) -> None:
    one, two = at_a_time(2, "one"), at_a_time(2, "two")
    async with worker(running) as limiter:
        await admitted(limiter, one, times=1)
        await admitted(limiter, two, times=1)
        running.signal(signal.SIGSTOP)
        await limiter.release([one])
        await until_open(limiter, HUNDRED)
        assert (await limiter.acquire([at_a_time(2, "three")])).allowed
        assert not (await limiter.acquire([at_a_time(2, "four")])).allowed
        running.signal(signal.SIGCONT)
        await until_true(lambda: not is_open(limiter))
        assert slots(running, one) == 2
        await limiter.release([two, at_a_time(2, "three")])
        await until_true(lambda: slots(running, one) == 0)


@pytest.mark.parametrize("late", [True, False])
async def test_a_slot_taken_by_a_lost_call_is_held_until_its_release(running: Server, late: bool) -> None:
    one = at_a_time(1, "one")
    async with worker(running) as limiter:
        if late:
            running.signal(signal.SIGSTOP)
        else:
            await limiter.release([one])
            running.kill()
        assert (await limiter.acquire([one])).degraded
        if late:
            running.signal(signal.SIGCONT)
        else:
            running.start()
        await until_true(lambda: slots(running, one) == 1)
        for _ in range(3):
            await limiter.tend()
            assert slots(running, one) == 1
        assert not (await limiter.acquire([at_a_time(1, "two")])).allowed
        await limiter.release([one])
        await until_true(lambda: slots(running, one) == 0)


async def test_an_emptied_redis_learns_of_the_places_again(running: Server) -> None:
    one = at_a_time(2, "one", length_ms=300)
    async with worker(running) as limiter:
        await admitted(limiter, one, times=1)
        with redis.Redis(**at(running)) as store:
            store.flushall()
        await until_true(lambda: slots(running, one) == 1)


async def test_a_client_that_goes_away_meanwhile_holds_no_place(running: Server) -> None:
    one = at_a_time(2, "one")
    async with worker(running, deadline=20) as limiter:
        asking = asyncio.ensure_future(limiter.acquire([one]))
        await asyncio.sleep(0)
        asking.cancel()
        assert (await asyncio.wait({asking}))[0]
        assert asking.cancelled()
        await limiter.peek([HUNDRED])
        await until_true(lambda: slots(running, one) == 0)


async def test_refund_reaches_redis_or_the_local_share_that_was_charged(running: Server) -> None:
    async with worker(running) as limiter:
        charged = await limiter.acquire([HUNDRED])
        await limiter.correct([HUNDRED], charged, [-1])
        assert used(running, HUNDRED) == 0
        running.kill()
        await until_open(limiter, HUNDRED)
        alone = await limiter.acquire([HUNDRED])
        before = await remaining(limiter, HUNDRED)
        await limiter.correct([HUNDRED], alone, [-1])
        assert await remaining(limiter, HUNDRED) == before + 1
        running.start()
        await until_true(lambda: not is_open(limiter))
        assert used(running, HUNDRED) == 3
        await limiter.correct([HUNDRED], alone, [-1])
        assert used(running, HUNDRED) == 2


async def test_expired_windows_of_the_local_share_are_swept(running: Server) -> None:
    async with worker(running) as limiter:
        running.kill()
        await until_open(limiter, limit("short", window_ms=100))
        await asyncio.gather(*(limiter.acquire([limit(f"i{n}", window_ms=100)]) for n in range(600)))
        async with asyncio.timeout(20):
            while len(limiter._share):
                await limiter.sweep()
                await asyncio.sleep(0.01)


async def remaining(limiter: GuardedLimiter, wanted: Limit) -> int:
    return (await limiter.peek([wanted])).states[0].remaining


def end_of(running: Server, wanted: Limit) -> float:
    with redis.Redis(**at(running)) as store:
        return float(store.zscore(wanted.key, wanted.lease) or 0)
