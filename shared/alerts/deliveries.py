"""The deliveries to webhooks in Redis, and their results. Synchronous.

{cfg}:deliveries  hash  <webhook id>:<alert id> -> what is not sent yet, as JSON
{cfg}:delivered   hash  <webhook id> -> its last delivery, as JSON; ``position``: the last alert that was read

What is to be sent is stored before the position moves on. So each alert is sent at least once, whichever
process sends it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import orjson
from redis import Redis

from shared.alerts.delivery import Delivery, LastDelivery
from shared.alerts.stream import ALERTS

#: What is not sent yet.
DELIVERIES: Final = "{cfg}:deliveries"
#: The last delivery of each webhook.
DELIVERED: Final = "{cfg}:delivered"
#: Seconds that the last delivery of a webhook is kept at least.
KEPT_SECONDS: Final = 30 * 86_400.0
_POSITION: Final = "position"
_FIRST: Final = "0-0"


class Deliveries:
    """Reads and writes deliveries. The client must return bytes. Raises redis-py's errors."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def load(self, now: float) -> tuple[str, list[Delivery]]:
        """The position in the stream, and all that is not sent yet.

        What is damaged is removed, and so are last deliveries of long ago: their webhooks may be gone.
        """
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hgetall(DELIVERED)
            pipeline.hgetall(DELIVERIES)
            last, stored = pipeline.execute()
        position = last.pop(_POSITION.encode(), None)
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
        return (position or _FIRST.encode()).decode(), found

    def alerts(self, position: str, count: int) -> Sequence[tuple[bytes, dict[bytes, bytes]]]:
        """The entries of the stream after a position, at most `count`."""
        found: Any = self._client.xrange(ALERTS, f"({position}", "+", count=count)
        return list(found)

    def add(self, deliveries: Iterable[Delivery], position: str) -> None:
        """Store what is to be sent of the alerts up to a position."""
        fields = {one.name: orjson.dumps(asdict(one)) for one in deliveries}
        with self._client.pipeline(transaction=False) as pipeline:  # in this order, on one node
            if fields:
                pipeline.hset(DELIVERIES, mapping=fields)  # type: ignore[arg-type]
            pipeline.hset(DELIVERED, _POSITION, position)
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
