"""The promises of every limiter. The one in memory and the one in Redis pass the same tests."""

import asyncio

import pytest

from shared.limits.values import NEVER, Limit
from tests.limits.redis.limiter_world import World, admitted, at_a_time, limit

WIDTH_MS = 10_000 / 64


def test_a_decision_says_what_is_left_and_when_there_is_more(here: World) -> None:
    three = limit(number=3)
    first = here.acquire(three)
    assert (first.allowed, first.violated, first.retry_after_ms) == (True, None, 0)
    (state,) = first.states
    assert (state.limit, state.remaining) == (three, 2)
    assert 10_000 <= state.reset_after_ms <= 10_000 + WIDTH_MS + 1
    assert [here.acquire(three).allowed for _ in range(2)] == [True, True]
    rejected = here.acquire(three)
    assert (rejected.allowed, rejected.violated) == (False, three)
    assert rejected.states[0].remaining == 0
    assert rejected.retry_after_ms == rejected.states[0].reset_after_ms


def test_limit_admits_again_exactly_at_its_retry_after(here: World) -> None:
    three = limit(number=3)
    admitted(here, three, times=3)
    here.hands.forward(here.acquire(three).retry_after_ms - 1)
    assert not here.acquire(three).allowed
    here.hands.forward(1)
    assert admitted(here, three, times=5) == 3


def test_requests_leave_the_window_one_after_the_other(here: World) -> None:
    three = limit(number=3)
    for _ in range(3):
        assert here.acquire(three).allowed
        here.hands.forward(2_000)
    here.hands.forward(here.acquire(three).retry_after_ms)
    assert admitted(here, three, times=3) == 1
    assert here.acquire(three).retry_after_ms == pytest.approx(2_000, abs=WIDTH_MS + 1)


def test_rejected_requests_cost_nothing(here: World) -> None:
    three = limit(number=3)
    admitted(here, three, times=3)
    before = here.stored(three)
    for _ in range(50):
        here.hands.forward(100)
        assert not here.acquire(three).allowed
    assert here.stored(three) == before
    here.hands.forward(10_000 + WIDTH_MS + 1 - 5_000)
    assert here.acquire(three).allowed


def test_a_request_that_one_limit_rejects_is_not_charged_to_the_others(here: World) -> None:
    rule, gateway = limit(number=10), limit(number=2, scope="gateway")
    admitted(here, rule, gateway, times=2)
    before = here.stored(rule, gateway)
    rejected = here.acquire(rule, gateway)
    assert (rejected.violated, [state.remaining for state in rejected.states]) == (gateway, [8, 0])
    assert here.stored(rule, gateway) == before
    assert here.peek(rule).states[0].remaining == 8


def test_a_rejection_names_the_first_violated_limit_and_the_longest_wait(here: World) -> None:
    rule, gateway = limit(number=2), limit(number=2, window_ms=60_000, scope="gateway")
    admitted(here, rule, gateway, times=2)
    rejected = here.acquire(rule, gateway)
    assert rejected.violated == rule
    assert 60_000 <= rejected.retry_after_ms <= 61_000


@pytest.mark.parametrize(
    "never",
    [limit(number=0), limit(number=5, cost=6), at_a_time(0)],
    ids=["zero", "a cost above it", "zero slots"],
)
def test_limit_below_the_cost_of_one_request_always_rejects(here: World, never: Limit) -> None:
    rejected = here.acquire(limit(number=5, name="per_ip"), never)
    assert (rejected.allowed, rejected.violated, rejected.retry_after_ms) == (False, never, NEVER)
    assert here.stored(never) in ([], [(None, -2)])


def test_cost_above_the_rest_waits_until_all_of_the_cost_fits(here: World) -> None:
    one, three = limit(number=5), limit(number=5, cost=3)
    here.acquire(one)
    here.hands.forward(1_000)
    here.acquire(one)
    here.hands.forward(1_000)
    assert here.acquire(three).states[0].remaining == 0
    rejected = here.acquire(three)
    here.hands.forward(rejected.retry_after_ms - 1)
    assert not here.acquire(three).allowed
    here.hands.forward(1)
    assert here.acquire(three).allowed


