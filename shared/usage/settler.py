"""Writes rows to the ledger in batches, off the path of requests."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from shared.core.errors import StoreDown
from shared.redis_client.connection import RedisConnection
from shared.redis_client.endpoint import endpoint
from shared.redis_client.protocol import ErrorReply
from shared.redis_client.script import Script
from shared.usage.aggregates import Combination, CombinationCap, Totals, sums_of
from shared.usage.keys import batch_key, ledger_key, sums_keys
from shared.usage.row import LedgerRow

logger = logging.getLogger(__name__)

#: The script that writes a batch.
SETTLE: Final = Script.of(Path(__file__).parent / "lua" / "settle.lua")

#: The most rows that wait for Redis in a worker; later ones are dropped and counted.
MAX_WAITING: Final = 10_000
# Seconds between two batches, seconds that a call may take, and rows of one call.
_INTERVAL: Final = 0.1
_DEADLINE: Final = 1.0
_MAX_BATCH: Final = 200
# How long a batch is known, so that one whose reply was lost is not counted twice.
_BATCH_MS: Final = 3_600_000
# The sums of a day are kept for so long: a year and a month.
_SUMS_SECONDS: Final = 400 * 86_400


@dataclass(slots=True)
class _Batch:
    """Rows of one tenant and day that are written together, under one name however often it is tried."""

    id: str
    tenant: str
    day: str
    rows: Sequence[LedgerRow]
    sums: Mapping[Combination, Totals]


@dataclass(slots=True)
class Settler:
    """Collects the rows of a worker and writes them. One event loop only.

    Attributes:
        max_rows: about the most rows of a tenant's ledger in Redis.
        dropped: rows that were lost, because Redis was away for too long.
    """

    connection: RedisConnection
    random_id: Callable[[], str]
    max_rows: int
    dropped: int = 0
    _waiting: deque[LedgerRow] = field(default_factory=deque)
    _batches: deque[_Batch] = field(default_factory=deque)
    _cap: CombinationCap = field(default_factory=CombinationCap)
    _is_down: bool = False
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, row: LedgerRow) -> None:
        """Take a row; it is written within a moment."""
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append(row)
        self._came.set()

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return len(self._waiting) + sum(len(batch.rows) for batch in self._batches)

    async def run(self) -> None:
        """Write what was collected, until canceled."""
        while True:
            await self._came.wait()
            await asyncio.sleep(_INTERVAL)
            self._came.clear()
            await self.flush()
            if self.waiting:
                self._came.set()

    async def flush(self) -> None:
        """Write all rows. While Redis does not respond, they wait for the next call."""
        if len(self._batches) < MAX_WAITING // _MAX_BATCH:
            self._batches.extend(self._new_batches())
        for _ in range(len(self._batches)):
            try:
                await self._write(self._batches[0])
            except ErrorReply as error:
                self._wait(error)
                self._batches.rotate(-1)  # the ledgers of other tenants may be writable
            except StoreDown as error:
                self._wait(error)
                return
            else:
                self._batches.popleft()
        if self._is_down and not self._batches:
            logger.info("The ledger is written again; %d rows were lost.", self.dropped)
            self._is_down = False

    def _wait(self, error: StoreDown) -> None:
        if not self._is_down:
            logger.warning("The ledger waits for Redis: %s", error)
        self._is_down = True

    async def close(self) -> None:
        """Write what is left, and close the connection."""
        await self.flush()
        await self.connection.close()

    def _new_batches(self) -> list[_Batch]:
        rows: dict[tuple[str, str], list[LedgerRow]] = {}
        while self._waiting:
            row = self._waiting.popleft()
            rows.setdefault((row.tenant, row.day), []).append(row)
        return [
            self._batch(tenant, day, some[at : at + _MAX_BATCH])
            for (tenant, day), some in rows.items()
            for at in range(0, len(some), _MAX_BATCH)
        ]

    def _batch(self, tenant: str, day: str, rows: Sequence[LedgerRow]) -> _Batch:
        sums: dict[Combination, Totals] = {}
        for name, totals in sums_of(rows)[day].items():
            counted = self._cap.apply(tenant, day, name)
            sums[counted] = sums.get(counted, Totals()).plus(totals)
        return _Batch(self.random_id(), tenant, day, rows, sums)

    async def _write(self, batch: _Batch) -> None:
        keys = [batch_key(batch.tenant, batch.id), ledger_key(batch.tenant)]
        keys += sums_keys(batch.tenant, batch.day)
        arguments: list[str | int] = [_BATCH_MS, self.max_rows, _SUMS_SECONDS, len(batch.rows)]
        arguments += [row.encoded() for row in batch.rows]
        for name, totals in batch.sums.items():
            arguments += [name.field, *totals.numbers]
        await self.connection.run(SETTLE, keys, arguments)


def open_settler(options: Mapping[str, Any], random_id: Callable[[], str], max_rows: int) -> Settler:
    """A settler with its own connection; `options` are keyword arguments of redis.Redis."""
    return Settler(RedisConnection(endpoint(options), (SETTLE,), _DEADLINE), random_id, max_rows)
