"""The slots that this process holds."""

from tests.limits.limits_by_name import a_lease_keeper, at_a_time, window


def test_held_slots_are_counted_by_limit_without_ones_own() -> None:
    held = a_lease_keeper()
    held.acquire([at_a_time("one"), at_a_time("two"), at_a_time("one", key="t"), window()])
    assert (held.count("s", "one"), held.count("s", "three"), held.count("t", ""), held.count("a", "")) == (
        1,
        2,
        1,
        0,
    )


async def test_a_released_slot_is_gone_and_nothing_is_left_of_it() -> None:
    held = a_lease_keeper()
    held.acquire([at_a_time("one"), at_a_time("two")])
    await held.release([at_a_time("one"), at_a_time("one"), window()])
    assert held.count("s", "") == 1
    await held.release([at_a_time("two")])
    await held.release([at_a_time("two")])
    assert not held._held
