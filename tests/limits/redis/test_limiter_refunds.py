"""Charges taken back: what every limiter promises about refunds."""

import pytest

from tests.limits.redis.limiter_world import World, admitted, at_a_time, limit


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
