"""Budgets in Redis: what settles with rows, what operators change, and what is read."""

from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from shared.config_store.client import open_everywhere
from shared.limits.redis.limiter import open_redis_limiter
from shared.limits.values import Limit, budget_key
from shared.usage.aggregates import Totals, grouped
from shared.usage.budget_store import BudgetState, BudgetStore
from shared.usage.pending import PendingBatches
from shared.usage.reader import UsageReader
from shared.usage.row import INCREASE, REPAIR, RESET, Adjustment, LedgerRow, adjustment_row
from shared.usage.settler import open_settler
from tests.limits.redis.limiter_world import budget
from tests.support.redis_sets import ClusterSet
from tests.support.valkey_server import Server
from tests.usage.rows import NOON, row
from tests.usage.test_settler import FIRST, LAST, flush_all, settle, settler

DAILY, MONTHLY = "bud_1:1796083200", "bud_2:1796083200"


@pytest.fixture
def store(client: Redis) -> BudgetStore:
    return BudgetStore(client)


def limits(lease: str) -> list[Limit]:
    """A request of two budgets of a tenant."""
    return [budget(10_000, lease, name=name) for name in (DAILY, MONTHLY)]


async def reserve(socket: str, *leases: str) -> None:
    """Reserve 10 in each budget under each lease."""
    limiter = open_redis_limiter({"unix_socket_path": socket}, 20)
    for lease in leases:
        assert (await limiter.acquire(limits(lease))).allowed
    await limiter.close()


def ended(lease: str, daily: int, monthly: int, **members: Any) -> LedgerRow:
    """The row of a request."""
    one = row(tenant="tenant", budgets={DAILY: daily, MONTHLY: monthly}, **members)
    one.id = lease
    return one


def used(store: BudgetStore) -> list[int]:
    states = store.states("tenant", {DAILY: 0, MONTHLY: 0})
    return [states[name].used for name in (DAILY, MONTHLY)]


async def test_rows_settle_what_their_requests_reserved(valkey_socket: str, store: BudgetStore) -> None:
    await reserve(valkey_socket, "a", "b", "c")
    await settle(valkey_socket, [ended("a", 3, 4), ended("b", 30, 0)])
    assert store.states("tenant", {DAILY: 30, MONTHLY: 30, "bud_3:0": 1}) == {
        DAILY: BudgetState(used=33, held=10, lost=0, over=3),
        MONTHLY: BudgetState(used=4, held=10, lost=0, over=0),
        "bud_3:0": BudgetState(used=0, held=0, lost=0, over=0),
    }


async def test_what_budgets_have_used_is_told_with_each_settle(
    valkey_socket: str, store: BudgetStore
) -> None:
    await reserve(valkey_socket, "a", "b")
    told: list[tuple[str, str, int]] = []
    async with settler(valkey_socket) as one:
        one.settled = lambda *settled: told.append(settled)
        for lease in ("a", "b"):
            one.add(ended(lease, 3, 4))
            await one.flush()
        one.release("tenant", "c", [DAILY])
        await one.flush()
    assert told == [
        *(("tenant", DAILY, 3), ("tenant", MONTHLY, 4)),
        *(("tenant", DAILY, 6), ("tenant", MONTHLY, 8)),
        ("tenant", DAILY, 6),
    ]


async def test_rows_of_one_batch_and_of_several_count_once(valkey_socket: str, store: BudgetStore) -> None:
    await reserve(valkey_socket, *map(str, range(450)))
    rows = [ended(str(number), number, 1, time=NOON + number % 2 * 86_400) for number in range(450)]
    await settle(valkey_socket, rows)
    await settle(valkey_socket, rows[:3])
    assert used(store) == [sum(range(450)), 450]


async def test_releases_are_settled_with_nothing_also_without_rows(
    valkey_socket: str, client: Redis, store: BudgetStore
) -> None:
    await reserve(valkey_socket, "a", "b")
    async with settler(valkey_socket) as one:
        one.release("tenant", "a", [DAILY, MONTHLY])
        one.release("tenant", "b", [DAILY])
        one.release("tenant", "c", [])
        assert one.waiting == 2
        await one.flush()
        assert one.waiting == 0
    states = store.states("tenant", {DAILY: 1, MONTHLY: 1})
    assert [(state.used, state.held) for state in states.values()] == [(0, 0), (0, 10)]
    assert not client.exists("led:{tenant}")


