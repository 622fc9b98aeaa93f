"""Limits for tests, by a short name."""

from shared.limits.values import CONCURRENT, LOCAL, Limit, LimitState, Quota


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
