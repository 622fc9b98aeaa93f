"""The places that this process holds."""

from shared.limits.fallback.held_leases import HeldLeases
from tests.limits.limits_by_name import at_a_time, window


def test_places_are_counted_by_limit_besides_ones_own() -> None:
    held = HeldLeases()
    held.acquire([at_a_time("one"), at_a_time("two"), at_a_time("one", key="t"), window()])
    assert (held.count("s", "one"), held.count("s", "three"), held.count("t", ""), held.count("a", "")) == (
        1,
        2,
        1,
        0,
    )


def test_a_place_given_back_is_gone_and_nothing_is_left_of_it() -> None:
    held = HeldLeases()
    held.acquire([at_a_time("one"), at_a_time("two")])
    held.release([at_a_time("one"), at_a_time("one"), window()])
    assert held.count("s", "") == 1
    held.release([at_a_time("two")])
    held.release([at_a_time("two")])
    assert not held.by_key