async def test_rows_and_releases_that_waited_on_disk_settle_once(running: Server, tmp_path: Path) -> None:
    await reserve(running.socket, "a", "b", "c")
    with Redis(unix_socket_path=running.socket) as client:
        client.save()
    running.kill()
    async with settler(running.socket, pending=PendingBatches(tmp_path)) as one:
        one.add(ended("a", 3, 4))
        one.add(ended("alone", 100, 100, is_unreserved=True))
        one.release("tenant", "b", [DAILY, MONTHLY])
        await one.close()
        assert one.waiting == one.dropped == 0
    running.start()
    async with settler(running.socket, pending=PendingBatches(tmp_path)) as new:
        await flush_all(new)
        await new.close()
    with Redis(unix_socket_path=running.socket) as client:
        store = BudgetStore(client)
        assert used(store) == [103, 104]
        assert store.states("tenant", {DAILY: 0})[DAILY].held == 10


async def test_reset_begins_again_and_is_a_row(valkey_socket: str, client: Redis, store: BudgetStore) -> None:
    await reserve(valkey_socket, "a", "b")
    await settle(valkey_socket, [ended("a", 7, 8)])
    assert store.reset("tenant", DAILY, actor="ops", row_id="reset-1", now=NOON) == 7
    assert used(store) == [0, 8]
    await settle(valkey_socket, [ended("b", 2, 2)])
    assert used(store) == [2, 10]
    (change,) = [one for one in UsageReader(client).all_rows("tenant") if one.adjustment]
    assert (change.id, change.time, change.budgets) == ("reset-1", NOON, {DAILY: -7})
    assert change.adjustment == Adjustment(action=RESET, amount=-7, actor="ops")


