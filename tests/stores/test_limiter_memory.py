"""What a crowd of identities costs the server, and that nothing of it stays."""

import time
from collections.abc import Iterator

import pytest
import redis

from shared.core.limits import Limit, Quota
from tests.stores.limiter_world import World, requested_world

IDENTITIES = 100_000
WINDOW_MS = 14_000

#: Requests of one identity in its window, each in a bucket of its own, and the bytes that it may cost then:
#: on Valkey, and on Redis 7, whose keys have more around them.
BUDGETS = ((40, {"valkey": 450, "redis_7": 450}), (64, {"valkey": 450, "redis_7": 520}))

#: As the rate limiter names its counters.
PREFIX = "rl:{tenant_abd583cc64ce5937b605fef4}:r:0123456789a:per_ip:"


def counter(here: World, buckets: int) -> Limit:
    """A limit whose counter holds something in so many buckets."""
    used = Limit(f"{PREFIX}{0:011x}", Quota(1_000_000, WINDOW_MS), "rule", "per_ip", "14s", cost=99)
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


@pytest.fixture(params=["valkey", "redis_7"])
def here(request: pytest.FixtureRequest) -> Iterator[World]:
    with requested_world(request) as here:
        yield here


@pytest.mark.slow
@pytest.mark.parametrize(("buckets", "most_bytes"), BUDGETS)
def test_identities_stay_small_and_go_when_their_window_is_over(
    here: World, request: pytest.FixtureRequest, buckets: int, most_bytes: dict[str, int]
) -> None:
    assert here.store is not None
    used = counter(here, buckets)
    before = here.store.info("memory")["used_memory"]
    ttl_ms = here.store.pttl(used.key)
    assert 0 < ttl_ms <= WINDOW_MS * 65 / 64 + 1
    copies(here.store, used.key, ttl_ms)
    each = (here.store.info("memory")["used_memory"] - before) / IDENTITIES
    print(f"\n{each:.0f} bytes an identity with {buckets} buckets in use")
    assert each <= most_bytes[request.node.callspec.params["here"]]
    deadline = time.monotonic() + ttl_ms / 1000 + 10
    while here.store.dbsize():
        assert time.monotonic() < deadline
        time.sleep(0.1)
