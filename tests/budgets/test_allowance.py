"""How much output a stream may bring, and when it asks for more."""

from shared.budgets.allowance import LEAST_MORE, Allowance


def test_a_stream_asks_for_more_when_three_quarters_are_seen() -> None:
    allowance = Allowance(1_000)
    allowance.seen = 749
    assert allowance.more() == 0
    allowance.seen = 750
    assert allowance.more() == LEAST_MORE
    assert allowance.more() == 0, "the reply has not come"


def test_a_stream_with_a_large_reservation_asks_for_a_quarter_of_it() -> None:
    allowance = Allowance(10_000)
    allowance.seen = 9_000
    assert allowance.more() == 2_500
    allowance.grant(2_500)
    assert allowance.reserved == 12_500
    assert allowance.more() == 0


def test_a_burst_asks_for_as_much_as_it_needs() -> None:
    allowance = Allowance(100)
    assert allowance.more(5_000) == 4_900
    allowance.grant(4_900)
    assert allowance.fits(5_000)


def test_a_stream_that_gets_no_more_ends_where_its_reservation_does() -> None:
    allowance = Allowance(10)
    allowance.seen = 9
    assert allowance.more() == LEAST_MORE
    allowance.deny(goes_on=False)
    assert (allowance.fits(1), allowance.fits(2), allowance.fits(0)) == (True, False, True)
    assert allowance.more(2) == 0


def test_a_stream_that_may_finish_goes_on_without_a_reservation() -> None:
    allowance = Allowance(10)
    allowance.seen = 9
    assert allowance.more() == LEAST_MORE
    allowance.deny(goes_on=True)
    assert allowance.fits(100_000)
    assert allowance.more(100_000) == 0
