"""Rejections that are repeated without asking Redis."""

import pytest

from shared.limits.deny_cache import DenyCache
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


def test_a_rejection_ends_when_there_is_room_again_or_a_refund(denied: DenyCache) -> None:
    denied.put(rejection_by_the_first(wait_ms=60), now=1.0)
    assert denied.find(BOTH, now=1.059) is not None
    assert denied.find(BOTH, now=1.061) is None
    denied.put(rejection_by_the_first(), now=1.0)
    denied.clear()
    assert denied.find(BOTH, now=1.0) is None


def test_a_limit_that_never_has_room_is_refused_the_same_way(denied: DenyCache) -> None:
    denied.put(decide([left(window("a", 0), 0, NEVER)]), now=1.0)
    again = denied.find([window("a", 0)], now=1.1)
    assert again is not None
    assert again.retry_after_ms == NEVER


def test_nobody_else_is_refused_and_no_other_number(denied: DenyCache) -> None:
    assert denied.find([window("a")], now=1.0) is None
    denied.put(rejection(window("a")), now=1.0)
    for others in ([window("b")], [window("a", 200)], [window("a", cost=2)], [window("a"), window("b")]):
        assert denied.find(others, now=1.1) is None
    assert denied.find([window("a")], now=1.1) is not None


def test_a_full_concurrent_limit_is_asked_again_since_a_place_may_be_free(denied: DenyCache) -> None:
    denied.put(decide([left(at_a_time("one"), 0)]), now=1.0)
    assert len(denied) == 0


def test_another_exchange_of_a_refused_client_is_refused_too(denied: DenyCache) -> None:
    denied.put(decide([left(window(), 0, 900), left(at_a_time("one"), 4)]), now=1.0)
    assert denied.find([window(), at_a_time("two")], now=1.1) is not None


def test_it_is_bounded_and_the_oldest_goes_first(denied: DenyCache) -> None:
    denied = DenyCache(3)
    for name in "abcd":
        denied.put(rejection(window(name)), now=1.0)
    assert len(denied) == 3
    assert denied.find([window("a")], now=1.1) is None
    assert denied.find([window("d")], now=1.1) is not None


def test_what_is_over_is_swept_a_few_at_a_time(denied: DenyCache) -> None:
    for name in "abc":
        denied.put(rejection(window(name)), now=1.0)
    denied.put(rejection(window("d")), now=2.0)
    assert [denied.sweep(2.0, most=2) for _ in range(3)] == [True, True, False]
    assert len(denied) == 1


@pytest.mark.parametrize("now", [0.5, 0.999])
def test_a_clock_that_went_back_refuses_nobody(denied: DenyCache, now: float) -> None:
    denied.put(rejection(window("a")), now=1.0)
    assert denied.find([window("a")], now=now) is None
