"""What follows from the state of the counters."""

from shared.limits.values import NEVER, Limit, LimitState, Quota, decide


def state(remaining: int, reset_after_ms: int, *, cost: int = 1) -> LimitState:
    limit = Limit("key", Quota(10, 1_000), "rule", f"{remaining} left", "1s", cost)
    return LimitState(limit, remaining, reset_after_ms)


def test_all_limits_with_room_admit() -> None:
    decision = decide([state(1, 500), state(2, 900, cost=2)])
    assert (decision.allowed, decision.violated, decision.retry_after_ms) == (True, None, 0)


def test_no_limits_admit() -> None:
    assert decide([]).allowed


def test_the_first_without_room_is_named_and_the_longest_wait_of_all_of_them_told() -> None:
    states = [state(5, 9_000), state(0, 500), state(1, 700, cost=2)]
    decision = decide(states)
    assert (decision.allowed, decision.violated, decision.retry_after_ms) == (False, states[1].limit, 700)
    assert decision.states == states


def test_never_is_longer_than_any_wait() -> None:
    assert decide([state(0, 500), state(3, NEVER, cost=11)]).retry_after_ms == NEVER
