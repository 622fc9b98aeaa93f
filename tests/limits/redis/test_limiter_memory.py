"""The memory of the server for a crowd of identities, of which nothing stays."""

import time

import pytest
import redis

from shared.limits.values import Limit, Quota
from tests.limits.redis.limiter_world import World

IDENTITIES = 100_000
WINDOW_MS = 14_000

#: The most bytes of one identity, on Redis 7 too, whose keys have more around them than Valkey's.
MOST_BYTES = 450
#: Buckets of an identity that hold something, and what is charged to each: all 64 make a million a window.
USED = ((1, 1), (40, 99), (64, 99), (64, 15_000))

#: As the rate limiter names its counters.
PREFIX = "rl:{tenant_abd583cc64ce5937b605fef4}:r:0123456789a:per_ip:"


def counter(here: World, buckets: int, cost: int) -> Limit:
    """A limit whose counter holds so much in so many buckets."""
    used = Limit(f"{PREFIX}{0:011x}", Quota(1_000_000, WINDOW_MS), "rule", "per_ip", "14s", cost=cost)
    for _ in range(buckets):
        assert here.acquire(used).allowed
        here.hands.forward(WINDOW_MS / 64)
    return used


def copies(store: redis.Redis, key: str, ttl_ms: int) -> None:
    """As many identities that are used as much."""
    stored = store.dump(key)
    for first in range(0, IDENTITIES, 10_000):
        with store.pipeline(transaction=False) as pipeline:
            for number in range(first, first + 10_000):
                pipeline.restore(f"{PREFIX}{number:011x}", ttl_ms, stored, replace=True)
            pipeline.execute()


@pytest.mark.slow
@pytest.mark.parametrize("here", ["valkey", "redis_7"], indirect=True)
@pytest.mark.parametrize(("buckets", "cost"), USED)
def test_identities_stay_small_and_go_when_their_window_is_over(here: World, buckets: int, cost: int) -> None:
    assert here.store is not None
    used = counter(here, buckets, cost)
    before = here.store.info("memory")["used_memory"]
    ttl_ms = here.store.pttl(used.key)
    assert 0 < ttl_ms <= WINDOW_MS * 65 / 64 + 1
    copies(here.store, used.key, ttl_ms)
    each = (here.store.info("memory")["used_memory"] - before) / IDENTITIES
    print(f"\n{each:.0f} bytes an identity with {cost} in each of {buckets} buckets (promise {MOST_BYTES})")
    assert each <= MOST_BYTES
    deadline = time.monotonic() + ttl_ms / 1000 + 10
    while here.store.dbsize():
        assert time.monotonic() < deadline
        time.sleep(0.1)
