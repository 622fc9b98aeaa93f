"""When the store is asked, and when not."""

from shared.core.breaker import Breaker


def test_it_opens_after_three_failures_in_a_row_and_says_so_once() -> None:
    breaker = Breaker()
    assert [breaker.unanswered() for _ in range(5)] == [False, False, True, False, False]
    assert breaker.is_open


def test_an_answer_starts_the_count_again() -> None:
    breaker = Breaker()
    breaker.unanswered()
    breaker.unanswered()
    breaker.answered()
    breaker.unanswered()
    breaker.unanswered()
    assert not breaker.is_open


def test_it_may_close_after_two_answered_probes_in_a_row() -> None:
    breaker = Breaker()
    for _ in range(3):
        breaker.unanswered()
    breaker.answered()
    assert not breaker.may_close
    breaker.unanswered()
    breaker.answered()
    assert not breaker.may_close
    breaker.answered()
    assert breaker.may_close
    assert breaker.is_open
    breaker.close()
    assert not breaker.is_open


def test_it_opens_again() -> None:
    breaker = Breaker()
    for _ in range(3):
        breaker.unanswered()
    breaker.answered()
    breaker.close()
    assert [breaker.unanswered() for _ in range(3)] == [False, False, True]
