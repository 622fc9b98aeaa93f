"""Limits while the store is gone, and what the store last said."""

from collections.abc import Sequence

import pytest

from shared.limits.fallback.last_usage import LastUsage
from shared.limits.fallback.local_share import LocalShare
from shared.limits.values import NEVER, OPEN, Limit
from tests.limits.limits_by_name import a_lease_keeper, at_a_time, left, window

SECOND = 1_000_000
NOW = 1_000 * SECOND


class Outage:
    """A share, what was known before, and what is held."""

    def __init__(self, workers: int, most: int = 100) -> None:
        self.known, self.held = LastUsage(100), a_lease_keeper()
        self.share = LocalShare(workers, self.known, self.held.count, most)
        self.now = NOW

    def admitted(self, *limits: Limit, times: int = 300) -> int:
        return sum(self.share.acquire(limits, self.now).allowed for _ in range(times))

    def unsynced(self) -> Sequence[tuple[str, int]]:
        return [(limit.key, limit.cost) for limit in self.share.unsynced(self.now)]


def test_a_process_admits_its_share_and_says_that_it_decided_alone() -> None:
    outage = Outage(workers=4)
    first = outage.share.acquire([window()], NOW)
    assert (first.allowed, first.degraded, first.charged_at) == (True, True, NOW)
    assert first.states == [left(window(), 24, first.states[0].reset_after_ms)]
    assert outage.admitted(window()) == 24
    rejected = outage.share.acquire([window()], NOW)
    assert (rejected.degraded, rejected.violated) == (True, window())
    assert 10_000 <= rejected.retry_after_ms <= 10_157
    assert (sum(rejected.charged["a"].values()), rejected.decided_at) == (25, NOW)


@pytest.mark.parametrize(
    ("workers", "wanted", "known", "admitted"),
    [
        (4, window(), 10, 3),
        (4, window(), 0, 0),
        (1, window(), 100, 100),
        (8, window(number=3), None, 1),
        (8, window(number=10, cost=5), None, 1),
    ],
    ids=["the rest is shared", "no refill", "all of the rest", "at least one", "at least one that costs"],
)
def test_a_process_admits_a_share_of_the_rest(
    workers: int, wanted: Limit, known: int | None, admitted: int
) -> None:
    outage = Outage(workers)
    if known is not None:
        outage.known.record([left(wanted, known)], NOW)
    assert outage.admitted(wanted) == admitted


def test_full_window_admits_again_one_window_after_redis_reported_it() -> None:
    outage = Outage(workers=1)
    outage.known.record([left(window(), 0)], NOW - 5 * SECOND)
    assert outage.admitted(window()) == 0
    outage.now += 5 * SECOND + SECOND // 4
    assert outage.admitted(window()) == 100
    outage.now += 11 * SECOND
    assert outage.unsynced() == []


def test_all_limits_of_a_request_are_charged_or_none() -> None:
    outage = Outage(workers=1)
    assert outage.admitted(window("a"), window("b", 2)) == 2
    assert outage.unsynced() == [("a", 2), ("b", 2)]


def test_an_open_limit_has_room_and_is_not_counted() -> None:
    outage = Outage(workers=1)
    outage.known.record([left(window(), 0)], NOW)
    assert outage.admitted(window(on_error=OPEN), at_a_time("x", on_error=OPEN)) == 300
    assert outage.unsynced() == []
    assert outage.share.peek([window(on_error=OPEN)], NOW).states[0].remaining == 100


NEVER_FREE = [window(number=0), window(number=0, on_error=OPEN), window(number=4, cost=5), at_a_time("x", 0)]


@pytest.mark.parametrize("never", NEVER_FREE)
def test_a_limit_that_never_has_room_has_none_without_redis(never: Limit) -> None:
    rejected = Outage(workers=2).share.acquire([never], NOW)
    assert (rejected.allowed, rejected.retry_after_ms) == (False, NEVER)


def test_a_process_counts_the_slots_that_it_holds() -> None:
    outage = Outage(workers=2)
    outage.held.acquire([at_a_time(name, 10) for name in "abcd"])
    last = outage.share.acquire([at_a_time("e", 10)], NOW)
    assert (last.allowed, last.states[0].remaining) == (True, 0)
    outage.held.acquire([at_a_time("e", 10)])
    assert outage.admitted(at_a_time("f", 10)) == 0
    assert outage.admitted(at_a_time("a", 10), times=1) == 1


def test_locally_admitted_cost_stays_unsynced_until_redis_is_charged() -> None:
    outage = Outage(workers=1)
    outage.known.record([left(window(), 50)], NOW)
    outage.admitted(window(), times=7)
    (unsynced,) = outage.share.unsynced(NOW)
    assert (unsynced.key, unsynced.cost) == ("a", 7)
    outage.admitted(window(), times=2)
    outage.share.mark_synced(unsynced, NOW)
    assert outage.unsynced() == [("a", 2)]
    outage.share.mark_synced(outage.share.unsynced(NOW)[0], NOW)
    assert len(outage.share) == 0
    outage.share.mark_synced(unsynced, NOW)


def test_a_refund_takes_back_what_was_admitted_alone_and_leaves_the_rest_to_redis() -> None:
    outage = Outage(workers=1)
    charged = outage.share.acquire([window(), at_a_time("x")], NOW)
    outage.admitted(window(), times=1)
    assert outage.share.correct([(window(), -1), (at_a_time("x"), -1)], NOW, charged.charged_at) == []
    assert outage.unsynced() == [("a", 1)]
    assert outage.share.peek([window()], NOW).states[0].remaining == 99
    outage.share.mark_synced(outage.share.unsynced(NOW)[0], NOW)
    again = [(window(), -1), (window("b"), 2)]
    assert outage.share.correct(again, NOW, NOW) == again
    assert outage.share.correct([(window(on_error=OPEN), 2)], NOW, NOW) == []


def test_a_flood_of_identities_is_bounded_and_does_not_free_a_limit_that_is_in_use() -> None:
    outage = Outage(workers=1, most=10)
    count = sum(
        outage.share.acquire([window("busy", 20), window(f"identity{number}")], NOW).allowed
        for number in range(100)
    )
    assert count == 20
    assert len(outage.share) == 10


def test_idle_shares_are_swept_a_few_at_a_time() -> None:
    outage = Outage(workers=1)
    for name in "abc":
        outage.admitted(window(name), times=1)
    outage.share.sweep(NOW + 5 * SECOND, most=2)
    assert len(outage.share) == 3
    outage.share.sweep(NOW + 11 * SECOND, most=2)
    assert len(outage.share) == 1


def test_the_last_word_is_remembered_as_what_was_used() -> None:
    known = LastUsage(10)
    known.record([left(window("a", 100), 70), left(at_a_time("one"), 3)], now=5)
    known.record([left(window("a", 100), 60)], now=9)
    assert (known.get("a"), known.get("s"), known.get("b"), len(known)) == ((40, 9), (0, 0), (0, 0), 1)


def test_last_usage_is_bounded_and_evicts_the_least_recently_recorded() -> None:
    known = LastUsage(2)
    for name in ("a", "b", "a", "c"):
        known.record([left(window(name), 1)], now=1)
    assert [known.get(name)[0] for name in "abc"] == [99, 0, 99]


def test_idle_usage_is_swept_in_small_batches() -> None:
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
