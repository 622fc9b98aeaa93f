"""The usage of one request, and its row in the ledger."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from types import UnionType
from typing import Any, Final, Self

import orjson

from shared.core.durations import DAY_SECONDS


class Source(StrEnum):
    """Where the numbers come from: the provider, an estimate, or both."""

    REPORTED = "reported"
    ESTIMATED = "estimated"
    MIXED = "mixed"


# Nothing changes a `Usage` or a row once it is made. Each request makes a `Usage`: a frozen one would take
# three times as long to make, and one with slots four times as long to write. Without slots, a member with a
# default in its class takes twice as long to be read, so the defaults are those of `__init__`.
@dataclass(init=False)
class Usage:
    """The usage of one request.

    Attributes:
        input: all input, cached or not; also what was written to the cache.
        input_cached: the part of `input` that was read from the provider's cache.
        cache_write_5m, cache_write_1h: the parts of `input` that were written to the cache for that time.
        output: all output, also reasoning.
        reasoning: the part of `output` that the client does not see.
        audio_in, audio_out: the parts of `input` and `output` that are sound.
        images: pictures that were made.
        searches: searches on the web.
        seconds: sound that was transcribed, where it is paid by time.
        characters: text that was spoken.
        requests: calls that a provider served.
        source: where the numbers come from.

    `input` to `audio_out` are tokens.
    """

    input: int
    input_cached: int
    cache_write_5m: int
    cache_write_1h: int
    output: int
    reasoning: int
    audio_in: int
    audio_out: int
    images: int
    searches: int
    seconds: int
    characters: int
    requests: int
    source: Source

    def __init__(
        self,
        *,
        input: int = 0,
        input_cached: int = 0,
        cache_write_5m: int = 0,
        cache_write_1h: int = 0,
        output: int = 0,
        reasoning: int = 0,
        audio_in: int = 0,
        audio_out: int = 0,
        images: int = 0,
        searches: int = 0,
        seconds: int = 0,
        characters: int = 0,
        requests: int = 1,
        source: Source = Source.REPORTED,
    ) -> None:
        self.input = input
        self.input_cached = input_cached
        self.cache_write_5m = cache_write_5m
        self.cache_write_1h = cache_write_1h
        self.output = output
        self.reasoning = reasoning
        self.audio_in = audio_in
        self.audio_out = audio_out
        self.images = images
        self.searches = searches
        self.seconds = seconds
        self.characters = characters
        self.requests = requests
        self.source = source

    def plus(self, other: Self) -> Self:
        """The sum of two, as of two attempts of one request."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in UNITS}
        return type(self)(**sums, source=self.source if self.source is other.source else Source.MIXED)

    def minus(self, other: Self) -> Self:
        """The rest of a sum without one of its parts."""
        left = {name: getattr(self, name) - getattr(other, name) for name in UNITS}
        return type(self)(**left, source=self.source)


#: The names of the numbers.
UNITS: Final = tuple(one.name for one in fields(Usage) if one.name != "source")


