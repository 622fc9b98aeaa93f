"""Sums of usage per day, so that reports need not read the ledger.

A sum is kept for each combination of key, user, rule, provider and model of a day. Their number is bounded
per worker; what is above counts as `OTHER`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any, Final, NamedTuple, Self

from shared.core.durations import DAY_SECONDS
from shared.model.amounts import usd
from shared.usage.row import LedgerRow, calls, dumped

#: Stands for each part of a combination that is not counted by itself.
OTHER: Final = "other"


class Combination(NamedTuple):
    """The dimensions of a sum: ids of the API key and the rule, and names."""

    key: str
    user: str
    rule: str
    provider: str
    model: str

    @classmethod
    def of(cls, row: LedgerRow) -> Self:
        return cls(row.key, row.user, row.rule, row.provider, row.model)

    @property
    def field(self) -> str:
        """The name of its field in Redis."""
        return json.dumps(self, separators=(",", ":"))

    @classmethod
    def parse(cls, field: str | bytes) -> Self:
        """The combination of a field. Raises ValueError."""
        parts = json.loads(field)
        if (
            not isinstance(parts, list)
            or len(parts) != len(cls._fields)
            or not all(isinstance(part, str) for part in parts)
        ):
            raise ValueError("This is not a combination of five texts.")
        return cls._make(parts)


_OTHER: Final = Combination(*[OTHER] * 5)

#: The fields by which a report may be grouped, besides the day and the tags of API keys.
DIMENSIONS: Final = Combination._fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """The sums of several calls.

    Attributes:
        calls: the number of calls.
        input, output: tokens.
        cached: the part of `input` that was read from the provider's cache.
        cost_nano: nano-USD of the calls whose price is known.
        unpriced: the calls whose price is not known.
    """

    calls: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    cost_nano: int = 0
    unpriced: int = 0

    @classmethod
    def of(cls, *rows: LedgerRow) -> Self:
        usages = [row.usage for row in rows]
        priced = [row.cost_nano for row in rows if row.cost_nano is not None]
        return cls(
            calls=len(rows),
            input=sum([usage.input for usage in usages]),
            output=sum([usage.output for usage in usages]),
            cached=sum([usage.input_cached for usage in usages]),
            cost_nano=sum(priced),
            unpriced=len(rows) - len(priced),
        )

    @property
    def numbers(self) -> tuple[int, ...]:
        """The sums in the order of `COUNTERS`."""
        return (self.calls, self.input, self.output, self.cached, self.cost_nano, self.unpriced)

    def as_json(self) -> dict[str, int | str]:
        """The sums as a JSON object: the cost in USD as decimal text, all others as numbers."""
        return {
            "calls": self.calls,
            "input": self.input,
            "output": self.output,
            "cached": self.cached,
            "unpriced": self.unpriced,
            "cost": usd(self.cost_nano),
        }

    def plus(self, other: Self) -> Self:
        """The sums of both."""
        return type(self)(
            calls=self.calls + other.calls,
            input=self.input + other.input,
            output=self.output + other.output,
            cached=self.cached + other.cached,
            cost_nano=self.cost_nano + other.cost_nano,
            unpriced=self.unpriced + other.unpriced,
        )


#: The names of the sums; each is a hash in Redis.
COUNTERS: Final = tuple(one.name for one in fields(Totals))

#: Sums by day and combination.
Sums = Mapping[str, Mapping[Combination, Totals]]


def add_to[Name](sums: dict[Name, Totals], name: Name, totals: Totals) -> None:
    """Add to the sum of that name."""
    sums[name] = sums[name].plus(totals) if name in sums else totals


def total(parts: Iterable[Totals]) -> Totals:
    """The sum of all."""
    return reduce(Totals.plus, parts, Totals())


def sums_of(rows: Iterable[LedgerRow]) -> dict[str, dict[Combination, Totals]]:
    """The sums of the rows of requests. A row that is there twice counts once."""
    found: dict[str, dict[Combination, Totals]] = {}
    for row in calls(rows):
        add_to(found.setdefault(row.day, {}), Combination.of(row), Totals.of(row))
    return found


# The members of a row that each request has of its own.
_OWN: Final = frozenset(
    {
        *("id", "time", "request_id", "status", "stream", "usage", "cost_nano", "rates", "attempts"),
        *("abandoned", "duration_ms", "first_ms", "budgets", "is_unreserved"),
    }
)


class WaitingRow(NamedTuple):
    """A row that was not written yet: its text, and what is added up of it.

    A row itself takes five times as much memory, which is no longer in the caches of the processor when it is
    written.

    Attributes:
        tenant: the id of the tenant.
        day: the number of its day since the Unix epoch.
        combination: the sum to which it belongs.
        text: the row as JSON.
        numbers: what it adds to the sum, in the order of `COUNTERS`.
        settled: for each budget that counts it: the name of the budget, the lease, the amount, and 1 if it
            counts without a lease.
    """

    tenant: str
    day: float
    combination: Combination
    text: bytes
    numbers: tuple[int, ...]
    settled: Sequence[tuple[str, str, int, int]]

    @classmethod
    def of(cls, row: LedgerRow) -> "WaitingRow":
        return RowTemplate(row).row({name: value for name, value in vars(row).items() if name in _OWN})


class RowTemplate:
    """Makes the rows of requests that have in common with `row` all members but those in `_OWN`."""

    def __init__(self, row: LedgerRow) -> None:
        self._tenant, self._combination = row.tenant, Combination.of(row)
        common = {name: value for name, value in vars(row).items() if name not in _OWN}
        self._begin = dumped(common)[:-1] + b","

    def row(self, members: Mapping[str, Any]) -> WaitingRow:
        """A row with these members of its own: all of `_OWN`, and no others."""
        usage, cost, budgets = members["usage"], members["cost_nano"], members["budgets"]
        return WaitingRow(
            self._tenant,
            members["time"] // DAY_SECONDS,
            self._combination,
            self._begin + dumped(members)[1:],
            (1, usage.input, usage.output, usage.input_cached, cost or 0, cost is None),
            _settled(members) if budgets else (),
        )


def _settled(members: Mapping[str, Any]) -> Sequence[tuple[str, str, int, int]]:
    lease, counts_always = members["id"], int(members["is_unreserved"])
    return [(name, lease, amount, counts_always) for name, amount in members["budgets"].items()]


class CombinationCap:
    """Bounds the combinations that one worker counts for a tenant on a day."""

    def __init__(self, most: int = 2_000) -> None:
        self._most = most
        self._day = ""
        self._seen: dict[str, set[Combination]] = {}

    def apply(self, tenant: str, day: str, name: Combination) -> Combination:
        """`name`, or `OTHER` in its place when the tenant has too many on that day."""
        if day > self._day:
            self._day = day
            self._seen.clear()
        seen = self._seen.setdefault(tenant, set())
        if name in seen:
            return name
        if len(seen) >= self._most:
            return _OTHER
        seen.add(name)
        return name


def grouped(sums: Sums, by: Iterable[str]) -> list[tuple[tuple[str, ...], Totals]]:
    """The sums by some of ``day`` and `DIMENSIONS`, in order.

    Without any there is one group: everything.
    """
    names = tuple(by)
    found: dict[tuple[str, ...], Totals] = {}
    for day, combinations in sums.items():
        for one, totals in combinations.items():
            add_to(found, tuple([day if name == "day" else getattr(one, name) for name in names]), totals)
    return sorted(found.items(), key=lambda item: item[0])
