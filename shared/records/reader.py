"""Request records and figures as they are read from Redis, for the admin API."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson
from redis import Redis, ResponseError

from shared.core.empty import EMPTY
from shared.records.keys import ALL, calls_key, minute_key, records_key, tenants_key, total_key

logger = logging.getLogger(__name__)

# The most records that one page looks at, and that one call reads.
_MAX_LOOKED_AT: Final = 10_000
_AT_ONCE: Final = 250
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

    `recorded` counts all that were ever added to the list; None where Redis does not tell. `newest` is the id
    of the newest record that was looked at, wanted or not.
    """

    records: Sequence[Record]
    next_cursor: str | None
    recorded: int | None = None
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
        newest = self._newest(owner, after, before, limit if wanted == Filter() else _AT_ONCE)
        for looked_at, record in enumerate(newest, 1):
            if looked_at == 1:
                first = record.id
            if wanted.takes(record.event):
                found.append(Record(record.id, record.event))
            if len(found) == limit or looked_at == _MAX_LOOKED_AT:
                return RecordPage(found, record.id, recorded, first)
        return RecordPage(found, None, recorded, first)

    def _recorded(self, owner: str) -> int | None:
        try:
            info: Any = self._client.xinfo_stream(records_key(owner))
        except ResponseError:  # there is no record
            return 0
        added = info.get("entries-added")
        return None if added is None else int(added)

    def find(self, owner: str, id: str) -> Record | None:
        """The record with that id, else the newest one of the request with that id; None without any."""
        if match_id(id):
            entries: Any = self._client.xrange(records_key(owner), id, id, count=1)
            for record in _records(entries):
                return record
        return next((one for one in self._newest(owner, None, None, _AT_ONCE) if _is_of(one, id)), None)

    def find_same(self, owner: str, event: Mapping[str, Any]) -> Record | None:
        """The record of the same request in the list of another owner."""
        return next((one for one in self._newest(owner, None, None, _AT_ONCE) if one.event == event), None)

    def _newest(self, owner: str, after: str | None, before: str | None, at_once: int) -> Iterator[Record]:
        begin = "-" if after is None else f"({after}"
        while True:
            end = "+" if before is None else f"({before}"
            entries: Any = self._client.xrevrange(records_key(owner), end, begin, count=at_once)
            yield from _records(entries)
            if len(entries) < at_once:
                return
            before = entries[-1][0].decode()

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


def _is_of(record: Record, request_id: str) -> bool:
    return bool(record.event["request_id"] == request_id)


def _records(entries: Any) -> Iterator[Record]:
    """The records of a reply. One that is damaged is left out and logged."""
    for id, fields in entries:
        try:
            event, trace = orjson.loads(fields[b"event"]), orjson.loads(fields.get(b"trace", b"{}"))
            if not {"time", "source", "request_id"} <= event.keys() or not isinstance(trace, dict):
                raise ValueError("it is not a record of a request")
        except (KeyError, ValueError, AttributeError) as error:
            logger.error("The request record %s is left out: %r", id.decode(), error)
        else:
            yield Record(id.decode(), event, trace)
