"""Compares budgets with the rows of the ledger, and with the leases of requests that go on.

The used amount of a budget is the sum of its rows, adjustments included, and of the reservations of leases
that ended without a settle.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from shared.core.durations import DAY_SECONDS
from shared.limits.values import budget_begin
from shared.usage.budget_store import BudgetSnapshot
from shared.usage.check.sums import Drift
from shared.usage.reader import Entry

# A budget is stored for so long after its period.
_KEPT_SECONDS: Final = 40 * DAY_SECONDS


@dataclass(slots=True)
class CountedRows:
    """The sums of the rows of a tenant for each budget, by its name. A row that is there twice counts once.

    Attributes:
        amounts: the sums of budgets.
        written: when the youngest row of each budget was written, in seconds since the Unix epoch.
        last: the id of the youngest row.
    """

    amounts: dict[str, int] = field(default_factory=dict)
    written: dict[str, float] = field(default_factory=dict)
    last: str = ""
    _seen: set[str] = field(default_factory=set)

    def add(self, entry: Entry) -> None:
        """Count an entry of the ledger, each younger than the one before."""
        self.last = entry.id
        if entry.row is None or entry.row.id in self._seen:
            return
        self._seen.add(entry.row.id)
        for name, amount in entry.row.budgets.items():
            self.amounts[name] = self.amounts.get(name, 0) + amount
            self.written[name] = entry.written


def is_complete_since(name: str, begin: float) -> bool:
    """Whether the period of a budget began when all rows were kept, which they are from `begin` on."""
    start = budget_begin(name)
    return start is not None and start >= begin


def missing_in(name: str, snapshot: BudgetSnapshot, rows: CountedRows) -> int:
    """The sum of all rows of the period and of lost leases, minus what is used."""
    return rows.amounts.get(name, 0) + snapshot.lost_sum - snapshot.used


def check_used(name: str, snapshot: BudgetSnapshot, rows: CountedRows, now: float) -> Iterator[Drift]:
    """Yield the difference between what is used and what all rows of the period give."""
    if not snapshot.is_there and now - rows.written.get(name, now) > _KEPT_SECONDS:
        return
    if missing := missing_in(name, snapshot, rows):
        expected = snapshot.used + missing
        source = "the rows and the leases that ended" if snapshot.lost_leases else "the rows"
        yield Drift(f"budget {name}, used", str(expected), str(snapshot.used), source)


def check_leases(name: str, snapshot: BudgetSnapshot) -> Iterator[Drift]:
    """Yield the differences between the numbers of a budget and its leases."""
    for what, source, expected, found in (
        ("held", "the leases", snapshot.reserved, snapshot.held),
        ("leases", "their amounts", snapshot.amounts, snapshot.leases),
        ("lost", "the leases that ended", snapshot.lost_leases, snapshot.lost),
    ):
        if expected != found:
            yield Drift(f"budget {name}, {what}", str(expected), str(found), source)


def rows_until(entries: Iterable[Entry], last: str) -> Iterator[Entry]:
    """Yield the entries up to the one with the id `last`."""
    for entry in entries:
        if _position(entry.id) > _position(last):
            return
        yield entry


def _position(id: str) -> tuple[int, int]:
    time, _, number = id.partition("-")
    return int(time or 0), int(number or 0)
