"""The ledger in Redis: every call counts once, whatever happens to the connection."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date
from itertools import count

import pytest
from redis import Redis

from shared.usage.__main__ import check_sums
from shared.usage.aggregates import OTHER, Combination, CombinationCap, grouped, sums_of
from shared.usage.keys import ledger_key, sums_keys
from shared.usage.reader import UsageReader
from shared.usage.row import LedgerRow
from shared.usage.settler import MAX_WAITING, Settler, open_settler
from tests.support.valkey_server import Server
from tests.usage.rows import NOON, row

FIRST, LAST = date(2026, 12, 1), date(2026, 12, 3)
_IDS = count()


@pytest.fixture
def client(valkey_socket: str) -> Iterator[Redis]:
    with Redis(unix_socket_path=valkey_socket) as client:
        for key in (*client.keys("led:*"), *client.keys("use:*")):
            client.delete(key)
        yield client


@asynccontextmanager
async def settler(socket: str, max_rows: int = 1_000_000) -> AsyncIterator[Settler]:
    opened = open_settler({"unix_socket_path": socket}, lambda: f"batch-{next(_IDS)}", max_rows)
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


async def test_combinations_above_the_bound_count_as_other(valkey_socket: str, client: Redis) -> None:
    async with settler(valkey_socket) as one:
        one._cap = CombinationCap(most=1)
        for number in range(3):
            one.add(row(number, user=f"user-{number}"))
        await one.flush()
    sums = UsageReader(client).sums("acme", FIRST, LAST)["2026-12-01"]
    assert sums[Combination(*[OTHER] * 5)].calls == 2


async def test_a_ledger_is_bounded_and_says_that_rows_are_missing(valkey_socket: str, client: Redis) -> None:
    async with settler(valkey_socket, max_rows=100) as one:
        for number in range(1_000):
            one.add(row(number))
        await one.flush()
    reader = UsageReader(client)
    assert 100 <= len(list(reader.all_rows("acme"))) < 400
    assert not reader.is_complete("acme")


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
