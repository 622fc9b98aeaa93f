"""Budgets: what every limiter promises about what is reserved and what was used."""

from dataclasses import replace

import pytest

from shared.limits.redis.limiter import RedisLimiter
from shared.limits.values import CLOSED, MAX_UNITS, NEVER, Limit, LimitState, budget_keys
from tests.limits.redis.limiter_world import World, budget, limit

MINUTE_MS, DAY_MS = 60_000, 86_400_000
#: A day in the year 2100, when the periods of tests end: the server's own clock expires keys.
FAR_MS = 4_102_444_800_000


def state(here: World, wanted: Limit) -> LimitState:
    """The state that the next request would find."""
    return here.peek(replace(wanted, lease="another", cost=0)).states[0]


def numbers(here: World, wanted: Limit) -> tuple[int, int, int]:
    """The used, reserved and lost amounts."""
    assert here.store is not None
    used, held, lost = here.store.hmget(wanted.key, "used", "held", "lost")
    return int(used or 0), int(held or 0), int(lost or 0)


def test_reserved_amounts_count_until_they_are_settled_with_what_was_used(here: World) -> None:
    decision = here.acquire(budget(100, "a", cost=60))
    assert (decision.allowed, decision.states[0].remaining, decision.states[0].used) == (True, 40, 60)
    rejected = here.acquire(budget(100, "b", cost=41))
    assert (rejected.allowed, rejected.violated, rejected.retry_after_ms) == (
        False,
        budget(100, "b", cost=41),
        NEVER,
    )
    here.settle(budget(100, "a"), amount=5)
    assert here.acquire(budget(100, "c", cost=95)).states[0].remaining == 0


def test_second_settle_of_a_lease_changes_nothing(here: World) -> None:
    here.acquire(budget(lease="a", cost=60))
    for _ in range(3):
        here.settle(budget(lease="a"), amount=7)
    assert state(here, budget()).used == 7


def test_request_without_a_row_gives_back_what_it_reserved(here: World) -> None:
    here.acquire(budget(lease="a", cost=60), budget(lease="a", cost=60, name="bud_2:0"))
    here.settle_nothing(budget(lease="a"), budget(lease="a", name="bud_2:0"))
    assert [state(here, budget(name=name)).used for name in ("bud_1:0", "bud_2:0")] == [0, 0]


def test_request_is_charged_to_all_budgets_and_windows_or_to_none(here: World) -> None:
    small, large, window = budget(10, "a"), budget(100, "a", name="bud_2:0"), limit(number=5)
    assert here.acquire(window, large, small).allowed
    wanted = (window, *(replace(one, lease="b") for one in (large, small)))
    before = here.stored(*wanted)
    rejected = here.acquire(*wanted)
    assert (rejected.violated, [one.remaining for one in rejected.states]) == (wanted[2], [4, 90, 0])
    full = limit("full", number=0)
    assert here.acquire(full, budget(100, "c", name="bud_2:0")).violated == full
    assert here.stored(*wanted) == before


def test_rejection_says_when_the_period_ends(here: World) -> None:
    here.hands.now_us = (FAR_MS - 5_000) * 1000
    assert here.acquire(budget(10, cost=8, resets_at=FAR_MS)).states[0].reset_after_ms == 5_000
    here.hands.forward(1_000.5)
    assert here.acquire(budget(10, "b", cost=8, resets_at=FAR_MS)).retry_after_ms == 4_000
    assert here.acquire(budget(10, "b", cost=11, resets_at=FAR_MS)).retry_after_ms == NEVER
    here.hands.forward(9_000)
    assert here.acquire(budget(10, "c", cost=8, resets_at=FAR_MS)).retry_after_ms == 0


def test_more_is_reserved_under_the_same_lease_as_far_as_it_fits(here: World) -> None:
    here.acquire(budget(100, "a", cost=60))
    assert here.extend(budget(100, "a", cost=30)).states[0].remaining == 10
    assert not here.extend(budget(100, "a", cost=30)).allowed
    assert state(here, budget(100)).used == 90
    here.settle(budget(lease="a"), amount=70)
    assert state(here, budget(100)).used == 70


def test_lease_that_ends_counts_as_used_what_it_reserved(here: World) -> None:
    here.acquire(budget(100, "crashed", cost=60))
    here.hands.forward(MINUTE_MS)
    assert here.peek(budget(100, "b", cost=41)).states[0].used == 60
    assert not here.acquire(budget(100, "b", cost=41)).allowed
    if here.store is not None:
        assert numbers(here, budget()) == (60, 0, 1)
    assert here.acquire(budget(100, "b", cost=30)).states[0].remaining == 10
    assert not here.acquire(budget(100, "c", cost=11)).allowed
    if here.store is not None:
        assert numbers(here, budget()) == (60, 30, 1)


@pytest.mark.parametrize("settles", [1, 2])
def test_late_settle_corrects_what_a_lease_counted_when_it_ended(here: World, settles: int) -> None:
    here.acquire(budget(100, "late", cost=60))
    here.hands.forward(MINUTE_MS)
    here.acquire(budget(100, "b", cost=30))
    for _ in range(settles):
        here.settle(budget(100, "late"), amount=80)
    assert state(here, budget(100)).used == 110
    assert state(here, budget(100)).remaining == -10
    if here.store is not None:
        assert numbers(here, budget()) == (80, 30, 0)


