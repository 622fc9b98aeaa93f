"""The limiter in Redis alone: keys, a lost script, a server that hangs, several processes."""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from shared.core.errors import StoreDown
from shared.limits.redis.limiter import RedisLimiter, open_redis_limiter
from shared.limits.values import Limit
from tests.limits.redis.limiter_world import address, limit, world
from tests.limits.redis.stored_counter import stored_counter, used


@pytest.fixture
def store(valkey_socket: str) -> Iterator[redis.Redis]:
    with redis.Redis(**address(valkey_socket)) as store:
        store.flushdb()
        yield store


@asynccontextmanager
async def limiter_at(socket: str, deadline: float = 20) -> AsyncIterator[RedisLimiter]:
    """A limiter until the end of the block. A test machine may be slow, so it has time to answer."""
    limiter = open_redis_limiter(address(socket), deadline)
    try:
        yield limiter
    finally:
        await limiter.close()


def admitted(socket: str, *limits: Limit, times: int) -> int:
    """How many of so many requests at once are admitted, by the server's own clock."""

    async def ask() -> int:
        async with limiter_at(socket) as limiter:
            decisions = await asyncio.gather(*(limiter.acquire(limits) for _ in range(times)))
        return sum(decision.allowed for decision in decisions)

    return asyncio.run(ask())


def test_the_clock_is_the_servers(valkey_socket: str, store: redis.Redis) -> None:
    assert admitted(valkey_socket, limit(number=3), times=5) == 3
    seconds, _ = store.time()
    counter = stored_counter(store, limit())
    assert counter
    assert abs(counter.newest * 10_000_000 // 64 / 1e6 - seconds) < 5


async def test_limits_that_requests_share_are_counted_as_those_of_one_request(
    valkey_socket: str, store: redis.Redis
) -> None:
    """Their command is made once. Others with the same key, such as those of a changed rule, have their own."""
    shared, changed = (limit(number=3),), (limit(number=5),)
    async with limiter_at(valkey_socket) as limiter:
        asked = [shared, shared, [*shared], changed, changed, shared]
        decisions = [await limiter.acquire(limits) for limits in asked]
    assert [decision.allowed for decision in decisions] == [True] * 5 + [False]
    assert [decision.states[0].remaining for decision in decisions] == [2, 1, 0, 1, 0, 0]
    assert [decision.states[0].limit.quota.limit for decision in decisions] == [3, 3, 3, 5, 5, 3]


def test_a_counter_goes_away_when_its_window_is_over(valkey_socket: str, store: redis.Redis) -> None:
    admitted(valkey_socket, limit(window_ms=60_000), times=1)
    assert 59_000 < store.pttl(limit(window_ms=60_000).key) <= 61_000


@pytest.mark.parametrize("number", [100, 1_000_000])
def test_a_counter_of_any_limit_stays_small(valkey_socket: str, store: redis.Redis, number: int) -> None:
    with asyncio.Runner() as runner:
        here = world("valkey", runner, address(valkey_socket))
        for _ in range(200):
            assert here.acquire(limit(number=number, cost=number // 100)).allowed
            here.hands.forward(10_000 / 64)
        here.close()
    assert store.memory_usage(limit().key) <= 450


def test_a_crowd_shares_a_connection_with_one_call_each(valkey_socket: str, store: redis.Redis) -> None:
    store.config_resetstat()
    before = store.info("stats")["total_connections_received"]
    limits = [limit(number=500), limit(number=500, scope="gateway"), limit("per_ip", number=500)]
    assert admitted(valkey_socket, *limits, times=300) == 300
    assert store.info("commandstats")["cmdstat_evalsha"]["calls"] == 300
    assert store.info("stats")["total_connections_received"] - before == 1


def test_a_script_that_redis_forgot_is_loaded_again(valkey_socket: str, store: redis.Redis) -> None:
    assert admitted(valkey_socket, limit(number=10), times=4) == 4
    store.script_flush()
    assert admitted(valkey_socket, limit(number=10), times=10) == 6


def test_a_hanging_server_costs_the_deadline_and_mixes_no_replies(
    valkey_socket: str, store: redis.Redis
) -> None:
    one, two = limit("one", number=1), limit("two", number=2)

    async def ask() -> None:
        async with limiter_at(valkey_socket, deadline=0.3) as limiter:
            await limiter.peek([one])
            store.client_pause(60_000, all=False)
            started = asyncio.get_running_loop().time()
            with pytest.raises(StoreDown, match="did not respond in time"):
                await limiter.acquire([one])
            assert asyncio.get_running_loop().time() - started < 3
            store.client_unpause()
            assert (await limiter.acquire([two])).states[0].limit == two
            assert (await limiter.peek([two])).states[0].remaining == 1

    try:
        asyncio.run(ask())
    finally:
        store.client_unpause()


def test_limiter_without_a_server_raises_store_down(tmp_path: Path) -> None:
    with pytest.raises(StoreDown, match="Redis did not respond"):
        admitted(str(tmp_path / "nobody.sock"), limit(), times=1)


def test_an_error_of_the_script_is_no_admission(valkey_socket: str, store: redis.Redis) -> None:
    store.lpush(limit().key, "something else")
    with pytest.raises(StoreDown, match="WRONGTYPE"):
        admitted(valkey_socket, limit(scope="gateway"), limit(), times=1)
    assert store.keys() == [limit().key.encode()]


@pytest.mark.slow
def test_several_processes_never_admit_more_than_the_limit(valkey_socket: str, store: redis.Redis) -> None:
    limits = (limit(number=1_000, window_ms=600_000), limit("per_ip", number=2_000, window_ms=600_000))
    with multiprocessing.get_context("spawn").Pool(4) as processes:
        counts = [processes.apply_async(admitted, (valkey_socket, *limits), {"times": 600}) for _ in range(8)]
        assert sum(count.get(60) for count in counts) == 1_000
    assert used(store, limits[1]) == 1_000
