"""The usage of one API key, as a worker reads it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path

import pytest
from redis import Redis

from shared.core.errors import StoreDown
from shared.usage.aggregates import Totals
from shared.usage.reader import KeyUsageReader, open_key_usage
from tests.usage.rows import NOON, row
from tests.usage.test_settler import settle

DAY = 86_400


@asynccontextmanager
async def reader(socket: str) -> AsyncIterator[KeyUsageReader]:
    opened = open_key_usage({"unix_socket_path": socket})
    try:
        yield opened
    finally:
        await opened.close()


async def test_a_key_has_the_sums_of_its_own_calls_of_the_day_and_the_month(
    valkey_socket: str, client: Redis
) -> None:
    rows = [
        row(1, model="a"),
        row(2, model="b", cost_nano=None),
        row(3, time=NOON + DAY, user='Ä"*['),
        row(4, key="key_12"),
        row(5, key=""),
        row(6, time=NOON - DAY),  # in November
        row(7, tenant="other"),
    ]
    await settle(valkey_socket, rows)
    async with reader(valkey_socket) as one:
        found = await one.usage("acme", "key_1", date(2026, 12, 2))
        earlier = await one.usage("acme", "key_1", date(2026, 12, 1))
        nothing = await one.usage("acme", "key_?", date(2026, 12, 2))
    assert found.day == Totals(calls=1, input=10, output=5, cost_nano=rows[0].cost_nano or 0)
    assert (found.month.calls, found.month.input, found.month.unpriced) == (3, 30, 1)
    assert earlier.day == earlier.month
    assert earlier.day.calls == 2
    assert nothing.month == Totals()


async def test_a_key_is_found_among_many(valkey_socket: str, client: Redis) -> None:
    await settle(
        valkey_socket, [row(number, key=f"key_{number % 700}", user=str(number)) for number in range(1_400)]
    )
    async with reader(valkey_socket) as one:
        assert (await one.usage("acme", "key_3", date(2026, 12, 1))).day.calls == 2


async def test_usage_cannot_be_read_while_redis_is_away(tmp_path: Path) -> None:
    async with reader(str(tmp_path / "none")) as one:
        with pytest.raises(StoreDown):
            await one.usage("acme", "key_1", date(2026, 12, 1))
