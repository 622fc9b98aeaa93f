"""Writes rows to the ledger in batches, off the path of requests.

With a row, what its request reserved in budgets is settled: what it used takes the place of that.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from itertools import batched
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from shared.core.durations import DAY_SECONDS, HOUR_SECONDS
from shared.core.errors import StoreDown
from shared.limits.redis.limiter import SETTLE_LEASE
from shared.limits.values import budget_key, budget_keys
from shared.redis_client.open import AnyConnection, open_connection
from shared.redis_client.protocol import ErrorReply
from shared.redis_client.script import Script
from shared.usage.aggregates import COUNTERS, Combination, CombinationCap, Totals, WaitingRow, add_to
from shared.usage.keys import batch_key, ledger_key, sums_keys
from shared.usage.ledger_bound import LedgerBound
from shared.usage.pending import PendingBatches
from shared.usage.row import LedgerRow, day_of

logger = logging.getLogger(__name__)

#: The script that writes a batch.
SETTLE: Final = Script.of(SETTLE_LEASE, Path(__file__).parent / "lua" / "settle.lua")

#: The most rows that wait for Redis in the memory of a worker; others wait on disk.
MAX_WAITING: Final = 10_000
# Seconds between two batches, seconds that a call may take, and rows of one call.
_INTERVAL: Final = 0.1
_DEADLINE: Final = 1.0
_MAX_BATCH: Final = 200
# How long a batch is known, so that one whose reply was lost is not counted twice; also one that was on disk.
_BATCH_MS: Final = 1_000 * HOUR_SECONDS
_PENDING_MS: Final = 1_000 * DAY_SECONDS
# The sums of a day are kept for so long: a year and a month.
_SUMS_SECONDS: Final = 400 * DAY_SECONDS


class _Release(NamedTuple):
    """The reservation of a request that has no row: its lease, and the names of the budgets."""

    lease: str
    budgets: Sequence[str]


@dataclass(slots=True, kw_only=True)
class _Batch:
    """Rows of one tenant and day that are written together, or what is released of one tenant.

    Attributes:
        id: its name, however often it is tried.
        tenant: the id of the tenant.
        day: the day of all its rows.
        rows: those that are appended to the ledger.
        sums: what they add to the sums of the day.
        released: what is settled with nothing.
        known_ms: how long Redis knows that it was written.
    """

    id: str
    tenant: str
    day: str
    rows: Sequence[WaitingRow]
    sums: Mapping[Combination, Totals]
    released: Sequence[_Release] = ()
    known_ms: int = _BATCH_MS

    @property
    def size(self) -> int:
        """Its rows, and what it releases."""
        return len(self.rows) + len(self.released)

    @property
    def leases(self) -> Iterator[tuple[str, str, int, int]]:
        """Yield the name of the budget, the lease, the amount, and 1 if it counts without a lease."""
        for row in self.rows:
            yield from row.settled
        for released in self.released:
            for name in released.budgets:
                yield name, released.lease, 0, 0

    def encoded(self) -> str:
        """The batch as a line of text."""
        rows = b",".join([row.text for row in self.rows]).decode()
        head = json.dumps({"id": self.id, "tenant": self.tenant, "day": self.day, "released": self.released})
        return f'{head[:-1]}, "rows": [{rows}]}}'

    @classmethod
    def parse(
        cls, line: str, sums: Callable[[str, str, Sequence[WaitingRow]], Mapping[Combination, Totals]]
    ) -> Self:
        """A batch that `encoded` wrote. Raises ValueError on anything else."""
        try:
            members = json.loads(line)
            rows = [WaitingRow.of(LedgerRow.of(one)) for one in members["rows"]]
            id, tenant, day = members["id"], members["tenant"], members["day"]
            released = [_Release(*one) for one in members.get("released", ())]
        except (KeyError, TypeError) as error:
            raise ValueError(f"This is not a batch of rows: {error!r}") from None
        return cls(
            id=id,
            tenant=tenant,
            day=day,
            rows=rows,
            sums=sums(tenant, day, rows),
            released=released,
            known_ms=_PENDING_MS,
        )


def _tell_nobody(tenant_id: str, budget: str, used: int) -> None:
    """Do nothing: for a process that watches no budgets."""


@dataclass(slots=True)
class Settler:
    """Collects the rows of a worker and writes them. One event loop only.

    A worker that is killed while Redis is away loses the rows in its memory, `MAX_WAITING` at most. The
    others are on disk, and so are all those of a worker that ends by itself. A lost row counts in budgets as
    much as was reserved for it.

    Attributes:
        connection: to Redis.
        random_id: makes the names of batches.
        bound: the bound of all ledgers together.
        pending: takes what does not fit into the memory; None: it is dropped.
        dropped: rows that were lost, because Redis was away for too long.
        settled: gets the tenant, the name of a budget, and what it has used, each time it is settled.
    """

    connection: AnyConnection
    random_id: Callable[[], str]
    bound: LedgerBound
    _: KW_ONLY
    pending: PendingBatches | None = None
    dropped: int = 0
    settled: Callable[[str, str, int], None] = _tell_nobody
    _waiting: deque[WaitingRow] = field(default_factory=deque)
    _released: deque[tuple[str, _Release]] = field(default_factory=deque)
    _batches: deque[_Batch] = field(default_factory=deque)
    _cap: CombinationCap = field(default_factory=CombinationCap)
    _is_down: bool = False
    _may_have_pending: bool = True
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, row: LedgerRow) -> None:
        """Take a row; it is written within a moment."""
        self.put(WaitingRow.of(row))

    def put(self, row: WaitingRow) -> None:
        """The same for one that was made ready."""
        size = len(self._waiting)
        if size >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append(row)
        if not size:  # else it is set, or `run` is about to write
            self._came.set()

    def release(self, tenant_id: str, lease: str, budgets: Sequence[str]) -> None:
        """Settle with nothing what a request without a row reserved; `budgets` are names as in its row."""
        if budgets and len(self._released) < MAX_WAITING:
            self._released.append((tenant_id, _Release(lease, budgets)))
            self._came.set()

    @property
    def waiting(self) -> int:
        """Rows and releases that are not written yet."""
        return len(self._waiting) + len(self._released) + sum(batch.size for batch in self._batches)

    async def run(self) -> None:
        """Write what was collected, until canceled."""
        while True:
            if not self._has_more:
                await self._came.wait()
            await asyncio.sleep(_INTERVAL)
            self._came.clear()
            await self.flush()

    @property
    def _has_more(self) -> bool:
        return self.waiting > 0 or (self.pending is not None and self._may_have_pending)

    async def flush(self) -> None:
        """Write all rows. While Redis does not respond, they wait for the next call, in memory or on disk."""
        self._batches.extend(self._new_batches())
        try:
            await self._write_all()
            await self._write_pending()
            await self.bound.apply()
        except StoreDown as error:
            self._wait(error)
        await self._spill(MAX_WAITING)
        if self._is_down and not self._batches:
            logger.info("The ledger is written again; %d rows were lost.", self.dropped)
            self._is_down = False

    async def _write_all(self) -> None:
        """Write the batches in memory. Raises `StoreDown`."""
        for _ in range(len(self._batches)):
            try:
                await self._write(self._batches[0])
            except ErrorReply as error:
                self._wait(error)
                self._batches.rotate(-1)  # the ledgers of other tenants may be writable
            else:
                self._batches.popleft()

    async def _write_pending(self) -> None:
        """Write some of the batches on disk. Raises `StoreDown`."""
        if self.pending is None or not self._may_have_pending:
            return
        lines = await asyncio.to_thread(self.pending.take)
        for batch in self._parsed(lines):
            try:
                await self._write(batch)
            except ErrorReply as error:
                self._wait(error)
                self._batches.append(batch)
        await asyncio.to_thread(self.pending.commit)
        self._may_have_pending = bool(lines)

    def _parsed(self, lines: Iterable[str]) -> Iterator[_Batch]:
        for line in lines:
            try:
                yield _Batch.parse(line, self._sums)
            except ValueError as error:
                self.dropped += 1
                logger.error("A line of a file in pending-settles is lost: %s", error)

    async def _spill(self, most: int) -> None:
        """Move batches from memory to disk, the newest first, until at most so many rows are left."""
        batches: list[_Batch] = []
        waiting = self.waiting
        while self._batches and waiting > most:
            batches.append(self._batches.pop())
            waiting -= batches[-1].size
        if not batches:
            return
        written = 0
        if self.pending is not None:
            lines = [batch.encoded() for batch in batches]
            written = await asyncio.to_thread(self.pending.append, lines)
            self._may_have_pending = True
        self.dropped += sum(len(batch.rows) for batch in batches[written:])

    def _wait(self, error: StoreDown) -> None:
        if not self._is_down:
            logger.warning("The ledger waits for Redis: %s", error)
        self._is_down = True

    async def close(self) -> None:
        """Write what is left, to Redis or to the disk, and close the connection."""
        await self.flush()
        await self._spill(0)
        if self.pending is not None:
            self.pending.close()
        await self.connection.close()

    def _new_batches(self) -> list[_Batch]:
        alike: dict[tuple[str, float], list[WaitingRow]] = {}
        for row in self._waiting:
            name = row[:2]
            if name in alike:
                alike[name].append(row)
            else:
                alike[name] = [row]
        self._waiting.clear()
        released: dict[str, list[_Release]] = {}
        while self._released:
            tenant_id, one = self._released.popleft()
            released.setdefault(tenant_id, []).append(one)
        return [
            *(
                self._batch(tenant, day_of(day * DAY_SECONDS), some)
                for (tenant, day), all_rows in alike.items()
                for some in batched(all_rows, _MAX_BATCH)
            ),
            *(
                self._batch(tenant, "", (), some)
                for tenant, all_released in released.items()
                for some in batched(all_released, _MAX_BATCH)
            ),
        ]

    def _batch(
        self, tenant: str, day: str, rows: Sequence[WaitingRow], released: Sequence[_Release] = ()
    ) -> _Batch:
        sums = self._sums(tenant, day, rows)
        return _Batch(id=self.random_id(), tenant=tenant, day=day, rows=rows, sums=sums, released=released)

    def _sums(self, tenant: str, day: str, rows: Sequence[WaitingRow]) -> Mapping[Combination, Totals]:
        alike: dict[Combination, list[tuple[int, ...]]] = {}
        for row in rows:
            name = row.combination
            if name in alike:
                alike[name].append(row.numbers)
            else:
                alike[name] = [row.numbers]
        sums: dict[Combination, Totals] = {}
        for name, some in alike.items():
            totals = Totals(**dict(zip(COUNTERS, map(sum, zip(*some, strict=True)), strict=True)))
            add_to(sums, self._cap.apply(tenant, day, name), totals)
        return sums

    async def _write(self, batch: _Batch) -> None:
        keys = [batch_key(batch.tenant, batch.id), ledger_key(batch.tenant)]
        keys += sums_keys(batch.tenant, batch.day)
        numbers: dict[str, int] = {}
        leases: list[str | int] = []
        for budget, lease, amount, counts_always in batch.leases:
            leases += [numbers.setdefault(budget, len(numbers)), lease, amount, counts_always]
        for budget in numbers:
            keys += budget_keys(budget_key(batch.tenant, budget))
        counts = [len(COUNTERS), len(batch.rows), len(leases) // 4]
        arguments: list[str | bytes | int] = [batch.known_ms, _SUMS_SECONDS, *counts]
        arguments += [row.text for row in batch.rows]
        arguments += leases
        for name, totals in batch.sums.items():
            arguments += [name.field, *totals.numbers]
        size, *used = await self.connection.run(SETTLE, keys, arguments)
        if size:
            self.bound.note(batch.tenant, size)
        for budget, number in zip(numbers, used, strict=False):
            self.settled(batch.tenant, budget, number)


def open_settler(
    options: Mapping[str, Any],
    random_id: Callable[[], str],
    *,
    max_bytes: int,
    pending: PendingBatches | None = None,
) -> Settler:
    """A settler with its own connection; `options` are keyword arguments of redis.Redis.

    `max_bytes`: about the most bytes of all ledgers in Redis.
    """
    connection = open_connection(options, (SETTLE,), _DEADLINE)
    return Settler(connection, random_id, LedgerBound(connection, max_bytes), pending=pending)
