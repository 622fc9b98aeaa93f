"""Compares the ledger with what was derived from it: the sums of each day, and the cost of each row."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shared.usage.aggregates import OTHER, Combination, Sums, Totals, sums_of
from shared.usage.prices import Rates
from shared.usage.row import LedgerRow


@dataclass(frozen=True, slots=True)
class Drift:
    """A difference between the ledger and a sum, or in a row. `expected` is computed from the rows."""

    place: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.place}: {self.found} is stored, the rows give {self.expected}"


def check_costs(rows: Iterable[LedgerRow]) -> Iterator[Drift]:
    """Yield each row whose cost is not that of its usage at its prices."""
    for row in rows:
        expected = Rates(row.rates).cost(row.usage) if row.rates else None
        if expected != row.cost_nano:
            yield Drift(f"row {row.id}, cost_nano", str(expected), str(row.cost_nano))


def check_sums(rows: Iterable[LedgerRow], sums: Sums, *, days: Iterable[str]) -> Iterator[Drift]:
    """Yield each sum of the days that is not that of the rows.

    Combinations that a worker counted as `OTHER` are compared together.
    """
    expected = sums_of(rows)
    for day in days:
        ours, theirs = dict(expected.get(day, {})), dict(sums.get(day, {}))
        if any(OTHER in name for name in theirs):
            ours, theirs = {_ALL: _sum(ours.values())}, {_ALL: _sum(theirs.values())}
        for name in sorted(ours.keys() | theirs.keys()):
            mine, stored = ours.get(name, Totals()), theirs.get(name, Totals())
            if mine != stored:
                yield Drift(f"{day} {name.field}", str(mine), str(stored))


_ALL = Combination(*["all"] * 5)


def _sum(totals: Iterable[Totals]) -> Totals:
    whole = Totals()
    for one in totals:
        whole = whole.plus(one)
    return whole
