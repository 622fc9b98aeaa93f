"""Usage as it is read from Redis: sums by day, and rows of the ledger.

`UsageReader` is the admin API's, and synchronous. `KeyUsageReader` is for the event loop of a worker.
"""

import asyncio
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from itertools import batched
from typing import Any, Final, NamedTuple, Self

from redis import Redis

from shared.redis_client.open import AnyConnection, open_connection
from shared.usage.aggregates import COUNTERS, Combination, Totals, total
from shared.usage.keys import ledger_key, sums_keys
from shared.usage.row import LedgerRow, day_of

logger = logging.getLogger(__name__)

#: Rows that one call reads.
PAGE: Final = 1_000
# Seconds that a call of `KeyUsageReader` may take, and the fields that it looks at in one call.
_DEADLINE: Final = 0.5
_SCANNED: Final = 5_000
# The largest part of an id in a stream of Redis.
_MAX_ID: Final = 2**64 - 1
# The characters of a pattern of Redis that stand for others.
_SPECIAL: Final = re.compile(r"[\\*?\[\]^-]")


class Entry(NamedTuple):
    """An entry of a ledger. `row` is None, and `fault` says why, when it is damaged."""

    id: str
    text: bytes
    row: LedgerRow | None
    fault: str = ""

    @classmethod
    def of(cls, id: bytes, fields: Mapping[bytes, bytes]) -> Self:
        text = fields.get(b"row", b"{}")
        try:
            return cls(id.decode(), text, LedgerRow.parse(text))
        except ValueError as error:
            return cls(id.decode(), text, None, str(error))

    @property
    def written(self) -> float:
        """The time when it was written, in seconds since the Unix epoch."""
        return int(self.id.partition("-")[0]) / 1000

    @property
    def day(self) -> str:
        """The day of its row; where it has none, that on which it was written."""
        return day_of(self.written) if self.row is None else self.row.day


class RowPage(NamedTuple):
    """Rows, the newest first. `next_cursor` is None on the last page.

    There are fewer than the limit on a page with damaged ones.
    """

    rows: list[LedgerRow]
    next_cursor: str | None


