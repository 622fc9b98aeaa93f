"""What is to be sent to webhooks, and what became of it, in Redis. Synchronous.

{cfg}:deliveries  hash  <webhook id>:<alert id> -> what is not sent yet, as JSON
{cfg}:delivered   hash  <webhook id> -> its last delivery, as JSON; ``position``: the last alert that was read

What is to be sent is stored before the position moves on. So each alert is sent at least once, whichever
process sends it.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

import orjson
from redis import Redis

from shared.alerts.stream import ALERTS

#: What is not sent yet.
DELIVERIES: Final = "{cfg}:deliveries"
#: The last delivery of each webhook.
DELIVERED: Final = "{cfg}:delivered"
#: Seconds that the last delivery of a webhook is kept at least.
KEPT_SECONDS: Final = 30 * 86_400.0
_POSITION: Final = "position"
_FIRST: Final = "0-0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An alert for one webhook.

    Attributes:
        owner: the tenant that has the webhook, or ``platform``.
        webhook: its id.
        alert: the id of the alert.
        event: the kind of the alert.
        body: what is sent.
        tries: how often it was sent in vain.
        next_at: when it is sent next, in seconds since the Unix epoch.
    """

    owner: str
    webhook: str
    alert: str
    event: str
    body: str
    tries: int = 0
    next_at: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.webhook}:{self.alert}"

    @property
    def id(self) -> str:
        """The same each time that it is sent, so that receivers know it again."""
        return f"{self.alert}.{self.webhook}"

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """The delivery in a field. Raises ValueError and TypeError on another form."""
        return cls(**orjson.loads(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class LastDelivery:
    """What became of the last call of a webhook.

    Attributes:
        at: when it was called, in seconds since the Unix epoch.
        event: the kind of the alert.
        delivery: its id.
        status: that of the response; None: there was none.
        milliseconds: how long it took.
        tries: how often the alert was sent until then.
        state: ``delivered``, ``failed`` (it is sent again) or ``dropped``.
        error: what went wrong; None: nothing.
    """

    at: float
    event: str
    delivery: str
    status: int | None
    milliseconds: int
    tries: int
    state: str
    error: str | None


def signature(secret: str, at: float, body: bytes) -> str:
    """The header that proves who has sent a body, and when.

    >>> signature("a-secret-of-16-characters", 1_800_000_000.0, b"{}")[:20]
    't=1800000000,v1=6df3'
    """
    moment = f"{at:.0f}"
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


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
        with self._client.pipeline(transaction=True) as pipeline:
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
