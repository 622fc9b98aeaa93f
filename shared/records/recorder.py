"""Writes request records and figures to Redis in batches, off the path of requests.

A record is never worth a request or a change of the configuration. Above the queue, while Redis is away, and
while it is nearly full, records are dropped and counted.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from shared.core.durations import DAY_SECONDS
from shared.core.errors import StoreDown
from shared.records.keys import ALL, TENANTS_KEY, last_key, records_key
from shared.records.line import AccessLine
from shared.records.minutes import Batch, Minutes
from shared.records.record import Decision, encoded
from shared.redis_client.open import AnyConnection, open_connection
from shared.redis_client.protocol import ErrorReply
from shared.redis_client.script import Script

logger = logging.getLogger(__name__)

_LUA: Final = Path(__file__).parent / "lua"
#: The scripts that write a batch.
ADD, COUNT = Script.of(_LUA / "add.lua"), Script.of(_LUA / "count.lua")

#: The most requests that wait in the memory of a worker.
MAX_WAITING: Final = 10_000
#: The share of Redis' `maxmemory` above which it gets no records.
FULL: Final = 0.9
# Seconds between two batches, and that a call may take; figures are written every so many batches.
_INTERVAL: Final = 0.25
_DEADLINE: Final = 1.0
_FIGURES_EVERY: Final = 20
# The memory of Redis is looked at, and the tenants with records are named again, every so many batches.
_ROOM_EVERY: Final = 4
_NAMED_EVERY: Final = 240
# Records of one entry of a stream. One costs Redis about as much as one record.
_MAX_BATCH: Final = 50
# The records of all tenants are short, so more of them are kept.
_ALL_FACTOR: Final = 4
_KEPT_SECONDS: Final = DAY_SECONDS

_MEMORY: Final = re.compile(rb"^(maxmemory|used_memory):([0-9]+)", re.MULTILINE).findall

# The tenant, the event and the trace of a request. The garbage collector looks at such a tuple once at most.
_Waiting = tuple[str | None, bytes, bytes]


class _Encoded(NamedTuple):
    """Records of one owner: the event and the trace of each."""

    owner: str
    events: Sequence[bytes]
    traces: Sequence[bytes]


@dataclass(slots=True)
class Recorder:
    """Collects the requests of a worker. One event loop only.

    Attributes:
        per_tenant: about the most records that a tenant keeps.
        limit_document: makes JSON of each of the `limits` of a decision.
        dropped: records that were lost.
        written: records that Redis has taken.
    """

    connection: AnyConnection
    per_tenant: int
    limit_document: Callable[[Any], Mapping[str, object]]
    dropped: int = 0
    written: int = 0
    _waiting: list[_Waiting] = field(default_factory=list)
    _room: int = MAX_WAITING
    _minutes: Minutes = field(default_factory=Minutes)
    _named: set[str] = field(default_factory=set)
    _told: int = 0
    _is_failing: bool = False
    _has_room: bool = True
    _turns: int = 0
    _flushes: int = 0

    def put(self, at: float, line: AccessLine, decision: Decision) -> None:
        """Take a request that ended `at`, in seconds since the epoch. `decision` says how it was decided."""
        if self._room == 0:
            self.dropped += 1
            return
        self._room -= 1
        self._minutes.add(at, line)
        if "limits" in decision:
            decision["limits"] = [self.limit_document(state) for state in decision["limits"]]
        self._waiting += ((line.members["tenant"], *encoded(at, line, decision)),)  # `append` would be a call

    async def run(self) -> None:
        """Write what was collected, until canceled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            self._turns += 1
            await self.flush()
            if self._turns % _FIGURES_EVERY == 0:
                await self.flush_figures()

    async def flush(self) -> None:
        """Write the records that wait, or drop them."""
        waiting, self._waiting, self._room = self._waiting, [], MAX_WAITING
        if not waiting:
            return
        failure = await self._look()
        if failure is None:
            await self._write(list(_entries(waiting)))
        else:
            self.dropped += len(waiting)
            self._tell(failure)

    async def flush_figures(self) -> None:
        """Write the figures since the last time. They are lost while Redis is away."""
        batches = list(self._minutes.take())
        if batches and self._has_room:
            await asyncio.gather(*[self._count(batch) for batch in batches], return_exceptions=True)

    def _count(self, batch: Batch) -> asyncio.Future[Any]:
        arguments: list[str | int] = [batch.kept]
        for name, amount in batch.amounts.items():
            arguments += [name, amount]
        return self.connection.run(COUNT, batch.keys, arguments)

    async def close(self) -> None:
        """Write what is left, and close the connection."""
        await self.flush()
        await self.flush_figures()
        await self.connection.close()

    async def _look(self) -> object | None:
        """Look at the memory of Redis now and then. Return why it gets no records."""
        if self._flushes % _ROOM_EVERY == 0:
            try:
                self._has_room = has_room(await self.connection.call("INFO", "memory"))
            except ErrorReply:  # an operator may have forbidden the command
                self._has_room = True
            except StoreDown as error:
                return error
        if self._flushes % _NAMED_EVERY == 0:
            self._named.clear()
        self._flushes += 1
        return None if self._has_room else "Redis is nearly full."

    async def _write(self, entries: Sequence[_Encoded]) -> None:
        calls = [(one.owner, len(one.events), self._add(one)) for one in entries]
        named = {one.owner for one in entries} - self._named - {ALL}
        naming = [self.connection.call("SADD", TENANTS_KEY, *named)] if named else []
        replies = await asyncio.gather(*[call for _, _, call in calls], *naming, return_exceptions=True)
        failure: BaseException | None = None
        for (owner, number, _), reply in zip(calls, replies, strict=False):
            failed = isinstance(reply, BaseException)
            failure = reply if isinstance(reply, BaseException) else failure
            if owner == ALL:  # it has each request once
                self.written += 0 if failed else number
                self.dropped += number if failed else 0
        if failure is None:
            self._named |= named
        self._tell(failure)

    def _add(self, one: _Encoded) -> asyncio.Future[Any]:
        least = self.per_tenant * (_ALL_FACTOR if one.owner == ALL else 1)
        lines = (b"\n".join(one.events), b"\n".join(one.traces) if any(one.traces) else b"")
        keys = (records_key(one.owner), last_key(one.owner))
        return self.connection.call(
            "EVALSHA", ADD.digest, len(keys), *keys, least, _KEPT_SECONDS, len(one.events), *lines
        )

    def _tell(self, failure: object) -> None:
        """Log that records are dropped, and how many were, each once."""
        if failure is not None and not self._is_failing:
            logger.warning("Request records are dropped: %s", failure)
        elif failure is None and self._is_failing:
            logger.info("Request records are written again; %d were dropped.", self.dropped - self._told)
            self._told = self.dropped
        self._is_failing = failure is not None


