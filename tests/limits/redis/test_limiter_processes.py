"""Several processes, several limits, one Redis: never above, and a greedy client at most 1.54 % below (R21)."""

import asyncio
import multiprocessing
import time
from bisect import bisect_right
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

import pytest
import redis

from shared.limits.fallback.guarded_limiter import GuardedLimiter
from shared.limits.redis.limiter import open_redis_limiter
from shared.limits.values import Limit
from shared.services import SystemClock
from tests.limits.redis.limiter_world import KNOBS, address, limit

PROCESSES, CLIENTS = 4, 50
LIMIT, WINDOW_MS, WINDOWS = 400, 2_000, 7


def limits(count: int) -> list[Limit]:
    """The tightest first; the others never refuse before it."""
    return [limit(f"limit{place}", LIMIT * (place + 1), WINDOW_MS) for place in range(count)]


def greedy(socket: str, count: int, barrier: Barrier, found: "Queue[list[int]]") -> None:
    """Put into `found` when this process was admitted, in microseconds of Redis' clock."""
    found.put(asyncio.run(all_clients(socket, limits(count), barrier)))


async def all_clients(socket: str, wanted: list[Limit], barrier: Barrier) -> list[int]:
    # A test machine may be slow; what the deadline does has tests of its own.
    limiter = GuardedLimiter(
        open_redis_limiter(address(socket), deadline=20), SystemClock(), workers=PROCESSES, **KNOBS
    )
    stamps: list[int] = []
    await limiter.peek(wanted)
    barrier.wait(60)
    end = time.monotonic() + (WINDOWS + 0.1) * WINDOW_MS / 1000

    async def client() -> None:
        while time.monotonic() < end:
            decision = await limiter.acquire(wanted)
            assert not decision.degraded
            if decision.allowed:
                stamps.append(decision.charged_at)
            await asyncio.sleep(0 if decision.allowed else 0.02)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    await limiter.close()
    return stamps


def worst(stamps: list[int]) -> int:
    """The most that was admitted in any window."""
    return max(place + 1 - bisect_right(stamps, last - WINDOW_MS * 1000) for place, last in enumerate(stamps))


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 6])
@pytest.mark.parametrize("kind", ["valkey", "redis_7"])
def test_200_clients_of_four_processes_get_the_limit(
    request: pytest.FixtureRequest, kind: str, count: int
) -> None:
    socket = request.getfixturevalue(f"{kind}_socket")
    with redis.Redis(**address(socket)) as store:
        store.flushdb()
    context = multiprocessing.get_context("spawn")
    barrier, found = context.Barrier(PROCESSES), context.Queue()
    processes = [
        context.Process(target=greedy, args=(socket, count, barrier, found)) for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    stamps = sorted(stamp for _ in processes for stamp in found.get(timeout=120))
    for process in processes:
        process.join(20)
    # A charge that was lost or made twice would be missing in each of these windows.
    stamps = [stamp for stamp in stamps if stamp < stamps[0] + WINDOWS * WINDOW_MS * 1000]
    share = len(stamps) / (LIMIT * WINDOWS)
    print(f"\n{kind}, {count} limits: worst window {worst(stamps)} of {LIMIT}, admitted {share:.1%}")
    assert worst(stamps) <= LIMIT
    assert share >= 0.98
