"""Counters in this process. All that limiters promise is tested in tests/limits/redis/test_limiter*.py."""

from shared.limits.values import CONCURRENT, Limit, Quota
from shared.testing.memory_limiter import Counters

SECOND = 1_000_000


def window(key: str) -> Limit:
    return Limit(key, Quota(5, 10_000), "rule", "global", "10s")


def at_a_time(key: str) -> Limit:
    return Limit(key, Quota(5, 10_000), "rule", "streams", "10s", kind=CONCURRENT, lease="one")


def test_idle_counters_are_dropped_a_few_at_a_time() -> None:
    counters = Counters()
    counters.acquire([window("a"), window("b"), window("c"), at_a_time("d")], SECOND)
    counters.acquire([window("b")], 9 * SECOND)
    counters.sweep(15 * SECOND, most=2)
    assert [key in counters for key in "abcd"] == [False, True, True, False]
    counters.sweep(15 * SECOND, most=2)
    assert [key in counters for key in "abcd"] == [False, True, False, False]
    assert len(counters) == 1


def test_counters_in_use_are_never_swept() -> None:
    counters = Counters()
    counters.acquire([window("a"), at_a_time("b")], SECOND)
    counters.sweep(2 * SECOND, most=100)
    assert "a" in counters
    assert "b" in counters


def test_charge_counts_even_above_the_limit() -> None:
    counters = Counters()
    for _ in range(7):
        counters.charge([window("a")], SECOND)
    decision = counters.peek([window("a")], SECOND)
    assert (decision.allowed, decision.states[0].remaining) == (False, 0)
    counters.correct([(window("a"), -1)] * 3, SECOND)
    assert counters.peek([window("a")], SECOND).states[0].remaining == 1


def test_refund_of_an_unused_counter_changes_nothing() -> None:
    counters = Counters()
    counters.correct([(window("a"), -1), (at_a_time("b"), -1)], SECOND)
    counters.release([window("a"), at_a_time("b")])
    assert len(counters) == 0
