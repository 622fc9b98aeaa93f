"""Concurrent requests and charges taken back: what every limiter promises about slots and refunds."""

from dataclasses import replace

import pytest

from tests.limits.redis.limiter_world import World, admitted, at_a_time, limit


def allowed(here: World, *names: str, number: int = 3) -> list[bool]:
    return [here.acquire(at_a_time(number, name)).allowed for name in names]


def test_limit_of_three_slots_admits_three_of_five_at_any_cost(here: World) -> None:
    assert allowed(here, *"abcde") == [True, True, True, False, False]
    assert here.acquire(replace(at_a_time(1, "a", name="costly"), cost=5)).allowed


def test_a_decision_says_how_many_slots_are_free(here: World) -> None:
    first = here.acquire(at_a_time(2, "a"))
    assert [(state.remaining, state.reset_after_ms) for state in first.states] == [(1, 0)]
    here.acquire(at_a_time(2, "b"))
    rejected = here.acquire(at_a_time(2, "c"))
    assert (rejected.violated, rejected.retry_after_ms) == (at_a_time(2, "c"), 1_000)
    assert (rejected.states[0].remaining, rejected.states[0].reset_after_ms) == (0, 0)


@pytest.mark.parametrize("times", [1, 2])
def test_a_slot_released_once_or_twice_makes_room_for_one(here: World, times: int) -> None:
    allowed(here, *"abc")
    for _ in range(times):
        here.release(at_a_time(3, "b"), limit())
    assert allowed(here, *"de") == [True, False]


def test_an_exchange_that_asks_again_keeps_its_slot(here: World) -> None:
    allowed(here, *"abc")
    assert allowed(here, "b", "d") == [True, False]
    assert here.peek(at_a_time(3, "b")).states[0].remaining == 1


def test_slots_of_a_process_that_died_come_back_when_their_leases_end(here: World) -> None:
    allowed(here, *"abc")
    here.hands.forward(29_999)
    assert allowed(here, "d") == [False]
    here.hands.forward(1)
    assert allowed(here, *"defg") == [True, True, True, False]


def test_a_renewed_lease_goes_on(here: World) -> None:
    allowed(here, *"abc")
    for _ in range(9):
        here.hands.forward(10_000)
        here.renew(at_a_time(3, "a"), limit())
    assert allowed(here, *"def") == [True, True, False]


def test_a_renewal_takes_a_lost_slot_again_even_above_the_limit(here: World) -> None:
    allowed(here, *"abc")
    here.hands.forward(30_000)
    allowed(here, *"def")
    here.renew(at_a_time(3, "a"))
    here.release(at_a_time(3, "d"))
    assert allowed(here, "g") == [False]
    here.release(at_a_time(3, "e"))
    assert allowed(here, "g") == [True]


def test_a_rejected_slot_costs_nothing_and_a_rejected_window_takes_no_slot(here: World) -> None:
    one, place = limit(number=1), at_a_time(2, "a")
    assert here.acquire(one, place).allowed
    before = here.stored(one, place)
    rejected = here.acquire(one, replace(place, lease="b"))
    assert (rejected.violated, [state.remaining for state in rejected.states]) == (one, [0, 1])
    here.acquire(at_a_time(2, "c"))
    taken = here.stored(place)
    full = here.acquire(limit("other"), at_a_time(2, "d"))
    assert full.violated == at_a_time(2, "d")
    assert here.peek(limit("other")).states[0].remaining == 3
    assert here.stored(one) == before[:1]
    assert here.stored(place) == taken


def test_the_longest_wait_counts_a_full_concurrent_limit_as_a_second(here: World) -> None:
    here.acquire(limit(number=1), at_a_time(1, "a"))
    assert here.acquire(limit(number=1), at_a_time(1, "b")).retry_after_ms > 10_000
    assert here.acquire(at_a_time(1, "b"), limit("free")).retry_after_ms == 1_000


