"""Limits for tests, by a short name."""

from collections.abc import Iterable
from unittest.mock import create_autospec

from shared.limits.redis.lease_keeper import LeaseKeeper
from shared.limits.redis.limiter import RedisLimiter
from shared.limits.values import CONCURRENT, LOCAL, Limit, LimitState, Quota
from shared.model.config import ApiKey, Rule, Tenant
from shared.model.messages import Exchange, Headers, Request


def window(key: str = "a", number: int = 100, *, cost: int = 1, on_error: str = LOCAL) -> Limit:
    """So many requests in any ten seconds."""
    return Limit(key, Quota(number, 10_000), "rule", "global", "10s", cost, on_error=on_error)


def at_a_time(lease: str, number: int = 10, *, key: str = "s", on_error: str = LOCAL) -> Limit:
    """So many requests at a time."""
    quota = Quota(number, 30_000)
    return Limit(key, quota, "rule", "streams", "30s", kind=CONCURRENT, lease=lease, on_error=on_error)


def left(limit: Limit, remaining: int, reset_after_ms: int = 0) -> LimitState:
    """What a store said."""
    return LimitState(limit, remaining, reset_after_ms)


class OneMoment:
    """A clock that stands still."""

    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0


def a_lease_keeper() -> LeaseKeeper:
    """A keeper of leases whose Redis agrees to everything."""
    return LeaseKeeper(create_autospec(RedisLimiter, instance=True), OneMoment())


def exchange(
    client: str = "192.0.2.7",
    key: str | None = None,
    *,
    method: str = "POST",
    path: str = "/v1/x",
    headers: Iterable[tuple[str, str]] = (),
) -> Exchange:
    """An exchange with what limits count by."""
    request = Request(method, path, Headers(headers))
    owner = ApiKey(key, "Key", "gwk_", "hash") if key else None
    return Exchange("id", Tenant("t1", "T", "t"), Rule("r1", "/", "http://x"), request, client, owner)