def day_of(time: float) -> str:
    """The day in UTC of a time in seconds since the Unix epoch.

    >>> day_of(1_796_126_400)
    '2026-12-01'
    """
    return _day(int(time // DAY_SECONDS))


@lru_cache(512)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY_SECONDS, UTC).strftime("%Y-%m-%d")


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonedCall:
    """A call that had reported usage when it failed, so that another one followed.

    Attributes:
        provider, model: as those of `LedgerRow`.
        usage, cost_nano, rates: what was reported, and its price. They are parts of those of the row.
    """

    provider: str
    model: str
    usage: Usage
    cost_nano: int | None
    rates: Mapping[str, int] = field(default_factory=dict)


#: The kinds of adjustments: what is used becomes 0, and the limit grows.
RESET, INCREASE, REPAIR = "reset", "increase", "repair"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """A change that an operator made to a budget.

    Attributes:
        action: `RESET`, `INCREASE` or `REPAIR`.
        amount: what it added, in the budget's unit: an increase to the limit, others to what is used.
        actor: who made it.
    """

    action: str
    amount: int
    actor: str


@dataclass(kw_only=True)
class LedgerRow:
    """The usage and the cost of one request.

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
        status: the status that the client got; 0: none, because it had left.
        stream: whether the response was a stream.
        usage: what was used, also by abandoned calls.
        cost_nano: nano-USD, also of abandoned calls whose price is known; None if the price is not known.
        rates: the prices that applied, as in `shared.usage.prices.Rates`, so that the cost can be checked.
        attempts: the calls that were made.
        abandoned: those of them that had reported usage before another one followed.
        duration_ms, first_ms: until the last byte, and until the first byte of the body.
        budgets: what it counts in each budget, in the budget's unit, by `name` of `limits.values.budget_key`.
        is_unreserved: whether Redis did not take part when the budgets admitted it, so that it counts also
            without a lease.
        adjustment: a change that an operator made to a budget; None: the row is that of a request.
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
    abandoned: Sequence[AbandonedCall] = ()
    duration_ms: int = 0
    first_ms: int | None = None
    budgets: Mapping[str, int] = field(default_factory=dict)
    is_unreserved: bool = False
    adjustment: Adjustment | None = None

    @property
    def day(self) -> str:
        """The day in UTC, such as ``2026-12-01``."""
        return day_of(self.time)

    def encoded(self) -> str:
        """The row as one line of JSON."""
        return dumped(self).decode()

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """A row that `encoded` wrote. Raises ValueError on anything else."""
        return cls.of(json.loads(text))

    @classmethod
    def of(cls, members: Any) -> Self:
        """The row with the members of one that `encoded` wrote. Raises ValueError on anything else."""
        try:
            members = {**_LATER_IN_ROWS, **members}
            known = {name: _checked(members, name) for name in _NAMES}
            if not all(isinstance(amount, int) for amount in known["budgets"].values()):
                raise TypeError(f"budgets is {known['budgets']!r}")
            known["usage"] = _usage(known["usage"])
            known["abandoned"] = tuple([_abandoned(one) for one in known["abandoned"]])
            known["adjustment"] = _adjustment(known["adjustment"])
            day_of(known["time"])
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"This is not a row of the ledger: {error!r}") from None
        return cls(**known)


def dumped(value: Any) -> bytes:
    """A row, or some of its members, as JSON."""
    try:
        return orjson.dumps(value, default=dict)
    except TypeError:  # half a surrogate pair in a text, which JSON can have
        return json.dumps(value, separators=(",", ":"), default=_members).encode()


def _members(value: Any) -> Mapping[str, Any]:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else dict(value)


# Rows without these were written before they were counted.
_LATER: Final = {"seconds": 0, "characters": 0}
_LATER_IN_ROWS: Final[Mapping[str, Any]] = {
    "budgets": {},
    "is_unreserved": False,
    "adjustment": None,
}


def _usage(members: Any) -> Usage:
    members = {**_LATER, **members}
    return Usage(**{name: _checked(members, name) for name in UNITS}, source=Source(members["source"]))


def _abandoned(members: Any) -> AbandonedCall:
    known = {one.name: _checked(members, one.name) for one in fields(AbandonedCall)}
    return AbandonedCall(**{**known, "usage": _usage(known["usage"])})


def _adjustment(members: Any) -> Adjustment | None:
    if members is None:
        return None
    return Adjustment(**{one.name: _checked(members, one.name) for one in fields(Adjustment)})


_NAMES: Final = tuple(one.name for one in fields(LedgerRow))
_INTEGERS: Final = ("status", "attempts", "duration_ms", "amount", *UNITS)
# The types of the members of a row that are not texts.
_TYPES: Final[Mapping[str, type | UnionType]] = {
    **dict.fromkeys(_INTEGERS, int),
    **dict.fromkeys(("tags", "usage", "rates", "budgets"), dict),
    **dict.fromkeys(("cost_nano", "first_ms"), int | None),
    "abandoned": list,
    "adjustment": dict | None,
    **dict.fromkeys(("stream", "is_unreserved"), bool),
    "time": int | float,
}


def _checked(members: Mapping[str, Any], name: str) -> Any:
    """A member of a row. Raises KeyError or TypeError."""
    if not isinstance(value := members[name], _TYPES.get(name, str)):
        raise TypeError(f"{name} is {value!r}")
    return value


def adjustment_row(
    *, id: str, time: float, tenant: str, budgets: Mapping[str, int], change: Adjustment
) -> LedgerRow:
    """The row of a change to budgets; `budgets` has what it adds to what is used."""
    return LedgerRow(
        id=id,
        time=time,
        request_id="",
        tenant=tenant,
        key="",
        rule="",
        provider="",
        model_asked="",
        model="",
        api="",
        status=0,
        usage=Usage(requests=0),
        cost_nano=0,
        budgets=budgets,
        adjustment=change,
    )


def calls(rows: Iterable[LedgerRow]) -> Iterator[LedgerRow]:
    """Yield the rows of requests, each once."""
    return (row for row in without_repeats(rows) if row.adjustment is None)


def without_repeats(rows: Iterable[LedgerRow]) -> Iterator[LedgerRow]:
    """Yield each row once: one that was written twice has the same id."""
    seen: set[str] = set()
    for row in rows:
        if row.id not in seen:
            seen.add(row.id)
            yield row