def test_clock_one_hour_back_blocks_slots_for_at_most_one_lease(here: World) -> None:
    allowed(here, *"abc")
    here.hands.forward(-5_000)
    assert allowed(here, "d") == [False]
    here.hands.forward(-3_595_000)
    here.renew(at_a_time(3, "a"))
    assert allowed(here, *"def") == [True, True, False]


def test_released_slots_leave_nothing_behind(here: World) -> None:
    allowed(here, *"ab")
    if here.store is not None:
        assert 29_000 < here.store.pttl(at_a_time().key) <= 30_000
    here.release(*(at_a_time(3, name) for name in "ab"))
    assert here.stored(at_a_time()) in ([], [(None, -2)])


def test_a_refund_gives_the_room_back_at_once(here: World) -> None:
    three = limit(number=3)
    charged = here.acquire(three)
    admitted(here, three, times=2)
    here.refund(three, at_a_time(), charged=charged)
    assert admitted(here, three, times=2) == 1


def test_a_refund_of_everything_leaves_nothing(here: World) -> None:
    five, other = limit(number=5, cost=4), limit("per_ip", number=5, cost=4)
    charged = here.acquire(five, other)
    here.refund(five, other, charged=charged)
    assert here.stored(five, other) in ([], [(None, -2)] * 2)
    assert here.peek(five).states[0].remaining == 5


@pytest.mark.parametrize("known", [True, False])
def test_a_refund_goes_to_the_bucket_that_was_charged_or_else_to_the_oldest(here: World, known: bool) -> None:
    """Else what others used would leave the window too early."""
    three = limit(number=3)
    first = here.acquire(three)
    here.hands.forward(5_000)
    admitted(here, three, times=2)
    here.refund(three, charged=first if known else None)
    assert admitted(here, three, times=2) == 1
    here.hands.forward(5_200)
    assert admitted(here, three, times=1) == 0


def test_a_refund_never_goes_below_nothing(here: World) -> None:
    three, greedy = limit(number=3), limit(number=3, cost=3)
    here.acquire(three)
    here.refund(greedy)
    here.refund(greedy)
    assert admitted(here, three, times=5) == 3


def test_a_refund_of_what_left_the_window_is_dropped(here: World) -> None:
    three = limit(number=3)
    charged = here.acquire(three)
    here.hands.forward(20_000)
    admitted(here, three, times=3)
    here.refund(three, charged=charged)
    assert not here.acquire(three).allowed


def test_correction_adds_to_the_bucket_that_was_charged(here: World) -> None:
    """Tokens are known at the end of a request, and leave the window with it."""
    hundred = limit(number=100)
    first = here.acquire(hundred)
    here.hands.forward(5_000)
    here.acquire(hundred)
    here.correct((hundred, 79), (at_a_time(), 5), charged=first)
    assert here.peek(hundred).states[0].remaining == 19
    here.hands.forward(5_200)
    assert here.peek(hundred).states[0].remaining == 99


def test_correction_to_an_unknown_bucket_adds_to_the_newest(here: World) -> None:
    hundred = limit(number=100)
    here.acquire(hundred)
    here.hands.forward(5_000)
    here.correct((hundred, 79))
    here.hands.forward(5_200)
    assert here.peek(hundred).states[0].remaining == 21


def test_correction_of_what_left_the_window_is_dropped(here: World) -> None:
    hundred = limit(number=100)
    first = here.acquire(hundred)
    here.hands.forward(20_000)
    here.acquire(hundred)
    here.correct((hundred, 50), charged=first)
    assert here.peek(hundred).states[0].remaining == 99


def test_correction_counts_although_others_emptied_the_counter(here: World) -> None:
    none, hundred = limit(number=100, cost=0), limit(number=100)
    first = here.acquire(none)
    other = here.acquire(hundred)
    here.hands.forward(2_000)
    here.refund(hundred, charged=other)
    here.correct((none, 40), charged=first)
    assert here.peek(hundred).states[0].remaining == 60
    here.hands.forward(8_200)
    assert here.peek(hundred).states[0].remaining == 100
