"""Names that are nobody's: remembered for a short time, and never more than a fixed number."""

import tracemalloc

from shared.config_store.cache.lru import ABSENT_SECONDS, NegativeCache


def test_a_name_is_absent_for_a_short_time() -> None:
    absent = NegativeCache()
    assert not absent.holds(("key", "a"), now=10.0)
    absent.add(("key", "a"), now=10.0)
    assert absent.holds(("key", "a"), now=10.0 + ABSENT_SECONDS - 0.001)
    assert not absent.holds(("key", "a"), now=10.0 + ABSENT_SECONDS)
    assert not absent.holds(("subdomain", "a"), now=10.0)


def test_the_oldest_makes_room_for_the_newest() -> None:
    absent = NegativeCache(max_entries=2)
    for name in ("a", "b", "a", "c"):
        absent.add(("key", name), now=0.0)
    assert len(absent) == 2
    assert [absent.holds(("key", name), now=1.0) for name in "abc"] == [True, False, True]


def test_strangers_cannot_fill_the_memory() -> None:
    absent = NegativeCache()
    tracemalloc.start()
    for number in range(100_000):
        absent.add(("subdomain", f"unknown-host-number-{number:040}"), now=float(number))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 5_000_000
