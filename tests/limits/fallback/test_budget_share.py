"""Budgets while the store is gone: no process spends what others may have."""

import signal
from typing import Any

import pytest
from redis import Redis

from shared.core.errors import StoreDown
from shared.limits.fallback.budget_share import BudgetShare
from shared.limits.fallback.guarded_limiter import GuardedLimiter
from shared.limits.fallback.last_usage import LastUsage
from shared.limits.port import LimitUnknown
from shared.limits.values import CLOSED, MAX_UNITS, NEVER, OPEN, Decision, Limit
from shared.usage.budget_store import BudgetState, BudgetStore
from shared.usage.row import LedgerRow
from tests.limits.fallback.guarded_world import at, is_open, worker
from tests.limits.limits_by_name import left
from tests.limits.redis.limiter_world import budget, limit, name_of
from tests.support.valkey_server import Server
from tests.support.wait import until_true
from tests.usage.rows import row
from tests.usage.test_settler import settle


class Outage:
    """A share, and what was known before."""

    def __init__(self, *known: tuple[Limit, int]) -> None:
        self.known = LastUsage(100)
        self.share = BudgetShare(self.known, 2)
        self.record(1, *known)

    def record(self, now: int, *known: tuple[Limit, int]) -> None:
        self.known.record([left(limit, remaining) for limit, remaining in known], now)

    def left(self, wanted: Limit, workers: int = 1) -> int:
        return self.share.state(wanted, workers).remaining


def test_process_may_spend_its_part_of_what_was_left() -> None:
    outage = Outage((budget(100), 90))
    assert [outage.left(budget(100), workers) for workers in (1, 4, 91)] == [90, 22, 0]
    outage.share.reserve(budget(100, cost=20))
    assert outage.left(budget(100), 4) == 2
    assert outage.share.state(budget(100), 4).reset_after_ms == NEVER


def test_budget_that_redis_never_reported_has_nothing_left() -> None:
    assert Outage().left(budget(100)) == 0
    assert Outage((budget(100), -5)).left(budget(100)) == 0


def test_budget_that_is_open_or_never_rejects_has_room() -> None:
    assert Outage().left(budget(100, on_error=OPEN)) == 100
    assert Outage().left(budget(MAX_UNITS)) == MAX_UNITS


def test_new_reply_of_redis_begins_anew() -> None:
    outage = Outage((budget(100), 50))
    outage.share.reserve(budget(100, cost=50))
    assert outage.left(budget(100)) == 0
    outage.record(2, (budget(100), 30))
    assert outage.left(budget(100)) == 30
    outage.share.reserve(budget(100, cost=10))
    assert outage.left(budget(100)) == 20


def test_number_of_budgets_is_bounded() -> None:
    outage = Outage()
    for number in range(5):
        outage.share.reserve(budget(100, name=f"b:{number}"))
    assert len(outage.share._spent) == 2


def test_what_goes_on_is_reserved_later_and_what_is_over_is_not() -> None:
    share = Outage().share
    share.reserve(budget(100, "a", cost=5))
    share.reserve(budget(100, "a", cost=3))
    share.reserve(budget(100, "b"))
    share.end([budget(100, "b"), limit()])
    (unsynced,) = share.unsynced()
    assert (unsynced.lease, unsynced.cost) == ("a", 8)
    share.reserve(budget(100, "a", cost=2))
    share.mark_synced(unsynced)
    assert [one.cost for one in share.unsynced()] == [2]
    share.mark_synced(share.unsynced()[0])
    share.mark_synced(unsynced)
    assert not share.unsynced()


async def until_alone(limiter: GuardedLimiter, *limits: Limit) -> None:
    """Ask until Redis is only probed."""
    while not is_open(limiter):
        await limiter.acquire(limits)


def ended(decision: Decision, amount: int) -> LedgerRow:
    """The row of a request that is over, as a worker writes it."""
    wanted = decision.states[0].limit
    one = row(tenant="tenant", budgets={name_of(wanted): amount}, is_unreserved=decision.degraded)
    one.id = wanted.lease
    return one


def stored(running: Server) -> BudgetState:
    with Redis(**at(running)) as client:
        return BudgetStore(client).states("tenant", {name_of(budget()): 100})[name_of(budget())]


async def admit(limiter: GuardedLimiter, lease: str, cost: int = 10, **members: Any) -> Decision:
    return await limiter.acquire([budget(100, lease, cost=cost, **members)])


