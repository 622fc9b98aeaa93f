"""Compares costs of rows, and sums of days, with the ledger."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shared.usage.aggregates import OTHER, Combination, Sums, Totals, total
from shared.usage.prices import Rates
from shared.usage.row import LedgerRow

# Stands for all combinations together.
_ALL = Combination(*["all"] * 5)


@dataclass(frozen=True, slots=True)
class Drift:
    """A difference between what is stored and what is `expected`, which is computed from `source`."""

    place: str
    expected: str
    found: str
    source: str = "the rows"

    def __str__(self) -> str:
        return f"{self.place}: {self.found} is stored, {self.source} give {self.expected}"


def check_cost(row: LedgerRow) -> Drift | None:
    """The difference when the cost of a row is not that of its calls at their prices."""
    usage, expected = row.usage, 0
    for call in row.abandoned:
        usage = usage.minus(call.usage)
        expected += Rates(call.rates).cost(call.usage)
    is_known = bool(row.rates) or not usage.requests  # no call was served
    found = str(expected + Rates(row.rates).cost(usage) if is_known else None)
    stored = str(row.cost_nano)
    return None if found == stored else Drift(f"row {row.id}, cost_nano", found, stored)


def check_sums(
    expected: Sums, stored: Sums, *, days: Iterable[str], later: Sums | None = None
) -> Iterator[Drift]:
    """Yield each stored sum of the days that is not the expected one, which the rows give.

    While calls are written, the sums that were read in between are from `expected` to `later`. Combinations
    that a worker counted as `OTHER` are compared together.
    """
    for day in days:
        parts = [dict(sums.get(day, {})) for sums in (expected, stored, expected if later is None else later)]
        if any(OTHER in name for name in parts[1]):
            parts = [{_ALL: total(part.values())} for part in parts]
        for name in sorted(set().union(*parts)):
            least, found, most = (part.get(name, Totals()) for part in parts)
            numbers = zip(least.numbers, found.numbers, most.numbers, strict=True)
            if not all(low <= one <= high for low, one, high in numbers):
                yield Drift(f"{day} {name.field}", str(least), str(found))
