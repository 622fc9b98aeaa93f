"""What the store last said."""

from shared.limits.fallback.last_usage import LastUsage
from tests.limits.limits_by_name import at_a_time, left, window


def test_the_last_word_is_remembered_as_what_was_used() -> None:
    known = LastUsage(10)
    known.record([left(window("a", 100), 70), left(at_a_time("one"), 3)], now=5)
    known.record([left(window("a", 100), 60)], now=9)
    assert (known.get("a"), known.get("s"), known.get("b"), len(known)) == ((40, 9), (0, 0), (0, 0), 1)


def test_it_is_bounded_and_who_was_not_heard_of_for_the_longest_time_goes_first() -> None:
    known = LastUsage(2)
    for name in ("a", "b", "a", "c"):
        known.record([left(window(name), 1)], now=1)
    assert [known.get(name)[0] for name in "abc"] == [99, 0, 99]


def test_what_is_idle_is_swept_a_few_at_a_time() -> None:
    known = LastUsage(10)
    for now, name in enumerate("abcd"):
        known.record([left(window(name), 1)], now)
    assert known.sweep(before=3, most=2)
    assert len(known) == 2
    assert known.sweep(before=3, most=2)
    assert not known.sweep(before=3, most=2)
    assert len(known) == 1
    assert known.sweep(before=9, most=2)
    assert not known.sweep(before=9, most=2)
