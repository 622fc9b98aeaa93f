"""Rejections that are repeated without asking Redis, and the bound on counters that clients choose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.limits.deny_cache import DenyCache
from shared.limits.distinct_values import MAX_VALUES, DistinctValueTracker
from shared.limits.values import NEVER, Decision, Limit, decide
from tests.limits.limits_by_name import at_a_time, left, window

BOTH = [window("a"), window("b")]


@pytest.fixture
def denied() -> DenyCache:
    return DenyCache(10)


def rejection(limit: Limit = BOTH[0], wait_ms: int = 900) -> Decision:
    return decide([left(limit, 0, wait_ms)])


def rejection_by_the_first(wait_ms: int = 5_000) -> Decision:
    return decide([left(window("a"), 0, wait_ms), left(window("b"), 7, 3_000)])


def test_a_rejection_is_repeated_for_200_ms_with_the_wait_as_it_is_then(denied: DenyCache) -> None:
    denied.put(rejection_by_the_first(), now=1.0)
    again = denied.find(BOTH, now=1.125)
    assert again is not None
    assert (again.allowed, again.violated, again.retry_after_ms) == (False, window("a"), 4_875)
    assert [state.remaining for state in again.states] == [0, 7]
    assert denied.find(BOTH, now=1.2) is None


def test_a_rejection_ends_when_there_is_room_again(denied: DenyCache) -> None:
    denied.put(rejection_by_the_first(wait_ms=60), now=1.0)
    assert denied.find(BOTH, now=1.059) is not None
    assert denied.find(BOTH, now=1.061) is None


def test_a_limit_that_never_has_room_is_rejected_the_same_way(denied: DenyCache) -> None:
    denied.put(decide([left(window("a", 0), 0, NEVER)]), now=1.0)
    again = denied.find([window("a", 0)], now=1.1)
    assert again is not None
    assert again.retry_after_ms == NEVER


def test_cached_rejection_applies_to_the_same_limits_and_cost_only(denied: DenyCache) -> None:
    assert denied.find([window("a")], now=1.0) is None
    denied.put(rejection(window("a")), now=1.0)
    for others in ([window("b")], [window("a", 200)], [window("a", cost=2)], [window("a"), window("b")]):
        assert denied.find(others, now=1.1) is None
    assert denied.find([window("a")], now=1.1) is not None


def test_a_full_concurrent_limit_is_asked_again_since_a_place_may_be_free(denied: DenyCache) -> None:
    denied.put(decide([left(at_a_time("one"), 0)]), now=1.0)
    assert len(denied) == 0


def test_another_exchange_of_a_rejected_client_is_rejected_too(denied: DenyCache) -> None:
    denied.put(decide([left(window(), 0, 900), left(at_a_time("one"), 4)]), now=1.0)
    assert denied.find([window(), at_a_time("two")], now=1.1) is not None


def test_deny_cache_is_bounded_and_evicts_the_oldest(denied: DenyCache) -> None:
    denied = DenyCache(3)
    for name in "abcd":
        denied.put(rejection(window(name)), now=1.0)
    assert len(denied) == 3
    assert denied.find([window("a")], now=1.1) is None
    assert denied.find([window("d")], now=1.1) is not None


def test_expired_rejections_are_swept_in_small_batches(denied: DenyCache) -> None:
    for name in "abc":
        denied.put(rejection(window(name)), now=1.0)
    denied.put(rejection(window("d")), now=2.0)
    assert [denied.sweep(2.0, most=2) for _ in range(3)] == [True, True, False]
    assert len(denied) == 1


@pytest.mark.parametrize("now", [0.5, 0.999])
def test_cached_rejection_is_not_used_after_the_clock_went_back(denied: DenyCache, now: float) -> None:
    denied.put(rejection(window("a")), now=1.0)
    assert denied.find([window("a")], now=now) is None


def charge(
    known: DistinctValueTracker, value: str, now: float, lifetime: float = 10.0, limit: str = "limit"
) -> bool:
    """As the rate limiter does for an admitted request: True when `value` has a counter of its own."""
    own = known.has_counter(limit, value, now)
    if own:
        known.add(limit, value, lifetime, now)
    return own


def test_the_first_ten_thousand_values_have_counters_of_their_own_and_further_ones_share() -> None:
    known = DistinctValueTracker()
    assert all(charge(known, str(number), 0.0) for number in range(MAX_VALUES))
    assert MAX_VALUES == 10_000
    assert not charge(known, "one more", 0.0)
    assert charge(known, "0", 0.0)
    assert charge(known, "one more", 0.0, limit="another limit")


def test_value_not_counted_for_two_windows_is_replaced() -> None:
    known = DistinctValueTracker(max_values=1)
    assert charge(known, "a", 0.0)
    assert not charge(known, "b", 9.0)
    assert not charge(known, "b", 19.0)
    assert charge(known, "b", 20.0)


def test_value_that_is_only_looked_up_is_not_counted() -> None:
    known = DistinctValueTracker(max_values=1)
    assert known.has_counter("limit", "a", 0.0)
    assert charge(known, "b", 0.0)
    assert not known.has_counter("limit", "a", 0.0)


@given(st.lists(st.tuples(st.floats(0.0, 12.0), st.sampled_from("abcdef")), max_size=60), st.integers(1, 4))
def test_live_counters_are_bounded_and_never_lost(steps: list[tuple[float, str]], max_values: int) -> None:
    known, now = DistinctValueTracker(max_values), 0.0
    dies: dict[str, float] = {}
    for pause, value in steps:
        now += pause
        lives = {name for name, end in dies.items() if end > now}
        own = charge(known, value, now)
        assert own or value not in lives
        if own:
            dies[value] = now + 10.0
        assert sum(end > now for end in dies.values()) <= max_values


def test_tracker_forgets_limits_that_are_not_used_any_more() -> None:
    known = DistinctValueTracker()
    for number in range(1024):
        charge(known, "a", 0.0, limit=str(number))
    charge(known, "a", 30.0, limit="last")
    assert list(known._limits) == ["last"]
