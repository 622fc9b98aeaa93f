"""The deliveries to webhooks in Redis, and their results. Synchronous.

{cfg}:deliveries  hash  <webhook id>:<alert id> -> what is not sent yet, as JSON
{cfg}:delivered   hash  <webhook id> -> its last delivery, as JSON; ``position``: the last alert that was
                        read; ``number``: how many alerts the stream had been given by then
{cfg}:reached     zset  tenant -> when the period of a budget ends of which little was left; `inf`: never

The deliveries of an alert are stored before the position moves on. So each alert is sent at least once,
whichever process sends it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple

import orjson
from redis import Redis, ResponseError

from shared.alerts.delivery import Delivery, LastDelivery
from shared.alerts.stream import ALERTS
from shared.core.durations import DAY_SECONDS

#: The alerts that are not sent yet.
DELIVERIES: Final = "{cfg}:deliveries"
#: The last delivery of each webhook.
DELIVERED: Final = "{cfg}:delivered"
#: Seconds that the last delivery of a webhook is kept at least.
KEPT_SECONDS: Final = 30.0 * DAY_SECONDS
#: Tenants with a budget of which little was left.
REACHED: Final = "{cfg}:reached"
#: The most tenants there; those whose periods end first go.
MAX_REACHED: Final = 1_000
_POSITION: Final = "position"
_NUMBER: Final = "number"
_FIRST: Final = "0-0"


class Position(NamedTuple):
    """A place in the stream: the id of the last alert that was read, and its number.

    The first alert that a stream was given is number 1. None: an older release did not note it.
    """

    id: str = _FIRST
    number: int | None = 0


class Unread(NamedTuple):
    """The entries after a position, the place of the last one, and the number of those that were gone."""

    entries: Sequence[tuple[bytes, dict[bytes, bytes]]]
    position: Position
    missed: int


class Deliveries:
    """Reads and writes deliveries. The client must return bytes. Raises redis-py's errors."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def load(self, now: float) -> tuple[Position, list[Delivery]]:
        """The position in the stream, and all that is not sent yet.

        What is damaged is removed, and so are last deliveries of long ago: their webhooks may be gone.
        """
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hgetall(DELIVERED)
            pipeline.hgetall(DELIVERIES)
            last, stored = pipeline.execute()
        position = _parsed(last.pop(_POSITION.encode(), None), last.pop(_NUMBER.encode(), None))
        if old := [name for name, text in last.items() if orjson.loads(text)["at"] < now - KEPT_SECONDS]:
            self._client.hdel(DELIVERED, *old)
        found, damaged = [], []
        for name, text in stored.items():
            try:
                found.append(Delivery.parse(text))
            except (ValueError, TypeError):
                damaged.append(name)
        if damaged:
            self._client.hdel(DELIVERIES, *damaged)
        return position, found

    def alerts(self, after: Position, count: int) -> Unread:
        """The entries of the stream after a position, at most `count`."""
        given, length = self._given()
        found: Any = self._client.xrange(ALERTS, f"({after.id}", "+", count=count)
        entries = list(found)
        last = entries[-1][0].decode() if entries else after.id
        if after.number is None:
            return Unread(entries, Position(last, None if len(entries) == count else given), 0)
        missed = max(given - length - after.number, 0)
        return Unread(entries, Position(last, after.number + missed + len(entries)), missed)

    def _given(self) -> tuple[int, int]:
        """The number of alerts that the stream was given, and of those that it has."""
        try:
            found: Any = self._client.xinfo_stream(ALERTS)
        except ResponseError:  # there is none yet
            return 0, 0
        return found["entries-added"], found["length"]

    def note_reached(self, tenant: str, until: float | None, now: float) -> None:
        """Note that little is left of a budget of a tenant until then; None: for ever."""
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.zadd(REACHED, {tenant: math.inf if until is None else until}, gt=True)
            pipeline.zremrangebyscore(REACHED, "-inf", now)
            pipeline.zremrangebyrank(REACHED, 0, -MAX_REACHED - 1)
            pipeline.execute()

    def reached(self, now: float, count: int) -> Sequence[str]:
        """The tenants of which a budget was nearly spent in its present period, those that end last first.

        It may have been raised or reset since.
        """
        found: Any = self._client.zrevrangebyscore(REACHED, "+inf", now, start=0, num=count)
        return [one.decode() for one in found]

    def add(self, deliveries: Iterable[Delivery], position: Position) -> None:
        """Store what is to be sent of the alerts up to a position."""
        fields = {one.name: orjson.dumps(asdict(one)) for one in deliveries}
        with self._client.pipeline(transaction=False) as pipeline:  # in this order, on one node
            if fields:
                pipeline.hset(DELIVERIES, mapping=fields)  # type: ignore[arg-type]
            pipeline.hset(DELIVERED, _POSITION, position.id)
            if position.number is not None:
                pipeline.hset(DELIVERED, _NUMBER, position.number)
            pipeline.execute()

    def keep(self, delivery: Delivery, last: LastDelivery) -> None:
        """Note that a delivery failed, and is sent again."""
        self._note(delivery, orjson.dumps(asdict(delivery)), last)

    def end(self, delivery: Delivery, last: LastDelivery | None) -> None:
        """Note that a delivery is over. Without `last`, its webhook is gone."""
        self._note(delivery, None, last)

    def last(self, webhooks: Iterable[str]) -> Mapping[str, LastDelivery]:
        """The last deliveries of webhooks that have one."""
        ids = list(webhooks)
        texts: Any = self._client.hmget(DELIVERED, ids) if ids else []
        return {
            one: LastDelivery(**orjson.loads(text))
            for one, text in zip(ids, texts, strict=True)
            if text is not None
        }

    def _note(self, delivery: Delivery, text: bytes | None, last: LastDelivery | None) -> None:
        with self._client.pipeline(transaction=False) as pipeline:
            if text is None:
                pipeline.hdel(DELIVERIES, delivery.name)
            else:
                pipeline.hset(DELIVERIES, delivery.name, text)
            if last is None:
                pipeline.hdel(DELIVERED, delivery.webhook)
            else:
                pipeline.hset(DELIVERED, delivery.webhook, orjson.dumps(asdict(last)))
            pipeline.execute()


def _parsed(position: bytes | None, number: bytes | None) -> Position:
    if position is None:
        return Position()
    return Position(position.decode(), None if number is None else int(number))
