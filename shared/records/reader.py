"""Request records and figures as they are read from Redis, for the admin API."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson
from redis import Redis

from shared.core.empty import EMPTY
from shared.records.keys import ALL, calls_key, last_key, minute_key, records_key, tenants_key, total_key

logger = logging.getLogger(__name__)

# The most records that one page looks at, and the entries that the first call and the largest one read.
_MAX_LOOKED_AT: Final = 10_000
_FEW: Final = 4
_MANY: Final = 32
#: Matches the id of a record, and the milliseconds with which one begins.
match_id: Final = re.compile(r"[0-9]{1,19}(-[0-9]{1,19})?").fullmatch

Figures = Mapping[str, int]


class Record(NamedTuple):
    """A request. `trace` is empty in lists."""

    id: str
    event: Mapping[str, Any]
    trace: Mapping[str, Any] = EMPTY


class RecordPage(NamedTuple):
    """Records, the newest first. `next_cursor` is None on the last page.

    `recorded` counts all that were ever added to the list. `newest` is the id of the newest record that was
    looked at, wanted or not.
    """

    records: Sequence[Record]
    next_cursor: str | None
    recorded: int = 0
    newest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """The records that are wanted. None means all.

    Attributes:
        status: a status such as ``429``, or a class such as ``4xx``.
        source: ``gateway``, ``plugin``, ``upstream``, or ``plugin:<name>``.
        rule: the id of a rule.
        key: the id of an API key.
        model: the name of a model, as it was asked for or as the provider knows it.
        text: a part of the path, of the id of the request, of the code or of the model; in any case.
    """

    status: str | None = None
    source: str | None = None
    rule: str | None = None
    key: str | None = None
    model: str | None = None
    text: str | None = None

    def takes(self, event: Mapping[str, Any]) -> bool:
        """Whether a record is wanted."""
        return (
            self._takes_status(event.get("status"))
            and self.source in (None, event["source"], event["source"].partition(":")[0])
            and self.rule in (None, event.get("rule"))
            and self.key in (None, event.get("key"))
            and self.model in (None, event.get("model"), event.get("model_asked"))
            and self._takes_text(event)
        )

    def _takes_status(self, status: int | None) -> bool:
        if self.status is None:
            return True
        return status is not None and self.status in (str(status), f"{status // 100}xx")

    def _takes_text(self, event: Mapping[str, Any]) -> bool:
        if self.text is None:
            return True
        wanted = self.text.lower()
        shown = (event.get(name) for name in ("path", "request_id", "code", "model", "model_asked"))
        return any(wanted in str(value).lower() for value in shown if value is not None)


class RecordReader:
    """Reads request records. The client must return bytes. Raises redis-py's errors."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def page(
        self, owner: str, wanted: Filter, *, limit: int, after: str | None = None, before: str | None = None
    ) -> RecordPage:
        """The newest records that are wanted, newer than `after` and older than `before`."""
        found: list[Record] = []
        recorded, first = self._recorded(owner), after
        for looked_at, record in enumerate(self._newest(owner, after, before), 1):
            if looked_at == 1:
                first = record.id
            if wanted.takes(record.event):
                found.append(Record(record.id, record.event))
            if len(found) == limit or looked_at == _MAX_LOOKED_AT:
                return RecordPage(found, record.id, recorded, first)
        return RecordPage(found, None, recorded, first)

    def _recorded(self, owner: str) -> int:
        number: Any = self._client.hget(last_key(owner), "number")
        return int(number or 0)

    def find(self, owner: str, id: str) -> Record | None:
        """The record with that id, else the newest one of the request with that id; None without any."""
        if match_id(id):
            for record in self._entry_with(owner, id):
                if record.id == id:
                    return record
        return next((one for one in self._newest(owner) if one.event["request_id"] == id), None)

    def find_same(self, owner: str, event: Mapping[str, Any]) -> Record | None:
        """The record of the same request in the list of another owner."""
        return next((one for one in self._newest(owner) if one.event == event), None)

    def _newest(self, owner: str, after: str | None = None, before: str | None = None) -> Iterator[Record]:
        """The records newer than `after` and older than `before`, the newest first."""
        oldest = (0, 0) if after is None else _place(after)
        if before is not None:
            yield from (
                one for one in self._entry_with(owner, before) if oldest < _place(one.id) < _place(before)
            )
        at_once, start = _FEW, "-" if after is None else f"({after}"
        while True:
            end = "+" if before is None else "({}-{}".format(*_place(before))
            entries: Any = self._client.xrevrange(records_key(owner), end, start, count=at_once)
            yield from (one for one in _records(entries) if _place(one.id) > oldest)
            if len(entries) < at_once:
                return
            before, at_once = entries[-1][0].decode(), min(2 * at_once, _MANY)

    def _entry_with(self, owner: str, id: str) -> Iterator[Record]:
        """The records of the entry that has the record with that id, or of the next entry."""
        entries: Any = self._client.xrange(records_key(owner), id, "+", count=1)
        return _records(entries)

    def minutes(self, owner: str, minutes: Sequence[int]) -> list[Figures]:
        """The figures of each of the minutes."""
        return self._hashes([minute_key(owner, minute) for minute in minutes])

    def tenants(self, minutes: Sequence[int]) -> list[Figures]:
        """The figures of the tenants in each of the minutes."""
        return self._hashes([tenants_key(minute) for minute in minutes])

    def calls(self, owner: str, minutes: Sequence[int]) -> list[Figures]:
        """The figures of the calls of providers in each of the minutes."""
        return self._hashes([calls_key(owner, minute) for minute in minutes])

    def total(self, owner: str = ALL) -> Figures:
        """The sums of all figures. They begin anew after a day without requests."""
        return self._hashes([total_key(owner)])[0]

    def _hashes(self, keys: Sequence[str]) -> list[Figures]:
        with self._client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hgetall(key)
            replies = pipeline.execute()
        return [{name.decode(): int(amount) for name, amount in reply.items()} for reply in replies]


