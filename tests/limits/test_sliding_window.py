"""One counter in this process. All that limiters promise is tested in tests/stores/test_limiter*.py."""

from shared.limits.sliding_window import BucketedWindow

SECOND = 1_000_000


def test_an_empty_window_has_nothing_to_wait_for() -> None:
    window = BucketedWindow(10_000)
    assert (window.total(5 * SECOND), window.wait_ms(5 * SECOND, 1)) == (0, 0)


def test_what_was_charged_counts_for_the_window_and_at_most_a_64th_more() -> None:
    window = BucketedWindow(64_000)
    window.charge(100_500_000, 3)
    assert window.total(100_500_000 + 64 * SECOND) == 3
    assert window.total(165 * SECOND - 1) == 3
    assert window.total(165 * SECOND) == 0


def test_the_wait_is_as_long_as_the_units_need() -> None:
    window = BucketedWindow(64_000)
    for second, cost in ((100, 1), (110, 2), (120, 4)):
        window.charge(second * SECOND, cost)
    waits = [window.wait_ms(120 * SECOND, units) for units in range(1, 8)]
    assert waits == [45_000, 55_000, 55_000, 65_000, 65_000, 65_000, 65_000]


def test_a_clock_that_goes_back_charges_the_newest_bucket() -> None:
    window = BucketedWindow(64_000)
    window.charge(100 * SECOND, 1)
    window.charge(40 * SECOND, 1)
    assert window.total(40 * SECOND) == 2
    assert window.total(35 * SECOND) == 0
    assert window.total(164 * SECOND) == 2
    assert window.total(165 * SECOND) == 0


def test_a_window_that_64_does_not_divide_is_never_cut_short() -> None:
    window = BucketedWindow(7_001)
    window.charge(0, 1)
    assert window.total(7_001_000) == 1
