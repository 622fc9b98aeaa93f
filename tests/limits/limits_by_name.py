"""Limits for tests, by a short name."""

from collections.abc import Iterable
from typing import Any
from unittest.mock import create_autospec

from shared.limits.compiled import CompiledLimit, compile_limit
from shared.limits.redis.lease_keeper import LeaseKeeper
from shared.limits.redis.limiter import RedisLimiter
from shared.limits.values import CONCURRENT, LOCAL, Limit, LimitSpec, LimitState, Quota
from shared.model.config import ApiKey, Rule, Tenant
from shared.model.messages import Exchange, Expected, Headers, Metered, Request
from tests.config_store.configurations import StillClock


def window(key: str = "a", number: int = 100, *, cost: int = 1, on_error: str = LOCAL) -> Limit:
    """So many requests in any ten seconds."""
    return Limit(key, Quota(number, 10_000), "rule", "global", "10s", cost, on_error=on_error)


def at_a_time(lease: str, number: int = 10, *, key: str = "s", on_error: str = LOCAL) -> Limit:
    """So many requests at a time."""
    quota = Quota(number, 30_000)
    return Limit(key, quota, "rule", "streams", "30s", kind=CONCURRENT, lease=lease, on_error=on_error)


def compiled(
    name: str = "global", limit: int = 5, window_ms: int = 60_000, *, rule: str | None = None, **more: Any
) -> CompiledLimit:
    """A limit of the rule or of the tenant; `more` are the fields of its specification and its entry."""
    entry = {key: more.pop(key) for key in ("match", "floor_ms", "cost", "on_error") if key in more}
    by = (name.removeprefix("per_"),) if name.startswith("per_") else ()
    tenant = more.pop("tenant", "t1")
    return compile_limit(
        tenant, rule, LimitSpec(name, Quota(limit, window_ms), **{"by": by, **more}), **entry
    )


def left(limit: Limit, remaining: int, reset_after_ms: int = 0) -> LimitState:
    """The decision of a store."""
    return LimitState(limit, remaining, reset_after_ms)


def a_lease_keeper() -> LeaseKeeper:
    """A keeper of leases whose Redis agrees to everything."""
    return LeaseKeeper(create_autospec(RedisLimiter, instance=True), StillClock(0.0))


def exchange(
    client: str = "192.0.2.7",
    key: str | None = None,
    *,
    method: str = "POST",
    path: str = "/v1/x",
    headers: Iterable[tuple[str, str]] = (),
    metered: Metered | None = None,
) -> Exchange:
    """An exchange with what limits count by."""
    request = Request(method, path, Headers(headers))
    owner = ApiKey(key, "Key", "gwk_", "hash") if key else None
    return Exchange(
        "id", Tenant("t1", "T", "t"), Rule("r1", "/", "http://x"), request, client, owner, metered=metered
    )


class Uses:
    """A request that is expected to use an amount of each unit, of which `least` is no guess."""

    def __init__(self, usual: int | None, least: int | None = None, *, used: int | None = 0) -> None:
        self._usual, self._least = usual, usual if least is None else least
        self._used = used

    def expected(self, unit: str) -> Expected | None:
        return None if self._usual is None or self._least is None else Expected(self._usual, self._least)

    def used(self, unit: str) -> int | None:
        return self._used
