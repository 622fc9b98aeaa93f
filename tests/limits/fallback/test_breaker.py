"""When the store is asked, and when not."""

from itertools import count

from shared.limits.fallback.breaker import Breaker

_moments = count(1)


def fail(breaker: Breaker) -> bool:
    """A call after all others that does not come back."""
    began = next(_moments)
    return breaker.record_failure(began, began + 0.05)


def test_it_opens_after_three_failures_in_a_row_and_says_so_once() -> None:
    breaker = Breaker()
    assert [fail(breaker) for _ in range(5)] == [False, False, True, False, False]
    assert breaker.is_open


def test_an_answer_starts_the_count_again() -> None:
    breaker = Breaker()
    fail(breaker)
    fail(breaker)
    breaker.record_success()
    fail(breaker)
    fail(breaker)
    assert not breaker.is_open


def test_it_may_close_after_two_answered_probes_in_a_row() -> None:
    breaker = Breaker()
    for _ in range(3):
        fail(breaker)
    breaker.record_success()
    assert not breaker.may_close
    fail(breaker)
    breaker.record_success()
    assert not breaker.may_close
    breaker.record_success()
    assert breaker.may_close
    assert breaker.is_open
    breaker.close()
    assert not breaker.is_open


def test_it_opens_again() -> None:
    breaker = Breaker()
    for _ in range(3):
        fail(breaker)
    breaker.record_success()
    breaker.close()
    assert [fail(breaker) for _ in range(3)] == [False, False, True]


def test_a_crowd_that_waits_through_one_stall_is_one_failure() -> None:
    breaker = Breaker()
    for _ in range(64):
        breaker.record_failure(began=1.0, now=1.05)
    assert not breaker.is_open
    assert not breaker.record_failure(began=1.05, now=1.1)
    assert not breaker.record_failure(began=1.06, now=1.11)
    assert breaker.record_failure(began=1.1, now=1.15)