async def test_reset_that_meets_another_one_takes_nothing_twice(
    valkey_socket: str, client: Redis, store: BudgetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reserve(valkey_socket, "a")
    await settle(valkey_socket, [ended("a", 7, 8)])
    seen = client.hget(budget_key("tenant", DAILY), "used")
    assert store.reset("tenant", DAILY, actor="ops", row_id="reset-1", now=NOON) == 7
    real = client.hget
    with monkeypatch.context() as patch:
        replies = iter([seen])
        patch.setattr(client, "hget", lambda *given: next(replies, None) or real(*given))
        assert store.reset("tenant", DAILY, actor="ops", row_id="reset-2", now=NOON) == 0
    assert used(store) == [0, 8]


async def test_lease_that_ended_counts_as_used_before_any_request_looks_at_it(
    valkey_socket: str, client: Redis
) -> None:
    limiter = open_redis_limiter({"unix_socket_path": valkey_socket}, 20, lambda: 1)
    for lease in ("crashed", "late"):
        await limiter.acquire(limits(lease))
    await limiter.close()
    await settle(valkey_socket, [ended("late", 3, 3)])
    minute = 60_000_000
    for now, state in ((minute, BudgetState(3, 10, 0, 3)), (minute + 1, BudgetState(13, 0, 1, 13))):
        assert BudgetStore(client, now=now).states("tenant", {DAILY: 0}) == {DAILY: state}
    before = client.dump(budget_key("tenant", DAILY))
    assert BudgetStore(client).reset("tenant", DAILY, actor="ops", row_id="reset-1", now=NOON) == 3
    assert before != client.dump(budget_key("tenant", DAILY))
    assert BudgetStore(client).states("tenant", {}) == {}


async def test_change_whose_reply_was_lost_is_made_once(
    valkey_socket: str, client: Redis, store: BudgetStore
) -> None:
    await reserve(valkey_socket, "a", "b")
    await settle(valkey_socket, [ended("a", 7, 8)])
    change = adjustment_row(
        id="reset-1",
        time=NOON,
        tenant="tenant",
        budgets={DAILY: -7},
        change=Adjustment(action=RESET, amount=-7, actor="ops"),
    )
    assert store._write("tenant", DAILY, 7, change)
    await settle(valkey_socket, [ended("b", 9, 9)])
    assert store._write("tenant", DAILY, 7, change)
    assert used(store) == [9, 17]
    assert len(list(UsageReader(client).all_rows("tenant"))) == 3


async def test_repair_is_right_though_requests_settle_meanwhile(
    valkey_socket: str, client: Redis, store: BudgetStore
) -> None:
    await reserve(valkey_socket, "a", "b", "c")
    await settle(valkey_socket, [ended("a", 7, 8)])
    client.hincrby(budget_key("tenant", DAILY), "used", -5)
    ((_, read),) = store.snapshots("tenant", [DAILY])
    await settle(valkey_socket, [ended("b", 20, 20)])
    assert store.repair("tenant", DAILY, read, missing=5, actor="ops", row_id="repair-1", now=NOON)
    await settle(valkey_socket, [ended("c", 1, 1)])
    assert not store.repair("tenant", DAILY, read, missing=5, actor="ops", row_id="repair-2", now=NOON)
    assert used(store) == [28, 29]
    assert store.states("tenant", {DAILY: 100})[DAILY] == BudgetState(used=28, held=0, lost=0, over=0)
    (change,) = [one for one in UsageReader(client).all_rows("tenant") if one.adjustment]
    assert (change.id, change.budgets) == ("repair-1", {DAILY: 0})
    assert change.adjustment == Adjustment(action=REPAIR, amount=5, actor="ops")


def test_increase_is_a_row_and_changes_nothing_that_was_used(client: Redis, store: BudgetStore) -> None:
    store.note_increase("tenant", DAILY, amount=50, actor="ops", row_id="more-1", now=NOON)
    ((change),) = UsageReader(client).all_rows("tenant")
    assert (change.budgets, change.adjustment) == (
        {DAILY: 0},
        Adjustment(action=INCREASE, amount=50, actor="ops"),
    )
    assert not client.exists(budget_key("tenant", DAILY))


async def test_adjustments_are_no_calls_in_sums(
    valkey_socket: str, client: Redis, store: BudgetStore
) -> None:
    await settle(valkey_socket, [ended("a", 7, 8)])
    store.note_increase("tenant", DAILY, amount=50, actor="ops", row_id="more-1", now=NOON)
    ((_, totals),) = grouped(UsageReader(client).sums("tenant", FIRST, LAST), ())
    assert totals == Totals.of(ended("a", 7, 8))


async def test_names_are_found_by_tenant(valkey_socket: str, client: Redis, store: BudgetStore) -> None:
    await reserve(valkey_socket, "a")
    client.hset(budget_key("globex", "bud_9:total:5"), "used", 1)
    client.set("bud:other", 1)
    assert store.names() == {"tenant": {DAILY, MONTHLY}, "globex": {"bud_9:total:5"}}
    assert store.names("globex") == {"globex": {"bud_9:total:5"}}


async def test_limiter_and_settler_speak_of_the_same_budgets(valkey_socket: str, client: Redis) -> None:
    """Two connections: what one reserved, the other settles, and nothing else is stored of it."""
    await reserve(valkey_socket, "a")
    await settle(valkey_socket, [ended("a", 3, 4)])
    assert sorted(key.decode() for key in client.keys("bud:*")) == [
        budget_key("tenant", DAILY),
        budget_key("tenant", MONTHLY),
    ]


@pytest.mark.slow
async def test_budgets_in_a_cluster_are_read_changed_and_found(cluster: ClusterSet) -> None:
    with open_everywhere(cluster.options) as client:
        client.flushall()
    limiter = open_redis_limiter(cluster.options, 20)
    for lease in "ab":
        assert (await limiter.acquire(limits(lease))).allowed
    await limiter.close()
    one = open_settler(cluster.options, lambda: "cluster-1", max_bytes=10**9)
    one.add(ended("a", 3, 4))
    await flush_all(one)
    await one.connection.close()
    with open_everywhere(cluster.options) as client:
        store = BudgetStore(client)
        assert store.reset("tenant", DAILY, actor="ops", row_id="reset-1", now=NOON) == 3
        assert used(store) == [0, 4]
        assert store.names()["tenant"] == {DAILY, MONTHLY}
        found = dict(store.snapshots("tenant", [DAILY, MONTHLY]))
        assert [(one.used, one.held, one.leases) for one in found.values()] == [(0, 10, 1), (4, 10, 1)]
        assert store.repair(
            "tenant", DAILY, found[DAILY], missing=2, actor="ops", row_id="repair-1", now=NOON
        )
        assert used(store) == [2, 4]
