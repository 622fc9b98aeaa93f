"""The budget for retries, and the counts of the last seconds from which it follows."""

import doctest

from hypothesis import given
from hypothesis import strategies as st

from shared.upstreams import draw, ewma, recent, retry_budget, strategies
from shared.upstreams.recent import RecentCount
from shared.upstreams.retry_budget import FREE, RATIO, RetryBudget


def test_examples_of_this_folder_are_true() -> None:
    for module in (draw, ewma, recent, retry_budget, strategies):
        found = doctest.testmod(module)
        assert found.attempted
        assert not found.failed


@given(st.lists(st.floats(0, 30), max_size=60).map(sorted), st.floats(0, 30))
def test_count_has_all_of_nine_tenths_of_the_window_and_nothing_older(
    times: list[float], later: float
) -> None:
    recent = RecentCount(10)
    for at in times:
        recent.add(at)
    now = (times[-1] if times else 0) + later
    found = recent.total(now)
    assert sum(at > now - 9 for at in times) <= found <= sum(at > now - 10 - 1e-9 for at in times)


def test_count_that_is_cleared_starts_from_zero() -> None:
    recent = RecentCount(10)
    recent.add(0.0)
    recent.clear()
    assert recent.total(0.0) == 0


def test_first_retries_are_free_and_then_a_fifth_of_the_requests() -> None:
    budget = RetryBudget()
    assert sum(budget.take(0.0) for _ in range(50)) == 10
    for _ in range(1000):
        budget.request(0.0)
    assert sum(budget.take(0.0) for _ in range(1000)) == 190


@given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(0, 5)), max_size=300))
def test_retries_are_never_more_than_the_budget(requests: list[tuple[float, int]]) -> None:
    budget, now, retries = RetryBudget(), 0.0, 0
    for pause, wanted in requests:
        now += pause
        budget.request(now)
        retries += sum(budget.take(now) for _ in range(wanted))
    windows = now // 9 + 1
    assert retries <= RATIO * len(requests) + FREE * windows