class UsageReader:
    """Reads the usage of tenants. The client must return bytes. Raises redis-py's errors."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def tenants(self) -> Iterator[str]:
        """Yield the id of each tenant with a ledger, also of deleted ones."""
        for key in self._client.scan_iter(match=ledger_key("*"), count=1_000, _type="stream"):
            yield key.decode().removeprefix("led:{").removesuffix("}")

    def sums(self, tenant_id: str, first: date, last: date) -> dict[str, dict[Combination, Totals]]:
        """The sums of each day from `first` to `last`, both included. A day without calls is left out."""
        days = list(_days(first, last))
        with self._client.pipeline(transaction=False) as pipeline:
            for day in days:
                for key in sums_keys(tenant_id, day):
                    pipeline.hgetall(key)
            replies = pipeline.execute()
        found = zip(days, batched(replies, len(COUNTERS)), strict=True)
        return {day: totals for day, hashes in found if (totals := _totals(hashes))}

    def rows(self, tenant_id: str, *, limit: int, cursor: str | None = None) -> RowPage:
        """The newest rows before the cursor. One that is damaged is left out and logged.

        Raises ValueError on a cursor of another form.
        """
        end = "+" if cursor is None else f"({_checked(cursor)}"
        entries: Any = self._client.xrevrange(ledger_key(tenant_id), max=end, count=limit)
        has_more = len(entries) == limit
        rows = list(_whole(tenant_id, [Entry.of(*each) for each in entries]))
        return RowPage(rows, entries[-1][0].decode() if has_more else None)

    def entries(self, tenant_id: str, *, after: str = "", count: int = PAGE) -> list[Entry]:
        """The oldest entries after the one with that id, also damaged ones."""
        begin = f"({after}" if after else "-"
        found: Any = self._client.xrange(ledger_key(tenant_id), min=begin, count=count)
        return [Entry.of(*each) for each in found]

    def all_entries(self, tenant_id: str, after: str = "") -> Iterator[Entry]:
        """All entries that are in Redis, the oldest first; or those after the one with that id."""
        while page := self.entries(tenant_id, after=after):
            yield from page
            after = page[-1].id

    def all_rows(self, tenant_id: str) -> Iterator[LedgerRow]:
        """All rows that are in Redis, the oldest first. One that is damaged is left out and logged."""
        return _whole(tenant_id, self.all_entries(tenant_id))

    def is_complete(self, tenant_id: str) -> bool:
        """Whether Redis has all rows that were ever written to the ledger."""
        key = ledger_key(tenant_id)
        if not self._client.exists(key):
            return True
        info: Any = self._client.xinfo_stream(key)
        return bool(info["entries-added"] == info["length"])


class KeyUsage(NamedTuple):
    """The usage of one API key on a day, and since the beginning of its month."""

    day: Totals
    month: Totals


class KeyUsageReader:
    """Reads the usage of one API key. Calls raise `StoreDown`."""

    def __init__(self, connection: AnyConnection) -> None:
        self._connection = connection

    async def usage(self, tenant_id: str, key_id: str, day: date) -> KeyUsage:
        """The sums of a key. Calls that were counted as `OTHER` are not in them."""
        days = list(_days(day.replace(day=1), day))
        sums = await asyncio.gather(*[self._totals(tenant_id, key_id, one) for one in days])
        return KeyUsage(sums[-1], total(sums))

    async def _totals(self, tenant_id: str, key_id: str, day: str) -> Totals:
        keys = sums_keys(tenant_id, day)
        fields = await self._fields(keys[0], key_id)
        if not fields:
            return Totals()
        replies = await asyncio.gather(*[self._connection.call("HMGET", key, *fields) for key in keys])
        numbers = [sum([int(amount) for amount in amounts if amount]) for amounts in replies]
        return Totals(**dict(zip(COUNTERS, numbers, strict=True)))

    async def _fields(self, sums_key: str, key_id: str) -> set[bytes]:
        """The combinations of a key in a hash: those whose JSON begins with it."""
        begin = Combination(key_id, "", "", "", "").field.partition(",")[0]
        pattern = _SPECIAL.sub(r"\\\g<0>", begin) + ",*"
        found: set[bytes] = set()
        cursor = b"0"
        while True:
            reply = await self._connection.call(
                "HSCAN", sums_key, cursor, "MATCH", pattern, "COUNT", _SCANNED
            )
            cursor, pairs = reply
            found.update(pairs[::2])
            if cursor == b"0":
                return found

    async def close(self) -> None:
        await self._connection.close()


def open_key_usage(options: Mapping[str, Any]) -> KeyUsageReader:
    """A reader with its own connection; `options` are keyword arguments of redis.Redis."""
    return KeyUsageReader(open_connection(options, (), _DEADLINE))


def _whole(tenant_id: str, entries: Iterable[Entry]) -> Iterator[LedgerRow]:
    for entry in entries:
        if entry.row is None:
            logger.error("Entry %s in the ledger of %s is left out: %s", entry.id, tenant_id, entry.fault)
        else:
            yield entry.row


def _days(first: date, last: date) -> Iterator[str]:
    for number in range((last - first).days + 1):
        yield (first + timedelta(days=number)).isoformat()


def _totals(hashes: Iterable[dict[bytes, bytes]]) -> dict[Combination, Totals]:
    found: dict[bytes, dict[str, int]] = {}
    for name, amounts in zip(COUNTERS, hashes, strict=True):
        for field, amount in amounts.items():
            found.setdefault(field, {})[name] = int(amount)
    return {Combination.parse(field): Totals(**numbers) for field, numbers in found.items()}


def _checked(cursor: str) -> str:
    parts = cursor.split("-")
    is_id = len(parts) == 2 and all(part.isdecimal() and part.isascii() and len(part) <= 20 for part in parts)
    numbers = [int(part) for part in parts] if is_id else [0]
    if not any(numbers) or max(numbers) > _MAX_ID:
        raise ValueError("cursor must be the next_cursor of the last page.")
    return cursor
