"""Refusals that are repeated without asking."""

import pytest

from shared.limits.deny_cache import DenyCache
from shared.limits.values import NEVER, Decision, decide
from tests.limits.limits_by_name import at_a_time, left, window


def rejection(wait_ms: int = 5_000) -> Decision:
    return decide([left(window("a"), 0, wait_ms), left(window("b"), 7, 3_000)])


def test_a_refusal_is_repeated_for_200_ms_with_the_wait_as_it_is_then() -> None:
    denied = DenyCache(10)
    denied.put(rejection(), now=1.0)
    again = denied.find([window("a"), window("b")], now=1.125)
    assert again is not None
    assert (again.allowed, again.violated, again.retry_after_ms) == (False, window("a"), 4_875)
    assert [state.remaining for state in again.states] == [0, 7]
    assert denied.find([window("a"), window("b")], now=1.2) is None


def test_a_refusal_ends_when_there_is_room_again() -> None:
    denied = DenyCache(10)
    denied.put(rejection(wait_ms=60), now=1.0)
    limits = [window("a"), window("b")]
    assert denied.find(limits, now=1.059) is not None
    assert denied.find(limits, now=1.061) is None


def test_a_limit_that_never_has_room_is_refused_the_same_way() -> None:
    denied = DenyCache(10)
    denied.put(decide([left(window("a", 0), 0, NEVER)]), now=1.0)
    again = denied.find([window("a", 0)], now=1.1)
    assert again is not None
    assert again.retry_after_ms == NEVER


def test_nobody_else_is_refused_and_no_other_number() -> None:
    denied = DenyCache(10)
    assert denied.find([window("a")], now=1.0) is None
    denied.put(decide([left(window("a"), 0, 900)]), now=1.0)
    for others in ([window("b")], [window("a", 200)], [window("a", cost=2)], [window("a"), window("b")]):
        assert denied.find(others, now=1.1) is None
    assert denied.find([window("a")], now=1.1) is not None


def test_a_full_concurrent_limit_is_asked_again_since_a_place_may_be_free() -> None:
    denied = DenyCache(10)
    denied.put(decide([left(at_a_time("one"), 0)]), now=1.0)
    assert len(denied) == 0


def test_another_exchange_of_a_refused_client_is_refused_too() -> None:
    denied = DenyCache(10)
    denied.put(decide([left(window(), 0, 900), left(at_a_time("one"), 4)]), now=1.0)
    assert denied.find([window(), at_a_time("two")], now=1.1) is not None


def test_it_is_bounded_and_the_oldest_goes_first() -> None:
    denied = DenyCache(3)
    for name in "abcd":
        denied.put(decide([left(window(name), 0, 900)]), now=1.0)
    assert len(denied) == 3
    assert denied.find([window("a")], now=1.1) is None
    assert denied.find([window("d")], now=1.1) is not None


def test_what_is_over_is_swept_a_few_at_a_time() -> None:
    denied = DenyCache(10)
    for name in "abc":
        denied.put(decide([left(window(name), 0, 900)]), now=1.0)
    denied.put(decide([left(window("d"), 0, 900)]), now=2.0)
    assert [denied.sweep(2.0, most=2) for _ in range(3)] == [True, True, False]
    assert len(denied) == 1


def test_a_refund_forgets_all_refusals() -> None:
    denied = DenyCache(10)
    denied.put(rejection(), now=1.0)
    denied.clear()
    assert denied.find([window("a"), window("b")], now=1.0) is None


@pytest.mark.parametrize("now", [0.5, 0.999])
def test_a_clock_that_went_back_refuses_nobody(now: float) -> None:
    denied = DenyCache(10)
    denied.put(decide([left(window("a"), 0, 900)]), now=1.0)
    assert denied.find([window("a")], now=now) is None
