"""The ledger: one row per call of a model that was served, also in part."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Self

import orjson

from shared.usage.values import UNITS, Source, Usage


def day_of(time: float) -> str:
    """The day in UTC of a time in seconds since the Unix epoch.

    >>> day_of(1_796_126_400)
    '2026-12-01'
    """
    return _day(int(time // 86_400))


@lru_cache(512)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * 86_400, UTC).strftime("%Y-%m-%d")


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRow:
    """What one request used and cost.

    Attributes:
        id: unique; a row that was written twice counts once.
        time: the end of the request, in seconds since the Unix epoch.
        request_id: that of the log. A client may choose it, so it is not unique.
        tenant, key, rule: ids; `key` is empty on a rule without keys.
        user: that of the API key.
        tags: the metadata of the API key.
        provider: the name of the provider.
        provider_key: the id of its key; empty for a credential of the client.
        model_asked: the name that the client sent.
        model: the name that the provider knows.
        api: the API of the request, such as ``openai.chat``.
        status: the status that the client got.
        stream: whether the response was a stream.
        usage: what was used.
        cost_nano: nano-USD; None if the price is not known.
        rates: the prices that applied, as in `shared.usage.prices.Rates`, so that the cost can be checked.
        attempts: calls that reached a provider.
        duration_ms, first_ms: until the last byte, and until the first byte of the body.
    """

    id: str
    time: float
    request_id: str
    tenant: str
    key: str
    rule: str
    user: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    provider: str
    provider_key: str = ""
    model_asked: str
    model: str
    api: str
    status: int
    stream: bool = False
    usage: Usage
    cost_nano: int | None
    rates: Mapping[str, int] = field(default_factory=dict)
    attempts: int = 1
    duration_ms: int = 0
    first_ms: int | None = None

    @property
    def day(self) -> str:
        """The day in UTC, such as ``2026-12-01``."""
        return day_of(self.time)

    def encoded(self) -> str:
        """The row as one line of JSON."""
        try:
            return orjson.dumps(self, default=dict).decode()
        except TypeError:  # half a surrogate pair in a text, which JSON can have
            return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """A row that `encoded` wrote. Raises ValueError on anything else."""
        return cls.of(json.loads(text))

    @classmethod
    def of(cls, members: Any) -> Self:
        """The row with the members of one that `encoded` wrote. Raises ValueError on anything else."""
        try:
            usage = {name: members["usage"][name] for name in UNITS}
            source = Source(members["usage"]["source"])
            known = {name: members[name] for name in _NAMES}
        except (KeyError, TypeError) as error:
            raise ValueError(f"This is not a row of the ledger: {error!r}") from None
        return cls(**{**known, "usage": Usage(**usage, source=source)})


_NAMES: Final = tuple(one.name for one in fields(LedgerRow))
