"""The workers of several machines share a limit while Redis is away, as they shared it before."""

import asyncio
from contextlib import AsyncExitStack

import pytest
import redis

from shared.limits.fallback.guarded_limiter import GuardedLimiter
from shared.limits.redis.limiter import open_redis_limiter
from shared.services import SystemClock
from tests.limits.fallback.guarded_world import admitted, at, worker
from tests.limits.redis.limiter_world import KNOBS, limit
from tests.support.valkey_server import Server
from tests.support.wait import until_true

HUNDRED = limit(number=100, window_ms=60_000)


async def test_machines_admit_one_limit_together_without_redis(running: Server) -> None:
    async with AsyncExitStack() as stack:
        fleet = [
            await stack.enter_async_context(worker(running, workers=2, name=f"worker {number}"))
            for number in range(4)
        ]
        await asyncio.gather(*(until_counted(limiter, 4) for limiter in fleet))
        running.kill()
        counts = [await admitted(limiter, HUNDRED, times=150) for limiter in fleet]
        assert counts == [25] * 4, "two machines with two workers each"


async def until_counted(limiter: object, workers: int) -> None:
    """Count at once until so many workers are known."""

    def counted() -> bool:
        limiter._count_from = 0.0  # type: ignore[attr-defined]
        return limiter.workers == workers  # type: ignore[attr-defined, no-any-return]

    await until_true(counted)


async def test_worker_that_ended_does_not_count(running: Server) -> None:
    async with worker(running, name="stays") as limiter:
        async with worker(running, name="ends"):
            await until_counted(limiter, 2)
        await until_counted(limiter, 1)
        with redis.Redis(**at(running)) as store:
            store.zadd("wrk:alive", {"killed": 1.0})
        await until_counted(limiter, 1)


@pytest.mark.parametrize(("workers", "last_count", "share"), [(4, 0, 25), (2, 10, 10), (4, 1, 25)])
async def test_worker_that_starts_without_redis_shares_with_all_workers_that_are_remembered(
    running: Server, workers: int, last_count: int, share: int
) -> None:
    running.kill()
    remote = open_redis_limiter(at(running))
    limiter = GuardedLimiter(
        remote, SystemClock(), workers=workers, last_count=last_count, name="fresh", **KNOBS
    )
    assert await admitted(limiter, HUNDRED, times=150) == share
    await limiter.close()


async def test_full_memory_of_redis_is_seen_and_ends(running: Server) -> None:
    async with worker(running, name="one") as limiter:
        await until_counted(limiter, 1)
        with redis.Redis(**at(running)) as store:
            store.config_set("maxmemory", "1")
            limiter._count_from = 0.0
            await until_true(lambda: limiter.is_alone)
            store.config_set("maxmemory", "0")
            limiter._count_from = 0.0
            await until_true(lambda: not limiter.is_alone)