def has_room(info: bytes) -> bool:
    """Whether Redis, by its section ``memory`` of INFO, has room that the configuration does not need."""
    numbers = {name: int(number) for name, number in _MEMORY(info)}
    most = numbers.get(b"maxmemory", 0)
    return most == 0 or numbers.get(b"used_memory", 0) < most * FULL


def _entries(waiting: Sequence[_Waiting]) -> Iterator[_Encoded]:
    """The entries of the streams. Only a request of no tenant has its trace in the list of all."""
    found: dict[str, tuple[list[bytes], list[bytes]]] = {}
    for tenant, event, trace in waiting:
        if tenant is not None:
            events, traces = found.setdefault(tenant, ([], []))
            events.append(event)
            traces.append(trace)
    found[ALL] = (
        [event for _, event, _ in waiting],
        [trace if tenant is None else b"" for tenant, _, trace in waiting],
    )
    for owner, (events, traces) in found.items():
        for at in range(0, len(events), _MAX_BATCH):
            yield _Encoded(owner, events[at : at + _MAX_BATCH], traces[at : at + _MAX_BATCH])


def open_recorder(
    options: Mapping[str, Any], per_tenant: int, limit_document: Callable[[Any], Mapping[str, object]] = dict
) -> Recorder:
    """A recorder with its own connection; `options` are keyword arguments of redis.Redis.

    `limit_document` makes JSON of each of the `limits` of a decision.
    """
    connection = open_connection(options, (ADD, COUNT), _DEADLINE)
    return Recorder(connection, per_tenant, limit_document)
