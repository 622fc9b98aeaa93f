"""The state of a target over its calls, however they end."""

import gc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.pools import Breaker, RetryOn
from shared.upstreams.outcome import Fault, Outcome
from shared.upstreams.target import Call, States, Target, TargetState

TARGET = Target(id="a", first_byte=20.0)
BROKEN = Outcome(kind=RetryOn.SERVER_ERROR, fault=Fault.TARGET, why="status 500", status=500)
CLIENT = Outcome(fault=Fault.CLIENT, why="status 400", status=400)
LIMITED = Outcome(kind=RetryOn.RATE_LIMIT, fault=Fault.KEY, why="status 429", status=429)
NOBODY = Outcome(kind=RetryOn.TIMEOUT, why="first byte")


def half_open() -> TargetState:
    """The state of a target that was slow, then failed, and may be tried again at 10 s."""
    state = TargetState(Breaker(consecutive=1))
    call = Call(TARGET, state, 0.0)
    assert call.failed(BROKEN, 0.0)
    call.end()
    return state


def test_failure_of_the_target_counts_as_slow_as_its_timeout() -> None:
    state = TargetState(Breaker())
    assert not Call(TARGET, state, 0.0).failed(BROKEN, 0.1)
    assert state.latency.estimate(0.1) == 20.0


@pytest.mark.parametrize("outcome", [CLIENT, LIMITED, NOBODY])
def test_failure_by_another_fault_says_nothing_about_the_target(outcome: Outcome) -> None:
    state = TargetState(Breaker(consecutive=1))
    call = Call(TARGET, state, 0.0)
    assert not call.failed(outcome, 5.0)
    assert state.latency.estimate(5.0) is None
    assert state.breaker.until is None


@pytest.mark.parametrize(
    ("end", "is_closed", "admits"),
    [
        (lambda call: call.served(10.2), True, True),
        (lambda call: call.failed(CLIENT, 10.2), True, True),
        (lambda call: call.failed(BROKEN, 10.2), False, False),
        (lambda call: call.failed(LIMITED, 10.2), False, True),
        (lambda call: None, False, True),
    ],
)
def test_trial_decides_only_by_what_the_target_did(
    end: Callable[[Call], object], is_closed: bool, admits: bool
) -> None:
    known = half_open()
    call = Call(TARGET, known, 10.0)
    assert not known.breaker.admits(10.0)
    end(call)
    call.end()
    assert (known.breaker.until is None, known.breaker.admits(10.2)) == (is_closed, admits)


def test_target_that_recovered_is_as_fast_as_its_trial() -> None:
    state = half_open()
    call = Call(TARGET, state, 10.0)
    call.served(10.3)
    assert state.latency.estimate(10.3) == pytest.approx(0.3)


@given(st.lists(st.sampled_from(["served", "failed", "gone"]), max_size=30))
def test_calls_under_way_are_counted_until_each_has_ended_once(ends: list[str]) -> None:
    state = TargetState(Breaker())
    calls = [Call(TARGET, state, 0.0) for _ in ends]
    assert state.in_flight == len(ends)
    for left, (call, end) in enumerate(zip(calls, ends, strict=True), 1):
        if end == "served":
            call.served(1.0)
        elif end == "failed":
            call.failed(BROKEN, 1.0)
        call.end()
        call.end()
        assert state.in_flight == len(ends) - left


def test_states_live_as_long_as_something_uses_them() -> None:
    states: States[tuple[str, str], TargetState] = States()
    made = states.of(("t1", "a"), lambda: TargetState(Breaker()))
    assert states.of(("t1", "a"), lambda: TargetState(Breaker())) is made
    assert states.known(("t1", "a")) is made
    assert states.of(("t2", "a"), lambda: TargetState(Breaker())) is not made
    del made
    gc.collect()
    assert states.known(("t1", "a")) is None


def test_states_are_found_by_all_parts_of_their_keys_or_all_but_the_first() -> None:
    states: States[tuple[str, str], TargetState] = States()
    kept = [states.of((tenant, name), lambda: TargetState(Breaker())) for tenant in "12" for name in "ab"]
    assert states.matching(("1", "a"), "") == [kept[0]]
    assert states.matching(("3", "a"), "") == []
    assert states.matching(("", "a"), "") == [kept[0], kept[2]]
    assert [key for key, _ in states.items()] == [("1", "a"), ("1", "b"), ("2", "a"), ("2", "b")]
    assert kept[0].latency.calls == 0