def test_lease_that_ended_and_reserves_more_is_settled_as_one(here: World) -> None:
    here.acquire(budget(1_000, "late", cost=60))
    for more in (30, 7):
        here.hands.forward(MINUTE_MS)
        here.acquire(budget(1_000, f"other-{more}", cost=1))
        assert here.extend(budget(1_000, "late", cost=more)).allowed
    here.settle(budget(lease="late"), amount=50)
    assert state(here, budget(1_000)).used == 52


def test_renewed_lease_goes_on_and_a_settled_one_does_not_come_back(here: World) -> None:
    here.acquire(budget(100, "a", cost=60))
    for _ in range(5):
        here.hands.forward(MINUTE_MS - 1)
        here.renew(budget(100, "a"))
        here.acquire(budget(100, "b", cost=0))
    here.settle(budget(lease="a"), amount=1)
    here.renew(budget(100, "a"), limit())
    here.hands.forward(MINUTE_MS)
    here.acquire(budget(100, "b", cost=0))
    assert state(here, budget(100)).used == 1


def test_debt_rejects_until_the_limit_is_raised(here: World) -> None:
    here.acquire(budget(100, "a"))
    here.settle(budget(lease="a"), amount=120)
    rejected = here.acquire(budget(100, "b", cost=0))
    assert (rejected.allowed, rejected.states[0].remaining, rejected.states[0].used) == (False, -20, 120)
    assert here.acquire(budget(121, "b", cost=1)).allowed


def test_budget_without_a_bound_counts_and_never_rejects(here: World) -> None:
    here.acquire(budget(MAX_UNITS, "a", cost=9 * 10**15))
    assert state(here, budget(MAX_UNITS)).used == 9 * 10**15


def test_amounts_are_exact_to_the_nano_dollar(here: World) -> None:
    most = 9 * 10**15
    here.acquire(budget(most, "a", cost=most - 1))
    assert not here.acquire(budget(most, "b", cost=2)).allowed
    assert here.acquire(budget(most, "c", cost=1)).states[0].remaining == 0
    here.settle(budget(lease="a"), amount=most - 3)
    assert state(here, budget(most)).used == most - 2


def test_row_of_a_request_that_redis_did_not_admit_counts_without_a_lease(here: World) -> None:
    here.settle(budget(lease="alone"), amount=7, is_unreserved=True)
    assert state(here, budget()).used == 7
    if here.store is not None:
        assert here.store.ttl(budget().key) > 399 * 86_400
        here.acquire(budget(resets_at=FAR_MS))
        assert here.store.pexpiretime(budget().key) == FAR_MS + 40 * DAY_MS


def test_all_leases_that_ended_count_in_the_end(here: World) -> None:
    for number in range(150):
        here.acquire(budget(10_000, f"crashed-{number}", cost=2))
    here.hands.forward(MINUTE_MS)
    for number in range(3):
        here.acquire(budget(10_000, f"other-{number}", cost=0))
    assert state(here, budget(10_000)).used == 300
    if here.store is not None:
        assert numbers(here, budget()) == (300, 0, 150)


def test_budget_is_kept_for_forty_days_after_its_period(here: World) -> None:
    if here.store is None:
        return
    for resets_at, expires in (
        (FAR_MS, FAR_MS + 40 * DAY_MS),
        (FAR_MS + DAY_MS, FAR_MS + 41 * DAY_MS),
        (0, -1),
    ):
        here.acquire(budget(100, "crashed", cost=1, resets_at=resets_at))
        here.hands.forward(MINUTE_MS)
        here.acquire(budget(100, "a", cost=1, resets_at=resets_at))
        assert {here.store.pexpiretime(key) for key in budget_keys(budget().key)} == {expires}
    here.settle(budget(lease="a"), amount=1)
    here.acquire(budget(100, "b", resets_at=0))
    assert here.store.pexpiretime(budget_keys(budget().key)[1]) == -1


def test_budget_of_a_period_that_is_gone_is_not_made_again_by_a_late_row(here: World) -> None:
    here.settle(budget(lease="late"), amount=7)
    assert here.stored(budget()) in ([], [(None, -2)] * 4)


def test_canceled_leases_give_back_what_they_reserved(here: World) -> None:
    if not isinstance(here.limiter, RedisLimiter):
        return
    for lease in "ab":
        here.acquire(budget(lease=lease), limit())
    here.run(here.limiter.cancel([budget(lease="a"), budget(lease="b"), budget(lease="never"), limit()]))
    assert numbers(here, budget()) == (0, 0, 0)


def test_budget_key_with_something_else_does_not_stop_the_ledger(here: World) -> None:
    if here.store is None:
        return
    here.acquire(budget(lease="a", name="bud_2:0"))
    here.store.set(budget().key, "something else")
    here.settle(budget(lease="a"), budget(lease="a", name="bud_2:0"), amount=3)
    assert state(here, budget(name="bud_2:0")).used == 3
    assert here.store.xlen("led:{tenant}") == 1


def test_released_request_is_renewed_no_longer_and_keeps_its_reservation(here: World) -> None:
    here.acquire(budget(100, "a", cost=60, on_error=CLOSED))
    here.release(budget(100, "a", cost=60))
    assert state(here, budget(100)).used == 60