def test_a_peek_shows_the_same_and_charges_nothing(here: World) -> None:
    three = limit(number=3)
    assert here.peek(three).states[0].reset_after_ms == 0
    here.acquire(three)
    assert [here.peek(three).states[0].remaining for _ in range(5)] == [2] * 5
    admitted(here, three, times=2)
    rejection = here.acquire(three)
    assert here.peek(three) == rejection._replace(charged={}, decided_at=0)


def test_changing_the_number_keeps_what_was_used(here: World) -> None:
    admitted(here, limit(number=10), times=8)
    assert here.peek(limit(number=10)).states[0].remaining == 2
    lowered = here.acquire(limit(number=4))
    assert (lowered.allowed, lowered.states[0].remaining) == (False, 0)
    assert admitted(here, limit(number=20), times=30) == 12


def test_a_clock_that_goes_back_gives_no_room_away(here: World) -> None:
    three = limit(number=3)
    admitted(here, three, times=2)
    here.hands.forward(-9_000)
    assert admitted(here, three, times=5) == 1
    here.hands.forward(here.acquire(three).retry_after_ms)
    assert admitted(here, three, times=5) == 3


@pytest.mark.parametrize("step_ms", [1_000_000, 3_600_000, -3_600_000, 60_000, -60_000, -10_200])
def test_a_clock_step_beyond_a_window_costs_one_window_at_most(here: World, step_ms: int) -> None:
    three = limit(number=3)
    admitted(here, three, times=3)
    here.hands.forward(step_ms)
    assert admitted(here, three, times=5) == 3
    rejected = here.acquire(three)
    assert rejected.retry_after_ms <= 10_000 + WIDTH_MS + 1
    here.hands.forward(rejected.retry_after_ms)
    assert admitted(here, three, times=5) == 3


def test_clock_step_back_changes_no_window_when_another_limit_rejects(here: World) -> None:
    three, none = limit(number=3), limit("none", number=0)
    admitted(here, three, times=3)
    before = here.stored(three)
    here.hands.forward(-3_600_000)
    assert here.acquire(three, none).states[0].remaining == 3
    assert here.stored(three) == before


def test_a_rejected_client_that_keeps_trying_is_not_locked_out(here: World) -> None:
    hundred = limit(number=100, window_ms=10_000)
    count = 0
    for _ in range(4_000):
        here.hands.forward(10)
        count += here.acquire(hundred).allowed
    assert 400 * 0.98 <= count <= 400


def test_the_attack_on_the_boundary_gets_no_more_than_the_limit(here: World) -> None:
    """All at the end of a window, all again at the start of the next, at every offset in a bucket."""
    hundred = limit(number=100)
    times = []
    for offset in range(8):
        here.hands.forward(10_000 - here.hands.now_us / 1000 % 10_000 + 9_990 + offset * 20)
        for _ in range(3):
            times += [here.hands.now_us for _ in range(150) if here.acquire(hundred).allowed]
            here.hands.forward(11)
    assert max(sum(last - 10_000_000 < time <= last for time in times) for last in times) == 100


def test_polite_bursts_are_never_rejected(here: World) -> None:
    """All of the limit at once, again as soon as a window (and the bucket that it began in) is over."""
    hundred = limit(number=100)
    for pause_ms in (10_157, 10_157, 12_345, 10_157, 15_000, 10_158):
        assert admitted(here, hundred, times=100) == 100
        here.hands.forward(pause_ms)


def test_many_clients_at_once_get_exactly_the_limit(here: World) -> None:
    async def storm() -> int:
        limits = [limit(number=50), limit(number=70, scope="gateway")]
        decisions = await asyncio.gather(*(here.limiter.acquire(limits) for _ in range(200)))
        return sum(decision.allowed for decision in decisions)

    assert here.run(storm()) == 50
    assert here.peek(limit(number=70, scope="gateway")).states[0].remaining == 20
