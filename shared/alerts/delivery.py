"""A delivery to a webhook, its signature and its result."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Self

import orjson


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """An alert for one webhook.

    Attributes:
        owner: the tenant that has the webhook, or ``platform``.
        webhook: its id.
        alert: the id of the alert.
        event: the kind of the alert.
        body: what is sent.
        tenant: the tenant that it is about; empty: all.
        tries: the number of calls that failed.
        next_at: when it is sent next, in seconds since the Unix epoch.
    """

    owner: str
    webhook: str
    alert: str
    event: str
    body: str
    tenant: str = ""
    tries: int = 0
    next_at: float = 0.0

    @property
    def name(self) -> str:
        """The field that has it in Redis."""
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
    """The result of the last call of a webhook.

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
