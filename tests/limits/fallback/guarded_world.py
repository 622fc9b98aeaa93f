"""A worker's limiter on a server of its own that the test may stop, kill and empty."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import redis

from shared.limits.fallback.guarded_limiter import GuardedLimiter
from shared.limits.redis.limiter import DEADLINE, open_redis_limiter
from shared.limits.values import Decision, Limit
from shared.services import SystemClock
from tests.limits.redis import stored_counter
from tests.limits.redis.limiter_world import KNOBS
from tests.support.valkey_server import Server


def at(running: Server) -> dict[str, Any]:
    return {"unix_socket_path": running.socket}


@asynccontextmanager
async def worker(
    running: Server,
    *,
    workers: int = 1,
    deadline: float = DEADLINE,
    probe_every: float = 0.02,
    last_count: int = 0,
    name: str = "",
    now: Callable[[], int] = lambda: 0,
) -> AsyncIterator[GuardedLimiter]:
    """A limiter with its work in the background, connected, until the end of the block."""
    remote = open_redis_limiter(at(running), deadline, now)
    limiter = GuardedLimiter(
        remote,
        SystemClock(),
        workers=workers,
        last_count=last_count,
        name=name,
        probe_every=probe_every,
        **KNOBS,
    )
    limiter.start()
    try:
        async with asyncio.timeout(20):
            await _connected(limiter)
        yield limiter
    finally:
        await limiter.close()


async def _connected(limiter: GuardedLimiter) -> None:
    while (await limiter.peek([])).degraded:
        await asyncio.sleep(0.01)


async def admitted(limiter: GuardedLimiter, *limits: Limit, times: int) -> int:
    """How many of so many requests one after the other are admitted."""
    decisions = [await limiter.acquire(limits) for _ in range(times)]
    return sum(decision.allowed for decision in decisions)


def is_open(limiter: GuardedLimiter) -> bool:
    """True while Redis is only probed."""
    return limiter._breaker.is_open


async def until_open(limiter: GuardedLimiter, *limits: Limit) -> Decision:
    """Ask until Redis is not asked any more; the last decision."""
    async with asyncio.timeout(20):
        while True:
            decision = await limiter.acquire(limits)
            if is_open(limiter):
                return decision


def used(running: Server, limit: Limit) -> int:
    """The units that Redis has counted."""
    with redis.Redis(**at(running)) as store:
        return stored_counter.used(store, limit)


def scripts_run(running: Server) -> int:
    """How many scripts Redis has run."""
    with redis.Redis(**at(running)) as store:
        return int(store.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


def slots(running: Server, limit: Limit) -> int:
    """How many leases Redis knows."""
    with redis.Redis(**at(running)) as store:
        return int(store.zcard(limit.key))
