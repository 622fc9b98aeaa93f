"""The bound on counters that clients choose."""

from hypothesis import given
from hypothesis import strategies as st

from shared.limits.distinct_values import MAX_VALUES, DistinctValueTracker


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


def test_a_value_that_was_not_counted_for_two_windows_makes_room() -> None:
    known = DistinctValueTracker(max_values=1)
    assert charge(known, "a", 0.0)
    assert not charge(known, "b", 9.0)
    assert not charge(known, "b", 19.0)
    assert charge(known, "b", 20.0)


def test_a_value_that_is_asked_for_takes_no_room() -> None:
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


def test_limits_that_nobody_asks_for_any_more_are_forgotten() -> None:
    known = DistinctValueTracker()
    for number in range(1024):
        charge(known, "a", 0.0, limit=str(number))
    charge(known, "a", 30.0, limit="last")
    assert list(known._limits) == ["last"]