async def test_outage_spends_no_more_than_the_share_and_settles_it_when_redis_is_back(
    running: Server,
) -> None:
    """One request ends during the outage, and one goes on."""
    async with worker(running, workers=2) as limiter:
        rows = [ended(await admit(limiter, "before", 20), 15)]
        await limiter.release([budget(100, "before")])
        running.signal(signal.SIGSTOP)
        await until_alone(limiter, limit("other", number=10**6))
        during = await admit(limiter, "during", 30)
        goes_on = await admit(limiter, "goes on", 10)
        assert during.degraded
        assert goes_on.allowed
        with pytest.raises(LimitUnknown) as unknown:
            await admit(limiter, "too much", 1)
        assert unknown.value.rejection.code == "limits_unavailable"
        rows.append(ended(during, 25))
        await limiter.release([budget(100, "during")])
        running.signal(signal.SIGCONT)
        await until_true(lambda: not is_open(limiter))
        assert stored(running).held == 30
        await settle(running.socket, rows)
        assert stored(running) == BudgetState(used=40, held=10, lost=0, over=0)
        await settle(running.socket, [ended(goes_on, 12)])
        assert stored(running) == BudgetState(used=52, held=0, lost=0, over=0)
        assert not (await admit(limiter, "after", 50)).allowed
        assert (await admit(limiter, "after", 48)).allowed


async def test_closed_budget_rejects_and_an_open_one_admits_without_redis(running: Server) -> None:
    async with worker(running) as limiter:
        running.signal(signal.SIGSTOP)
        await until_alone(limiter, limit("other", number=10**6))
        with pytest.raises(LimitUnknown) as closed:
            await admit(limiter, "a", on_error=CLOSED)
        assert closed.value.rejection.message.startswith("The budget 'bud_1:0' cannot be counted now")
        decision = await admit(limiter, "b", 120, on_error=OPEN)
        assert (decision.allowed, decision.degraded) == (True, True)
        running.signal(signal.SIGCONT)
        await until_true(lambda: stored(running).held == 120)


async def test_stream_goes_on_by_its_share_and_keeps_what_it_reserved(running: Server) -> None:
    async with worker(running) as limiter:
        first = await admit(limiter, "stream", 60)
        running.signal(signal.SIGSTOP)
        await until_alone(limiter, limit("other", number=10**6))
        more = await limiter.extend([budget(100, "stream", cost=30)])
        assert (more.allowed, more.degraded) == (True, True)
        with pytest.raises(StoreDown):
            await limiter.extend([budget(100, "stream", cost=30)])
        running.signal(signal.SIGCONT)
        await until_true(lambda: not is_open(limiter))
        assert stored(running).held == 90
        assert not (await limiter.extend([budget(100, "stream", cost=11)])).allowed
        await settle(running.socket, [ended(first, 70)])
        assert stored(running) == BudgetState(used=70, held=0, lost=0, over=0)


async def test_row_counts_once_whenever_a_hung_redis_takes_its_reservation(running: Server) -> None:
    """The worker gave up, and admitted the request alone, while its command waited in Redis."""
    async with worker(running) as limiter:
        await admit(limiter, "goes on", 1)
        running.signal(signal.SIGSTOP)
        decision = await admit(limiter, "hung", 10)
        assert decision.degraded
        await limiter.release([budget(100, "hung")])
        running.signal(signal.SIGCONT)
        await settle(running.socket, [ended(decision, 7)])
        await until_true(lambda: not limiter._leases._uncanceled)
        assert stored(running) == BudgetState(used=7, held=1, lost=0, over=0)


async def test_worker_that_ends_gives_back_what_was_never_admitted(running: Server) -> None:
    async with worker(running, probe_every=60) as limiter:
        await admit(limiter, "goes on", 1)
        limiter._leases.abandon([budget(100, "goes on")])
    assert stored(running).held == 0


async def test_request_that_was_rejected_while_redis_hung_reserves_nothing(running: Server) -> None:
    """Redis takes the command when it runs again, long after the worker gave up."""
    async with worker(running) as limiter:
        await admit(limiter, "first", 1)
        running.signal(signal.SIGSTOP)
        with pytest.raises(StoreDown):
            await admit(limiter, "rejected", on_error=CLOSED)
        running.signal(signal.SIGCONT)
        await until_true(lambda: stored(running).held == 1)
