"""The ledger in Redis: every call counts once, whatever happens to the connection."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from shared.core.sizes import trim_plan
from shared.usage.aggregates import COUNTERS, OTHER, Combination, CombinationCap, grouped, sums_of
from shared.usage.check.sums import check_sums
from shared.usage.keys import SIZES_KEY, TRIMMING_KEY, ledger_key, sums_keys
from shared.usage.pending import PendingBatches
from shared.usage.reader import UsageReader
from shared.usage.row import LedgerRow
from shared.usage.settler import MAX_WAITING, Settler, open_settler
from tests.reliability import figures
from tests.support.valkey_server import Server
from tests.usage.rows import NOON, row

FIRST, LAST = date(2026, 12, 1), date(2026, 12, 3)
_IDS = count()
# Seconds.
PATIENCE = 20


@asynccontextmanager
async def settler(
    socket: str, *, max_bytes: int = 10**9, pending: PendingBatches | None = None
) -> AsyncIterator[Settler]:
    opened = open_settler(
        {"unix_socket_path": socket}, lambda: f"batch-{next(_IDS)}", max_bytes=max_bytes, pending=pending
    )
    try:
        yield opened
    finally:
        await opened.connection.close()


async def settle(socket: str, rows: list[LedgerRow]) -> None:
    async with settler(socket) as one:
        for each in rows:
            one.add(each)
        await one.flush()
        assert one.waiting == 0


async def test_rows_and_sums_are_what_was_settled(valkey_socket: str, client: Redis) -> None:
    rows = [row(number, time=NOON + 3600 * number, model="ab"[number % 2]) for number in range(30)]
    rows += [row(100, cost_nano=None, user="Ä\n")]
    await settle(valkey_socket, rows)
    reader = UsageReader(client)
    assert sorted(one.id for one in reader.all_rows("acme")) == sorted(one.id for one in rows)
    assert reader.sums("acme", FIRST, LAST) == sums_of(rows)
    assert reader.is_complete("acme")
    assert not list(
        check_sums(sums_of(reader.all_rows("acme")), reader.sums("acme", FIRST, LAST), days=["2026-12-01"])
    )


async def test_a_tenant_sees_its_own_rows_and_sums_only(valkey_socket: str, client: Redis) -> None:
    await settle(valkey_socket, [row(1), row(2, tenant="globex")])
    reader = UsageReader(client)
    assert [one.id for one in reader.all_rows("globex")] == ["row-2"]
    ((_, totals),) = grouped(reader.sums("acme", FIRST, LAST), ())
    assert totals.calls == 1
    assert reader.sums("nobody", FIRST, LAST) == {}
    assert reader.is_complete("nobody")


async def test_a_batch_whose_reply_was_lost_is_written_again_and_counts_once(
    valkey_socket: str, client: Redis
) -> None:
    async with settler(valkey_socket) as one:
        one.add(row(1))
        (batch,) = one._new_batches()
        await one._write(batch)
        await one._write(batch)
    reader = UsageReader(client)
    ((_, totals),) = grouped(reader.sums("acme", FIRST, LAST), ())
    assert totals.calls == 1
    assert len(list(reader.all_rows("acme"))) == 1


async def test_rows_wait_while_redis_is_away_and_are_written_when_it_is_back(running: Server) -> None:
    async with settler(running.socket) as one:
        one.add(row(1))
        await one.flush()
        running.kill()
        one.add(row(2))
        await one.flush()
        assert one.waiting == 1
        running.start()
        async with asyncio.timeout(20):
            while one.waiting:
                await one.flush()
                await asyncio.sleep(0.05)
    with Redis(unix_socket_path=running.socket) as client:
        assert "row-2" in [each.id for each in UsageReader(client).all_rows("acme")]


async def test_rows_above_the_bound_are_dropped_and_counted(valkey_socket: str) -> None:
    async with settler(valkey_socket) as one:
        for number in range(MAX_WAITING + 5):
            one.add(row(number))
        assert (one.waiting, one.dropped) == (MAX_WAITING, 5)


async def test_a_ledger_that_cannot_be_written_does_not_stop_the_others(
    valkey_socket: str, client: Redis
) -> None:
    client.set(ledger_key("acme"), "not a stream")
    async with settler(valkey_socket) as one:
        one.add(row(1))
        one.add(row(2, tenant="globex"))
        await one.flush()
        assert one.waiting == 1
        client.delete(ledger_key("acme"))
        await one.flush()
        assert one.waiting == 0
    reader = UsageReader(client)
    assert [each.id for name in ("acme", "globex") for each in reader.all_rows(name)] == ["row-1", "row-2"]


async def test_a_sum_that_cannot_grow_stays_and_the_rows_are_written_all_the_same(
    valkey_socket: str, client: Redis
) -> None:
    field = Combination.of(row(1)).field
    client.hset(sums_keys("acme", "2026-12-01")[COUNTERS.index("cost_nano")], field, 2**63 - 1)
    await settle(valkey_socket, [row(1), row(2)])
    reader = UsageReader(client)
    assert len(list(reader.all_rows("acme"))) == 2
    ((_, totals),) = grouped(reader.sums("acme", FIRST, LAST), ())
    assert (totals.calls, totals.unpriced, totals.cost_nano) == (2, 0, 2**63 - 1)


async def test_combinations_above_the_bound_count_as_other(valkey_socket: str, client: Redis) -> None:
    async with settler(valkey_socket) as one:
        one._cap = CombinationCap(most=1)
        for number in range(3):
            one.add(row(number, user=f"user-{number}"))
        await one.flush()
    sums = UsageReader(client).sums("acme", FIRST, LAST)["2026-12-01"]
    assert sums[Combination(*[OTHER] * 5)].calls == 2


async def test_the_ledgers_are_bounded_together_and_the_largest_loses_rows(
    valkey_socket: str, client: Redis
) -> None:
    async with settler(valkey_socket, max_bytes=400_000) as one:
        for number in range(1_500):
            one.add(row(number))
        for number in range(50):
            one.add(row(number, tenant="globex"))
        await one.flush()
    reader = UsageReader(client)
    assert 300 < len(list(reader.all_rows("acme"))) < 1_500
    assert client.memory_usage(ledger_key("acme")) < 400_000
    assert not reader.is_complete("acme")
    assert [each.id for each in reader.all_rows("acme")][-1] == "row-1499"
    assert reader.is_complete("globex")


async def test_one_worker_at_a_time_compares_the_ledgers(valkey_socket: str, client: Redis) -> None:
    client.set(TRIMMING_KEY, 1)
    async with settler(valkey_socket, max_bytes=1) as one:
        one.add(row(1))
        await one.flush()
    assert client.xlen(ledger_key("acme")) == 1
    assert int(client.hget(SIZES_KEY, "acme") or 0) > 100
    client.delete(TRIMMING_KEY)


@given(st.dictionaries(st.text(max_size=3), st.integers(0, 10**9), max_size=30), st.integers(1, 10**9))
def test_a_plan_to_trim_fits_and_takes_from_the_largest_only(sizes: dict[str, int], bound: int) -> None:
    plan = trim_plan(sizes, bound)
    left = {**sizes, **plan}
    assert sum(left.values()) <= bound
    assert bool(plan) == (sum(sizes.values()) > bound)
    if plan:
        assert all(plan[name] <= sizes[name] for name in plan)
        assert min(sizes[name] for name in plan) >= max([0, *(sizes[name] for name in sizes.keys() - plan)])
        assert sum(left.values()) >= bound * 0.9 - len(plan) - 1


async def test_an_operator_may_forbid_that_redis_tells_sizes(running: Server) -> None:
    with Redis(unix_socket_path=running.socket) as admin:
        admin.execute_command("ACL", "SETUSER", "default", "-memory")
        async with settler(running.socket) as one:
            one.add(row(1))
            await one.flush()
            assert one.waiting == 0
        assert len(list(UsageReader(admin).all_rows("acme"))) == 1


async def test_rows_above_the_bound_wait_on_disk_and_count_once_after_the_worker_was_killed(
    running: Server, tmp_path: Path
) -> None:
    """The rows in the memory of the killed worker are lost, and no others."""
    running.kill()
    killed = PendingBatches(tmp_path / "pending")
    async with settler(running.socket, pending=killed) as one:
        for number in range(MAX_WAITING + 3_000):
            one.add(row(number))
            if number % 1_000 == 0:
                await one.flush()
        await one.flush()
        assert one.waiting <= MAX_WAITING
        assert one.dropped == 0
        on_disk = MAX_WAITING + 3_000 - one.waiting
    killed.close()  # as the kernel does
    running.start()
    async with settler(running.socket, pending=PendingBatches(tmp_path / "pending")) as new:
        await flush_all(new)
        await new.close()
    with Redis(unix_socket_path=running.socket) as client:
        reader = UsageReader(client)
        rows = list(reader.all_rows("acme"))
        assert len(rows) == len({each.id for each in rows}) == on_disk >= 3_000
        assert reader.sums("acme", FIRST, LAST) == sums_of(rows)
    assert not list((tmp_path / "pending").glob("*.jsonl"))


async def flush_all(one: Settler) -> None:
    async with asyncio.timeout(PATIENCE):
        while one._has_more:
            await one.flush()


async def test_a_worker_that_ends_while_redis_is_away_leaves_its_rows_on_disk(
    running: Server, tmp_path: Path
) -> None:
    running.kill()
    async with settler(running.socket, pending=PendingBatches(tmp_path)) as one:
        one.add(row(1))
        one.add(row(2, tenant="globex"))
        await one.close()
        assert one.waiting == one.dropped == 0
    running.start()
    async with settler(running.socket, pending=PendingBatches(tmp_path)) as new:
        await flush_all(new)
        await new.close()
    with Redis(unix_socket_path=running.socket) as client:
        found = [each.id for name in ("acme", "globex") for each in UsageReader(client).all_rows(name)]
    assert found == ["row-1", "row-2"]


async def test_a_batch_that_was_written_before_it_went_to_disk_counts_once(
    valkey_socket: str, client: Redis, tmp_path: Path
) -> None:
    async with settler(valkey_socket, pending=PendingBatches(tmp_path)) as one:
        one.add(row(1))
        one._batches.extend(one._new_batches())
        await one._write(one._batches[0])
        await one._spill(0)
        await flush_all(one)
        await one.close()
    assert len(list(UsageReader(client).all_rows("acme"))) == 1


async def test_a_file_that_cannot_be_written_costs_the_rows_and_is_logged_once(
    running: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    running.kill()
    (tmp_path / "file").write_text("")
    async with settler(running.socket, pending=PendingBatches(tmp_path / "file")) as one:
        for number in range(2):
            one.add(row(number))
            await one.flush()
            await one._spill(0)
        assert one.dropped == 2
        await one.close()
    assert sum("pending" in record.message or "file" in record.message for record in caplog.records) == 1


async def test_a_line_that_is_no_batch_is_counted_as_lost(
    valkey_socket: str, client: Redis, tmp_path: Path
) -> None:
    (tmp_path / "7.jsonl").write_text('{"id": 1}\nnonsense\n{"half')
    async with settler(valkey_socket, pending=PendingBatches(tmp_path)) as one:
        await flush_all(one)
        assert one.dropped == 2
        await one.close()
    assert not list(tmp_path.glob("*.jsonl"))


async def test_a_row_that_was_settled_is_written_soon_and_an_idle_worker_sends_nothing(
    valkey_socket: str, client: Redis
) -> None:
    async with settler(valkey_socket) as one:
        running_task = asyncio.ensure_future(one.run())
        one.add(row(1))
        async with asyncio.timeout(PATIENCE):
            while one.waiting:
                await asyncio.sleep(0.01)
        running_task.cancel()
    assert len(list(UsageReader(client).all_rows("acme"))) == 1


async def test_sums_expire_and_pages_of_rows_come_newest_first(valkey_socket: str, client: Redis) -> None:
    await settle(valkey_socket, [row(number) for number in range(5)])
    assert all(client.ttl(key) > 300 * 86_400 for key in sums_keys("acme", "2026-12-01")[:1])
    reader = UsageReader(client)
    first = reader.rows("acme", limit=3)
    rest = reader.rows("acme", limit=3, cursor=first.next_cursor)
    assert [one.id for one in (*first.rows, *rest.rows)] == [f"row-{number}" for number in (4, 3, 2, 1, 0)]
    assert rest.next_cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "1", "1-", "-1", "1-1 COUNT", "1" * 50 + "-1"])
def test_a_wrong_cursor_is_rejected(client: Redis, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        UsageReader(client).rows("acme", limit=1, cursor=cursor)


@pytest.mark.slow
@pytest.mark.alone
async def test_a_worker_settles_5000_rows_a_second_with_less_than_one_command_each(running: Server) -> None:
    rows = [row(number, tenant=f"tenant-{number % 4}", key=f"key-{number % 20}") for number in range(30_000)]
    async with settler(running.socket) as one:
        began, used = time.monotonic(), time.process_time()
        for batch in itertools.batched(rows, 500):
            for each in batch:
                one.add(each)
            await one.flush()
        seconds, used = time.monotonic() - began, time.process_time() - used
    with Redis(unix_socket_path=running.socket) as client:
        stats: Any = client.info("commandstats")
        calls = sum(
            stats[f"cmdstat_{name}"]["calls"]
            for name in ("evalsha", "hset", "hgetall")
            if f"cmdstat_{name}" in stats
        )
        assert sum(client.xlen(ledger_key(f"tenant-{number}")) for number in range(4)) == len(rows)
    figures.lines.append(
        f"settle: {len(rows) / seconds:,.0f} rows/s, {used / len(rows) * 1e6:.0f} us of CPU a row in the worker, "
        f"{calls / len(rows):.3f} commands a row"
    )
    assert len(rows) / seconds > 5_000
    assert calls < len(rows) / 10
