"""When a circuit breaker opens, and when it may close."""

from itertools import count

from shared.core.circuit_breaker import CircuitBreaker

_moments = count(1)


def fail(breaker: CircuitBreaker) -> bool:
    """A call after all others that does not come back."""
    began = next(_moments)
    return breaker.record_failure(began, began + 0.05)


def test_breaker_opens_after_three_failures_in_a_row_and_reports_it_once() -> None:
    breaker = CircuitBreaker(open_after=3, close_after=2)
    assert [fail(breaker) for _ in range(5)] == [False, False, True, False, False]
    assert breaker.is_open


def test_a_response_starts_the_count_again() -> None:
    breaker = CircuitBreaker(open_after=3, close_after=2)
    fail(breaker)
    fail(breaker)
    breaker.record_success()
    fail(breaker)
    fail(breaker)
    assert not breaker.is_open


def test_breaker_may_close_after_two_successful_probes_in_a_row() -> None:
    breaker = CircuitBreaker(open_after=3, close_after=2)
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


def test_breaker_that_was_closed_opens_again() -> None:
    breaker = CircuitBreaker(open_after=3, close_after=2)
    for _ in range(3):
        fail(breaker)
    breaker.record_success()
    breaker.close()
    assert [fail(breaker) for _ in range(3)] == [False, False, True]


def test_a_crowd_that_waits_through_one_stall_is_one_failure() -> None:
    breaker = CircuitBreaker(open_after=3, close_after=2)
    for _ in range(64):
        breaker.record_failure(began=1.0, now=1.05)
    assert not breaker.is_open
    assert not breaker.record_failure(began=1.05, now=1.1)
    assert not breaker.record_failure(began=1.06, now=1.11)
    assert breaker.record_failure(began=1.1, now=1.15)
