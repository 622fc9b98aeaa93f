"""When the breaker of a target opens, how long, and how it closes."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shared.model.pools import Breaker
from shared.upstreams.breaker import OutlierBreaker

SETTINGS = Breaker(consecutive=5, rate=0.5, of=20, window=30, open=10, longest=300)


def fail(breaker: OutlierBreaker, now: float) -> bool:
    return breaker.failed(now, "status 500", is_trial=breaker.begin(now))


def serve(breaker: OutlierBreaker, now: float) -> None:
    breaker.succeeded(now, is_trial=breaker.begin(now))


def opened(now: float = 0.0, **more: Any) -> OutlierBreaker:
    """A breaker that five failures opened now."""
    breaker = OutlierBreaker(SETTINGS, **more)
    assert [fail(breaker, now) for _ in range(5)] == [False] * 4 + [True]
    return breaker


def test_breaker_opens_after_five_failures_in_a_row_for_ten_seconds() -> None:
    breaker = opened()
    assert [breaker.admits(now) for now in (0.0, 9.9, 10.0)] == [False, False, True]
    assert breaker.reason == "status 500"
    assert not breaker.admits(9.9)


def test_breaker_is_held_open_beyond_the_longest_time_until_it_is_closed() -> None:
    breaker = opened()
    breaker.hold_open(1000, "probe: status 500")
    assert [breaker.admits(now) for now in (999, 1000)] == [False, True]
    assert breaker.reason == "probe: status 500"
    breaker.close()
    assert breaker.admits(0.0)


def test_success_starts_the_row_again() -> None:
    breaker = OutlierBreaker(SETTINGS)
    for now in range(4):
        fail(breaker, now)
    serve(breaker, 4)
    for now in range(5, 9):
        assert not fail(breaker, now)
    assert breaker.until is None


@pytest.mark.parametrize(("calls", "opens"), [(10, True), (9, False)])
def test_breaker_opens_when_half_of_twenty_calls_fail(calls: int, opens: bool) -> None:
    breaker = OutlierBreaker(SETTINGS)
    for now in range(calls):
        serve(breaker, now)
        fail(breaker, now)
    assert (breaker.until is not None) is opens


def test_failures_that_left_the_window_do_not_count() -> None:
    breaker = OutlierBreaker(SETTINGS)
    for now in range(0, 200, 4):
        serve(breaker, now)
        fail(breaker, now)
    assert breaker.until is None


def test_half_open_breaker_admits_one_trial_at_a_time() -> None:
    breaker = opened()
    assert breaker.admits(10.0)
    assert breaker.begin(10.0)
    assert not breaker.admits(10.0)
    assert not breaker.begin(10.0)
    breaker.abandoned(is_trial=True)
    assert breaker.admits(10.0)


def test_trial_that_succeeds_closes_and_the_next_opening_is_short_again() -> None:
    breaker = opened()
    serve(breaker, 10.0)
    assert breaker.until is None
    for _ in range(5):
        fail(breaker, 20.0)
    assert breaker.until == 30.0


def test_open_time_doubles_with_each_failed_trial_to_the_longest() -> None:
    breaker, now, found = opened(), 0.0, []
    for _ in range(40):
        assert breaker.until is not None
        found.append(breaker.until - now)
        now = breaker.until
        assert fail(breaker, now)
    assert found[:7] == [10, 20, 40, 80, 160, 300, 300]
    assert found[-1] == 300


def test_workers_begin_their_trials_at_different_times() -> None:
    breaker = opened(trial_delay=0.5)
    assert not breaker.admits(10.4)
    assert not breaker.admits(10.4)
    assert breaker.admits(10.5)


def test_calls_that_began_before_it_opened_change_nothing() -> None:
    breaker = opened()
    assert not breaker.failed(5.0, "status 500", is_trial=False)
    breaker.succeeded(6.0, is_trial=False)
    breaker.abandoned(is_trial=False)
    assert breaker.until == 10.0


def test_another_worker_can_open_it_but_only_an_own_trial_closes_it() -> None:
    breaker = OutlierBreaker(SETTINGS)
    breaker.open_until(5.0, 0.0, "another worker")
    breaker.open_until(3.0, 0.0, "a shorter time")
    assert (breaker.until, breaker.reason) == (5.0, "another worker")
    breaker.open_until(8.0, 0.0, "a longer time")
    breaker.open_until(9.0, 20.0, "a time that has passed")
    assert breaker.until == 8.0
    serve(breaker, 8.0)
    assert breaker.until is None


def test_another_worker_cannot_open_it_for_longer_than_the_longest() -> None:
    breaker = OutlierBreaker(SETTINGS)
    breaker.open_until(1e9, 100.0, "")
    assert breaker.until == 400.0


def test_other_settings_count_from_zero_and_keep_it_open() -> None:
    breaker = opened()
    breaker.configure(Breaker(consecutive=1))
    assert breaker.until == 10.0
    serve(breaker, 10.0)
    assert fail(breaker, 11.0)


class Calls(RuleBasedStateMachine):
    """Any order of calls, results and words of other workers."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = OutlierBreaker(SETTINGS, trial_delay=0.25)
        self.now = 0.0
        self.running: list[bool] = []

    @rule(seconds=st.floats(0, 30))
    def passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def begin(self) -> None:
        admitted = self.breaker.admits(self.now)
        was_open = self.breaker.until is not None
        self.running.append(self.breaker.begin(self.now))
        assert self.running[-1] is (was_open and admitted)

    @rule(which=st.integers(0, 9), result=st.sampled_from(["served", "failed", "abandoned"]))
    def ends(self, which: int, result: str) -> None:
        if not self.running:
            return
        is_trial = self.running.pop(which % len(self.running))
        until = self.breaker.until
        if result == "served":
            self.breaker.succeeded(self.now, is_trial=is_trial)
            assert self.breaker.until == (None if is_trial else until)
        elif result == "failed":
            has_opened = self.breaker.failed(self.now, "why", is_trial=is_trial)
            assert has_opened is (self.breaker.until != until or is_trial)
        else:
            self.breaker.abandoned(is_trial=is_trial)
            assert self.breaker.until == until

    @rule(seconds=st.floats(0, 1000))
    def another_worker_says(self, seconds: float) -> None:
        until = self.breaker.until
        self.breaker.open_until(self.now + seconds, self.now, "another")
        assert until is None or (self.breaker.until or 0) >= until

    @invariant()
    def there_is_at_most_one_trial_and_no_opening_is_too_long(self) -> None:
        assert sum(self.running) <= 1
        assert self.breaker.until is None or self.breaker.until <= self.now + SETTINGS.longest


Calls.TestCase.settings = settings(stateful_step_count=30)
TestCalls = Calls.TestCase
