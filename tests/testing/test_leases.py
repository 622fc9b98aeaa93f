"""Places in this process. All that limiters promise is tested in tests/stores/test_limiter*.py."""

from shared.testing.memory_limiter import Leases

SECOND = 1_000_000


def test_a_lease_holds_its_place_until_its_length_is_over() -> None:
    leases = Leases(30_000)
    leases.acquire(0, "one")
    assert (leases.taken(30 * SECOND - 1), leases.taken(30 * SECOND)) == (1, 0)
    assert not leases.is_over(30 * SECOND - 1)
    assert leases.is_over(30 * SECOND)


def test_lease_that_is_held_counts_once() -> None:
    leases = Leases(30_000)
    leases.acquire(0, "one")
    leases.acquire(0, "two")
    assert (leases.taken(0), leases.taken(0, besides="one"), leases.taken(0, besides="three")) == (2, 1, 2)


def test_a_place_is_given_back_once() -> None:
    leases = Leases(30_000)
    leases.acquire(0, "one")
    leases.release("one")
    leases.release("one")
    assert leases.taken(0) == 0


def test_a_lease_from_before_the_clock_went_back_counts_for_two_lengths_at_most() -> None:
    leases = Leases(30_000)
    leases.acquire(3_600 * SECOND, "one")
    assert leases.taken(3_571 * SECOND) == 1
    assert leases.taken(0) == 0