def _place(id: str) -> tuple[int, int]:
    """An id as two numbers, which are in the order of the records."""
    milliseconds, _, number = id.partition("-")
    return int(milliseconds), int(number or 0)


def _records(entries: Any) -> Iterator[Record]:
    """The records of a reply, the last one of each entry first. Damaged ones are left out and logged."""
    for id, fields in entries:
        try:
            events, traces = _lines(fields)
        except (KeyError, ValueError) as error:
            logger.error("The request records %s are left out: %r", id.decode(), error)
            continue
        milliseconds, last = _place(id.decode())
        for back, (event, trace) in enumerate(zip(reversed(events), reversed(traces), strict=True)):
            yield from _record(f"{milliseconds}-{last - back}", event, trace)


def _lines(fields: Mapping[bytes, bytes]) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """The events and the traces of an entry. Raises KeyError and ValueError when it is damaged."""
    if b"event" in fields:  # an entry of the release before, which has one record
        return [fields[b"event"]], [fields.get(b"trace", b"")]
    events = fields[b"events"].split(b"\n")
    traces = fields[b"traces"].split(b"\n") if b"traces" in fields else [b""] * len(events)
    if len(events) != len(traces):
        raise ValueError(f"it has {len(events)} events and {len(traces)} traces")
    return events, traces


def _record(id: str, event: bytes, trace: bytes) -> Iterator[Record]:
    try:
        of_event, of_trace = orjson.loads(event), orjson.loads(trace or b"{}")
        if not {"time", "source", "request_id"} <= of_event.keys() or not isinstance(of_trace, dict):
            raise ValueError("it is not a record of a request")
    except (ValueError, AttributeError) as error:
        logger.error("The request record %s is left out: %r", id, error)
    else:
        yield Record(id, of_event, of_trace)
