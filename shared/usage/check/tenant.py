"""Compares the sums and the budgets of one tenant with the rows of its ledger, while requests go on."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from math import inf
from typing import NamedTuple

from shared.usage.aggregates import Sums, sums_of
from shared.usage.budget_store import BudgetSnapshot, BudgetStore
from shared.usage.check.budgets import (
    CountedRows,
    check_leases,
    check_used,
    is_complete_since,
    missing_in,
    rows_until,
)
from shared.usage.check.sums import check_cost, check_sums
from shared.usage.keys import ledger_key
from shared.usage.reader import UsageReader
from shared.usage.row import LedgerRow, day_of


class ComparedBudget(NamedTuple):
    """A budget beside its rows and leases.

    Attributes:
        name: its `budget_name`, as rows have it.
        snapshot: its numbers and leases as they are stored.
        has_rows: whether all rows of its period are there. If not, it is not compared with them.
        faults: a sentence for each difference.
        missing: the sum of its rows, minus what it has used.
    """

    name: str
    snapshot: BudgetSnapshot
    has_rows: bool
    faults: Sequence[str]
    missing: int


class TenantLedger:
    """The rows of a tenant: `read` them first. Raises redis-py's errors.

    Attributes:
        tenant_id: the id of the tenant.
        number: rows that are whole.
        begin: the day on which the first entry was written; empty: there is none.
        is_complete: whether all rows are there. Missing ones were written on the day `begin` or before, and
            before all others.
        faults: a sentence for each entry that is damaged or whose cost differs.
    """

    def __init__(self, reader: UsageReader, store: BudgetStore, tenant_id: str) -> None:
        self.tenant_id = tenant_id
        self.number = 0
        self.begin = ""
        self.is_complete = False
        self.faults: list[str] = []
        self._reader, self._store = reader, store
        self._begin_time = inf
        self._counted = CountedRows()

    def read(self) -> Sums:
        """Read all rows. Returns the sums that they give."""
        expected = sums_of(self._rows())
        self.is_complete = self._reader.is_complete(self.tenant_id)
        return expected

    def _rows(self) -> Iterator[LedgerRow]:
        """Yield each row that is whole."""
        for entry in self._reader.all_entries(self.tenant_id):
            if not self.begin:
                self.begin, self._begin_time = day_of(entry.written), entry.written
            self._counted.add(entry)
            if entry.row is None:
                name = f"{ledger_key(self.tenant_id)}, entry {entry.id}"
                self.faults.append(f"{name}: the row is damaged: {entry.fault}")
                continue
            self.number += 1
            if drift := check_cost(entry.row):
                self.faults.append(str(drift))
            yield entry.row

    def first_day(self, expected: Sums) -> date:
        """The first day of which all rows are there."""
        if not self.is_complete:
            return date.fromisoformat(self.begin) + timedelta(days=1)
        return date.fromisoformat(min(expected, default=self.begin))

    def compare_sums(self, expected: Sums, today: date) -> list[str]:
        """A sentence for each stored sum that differs, of the days of which all rows are there."""
        first = self.first_day(expected)
        stored = self._reader.sums(self.tenant_id, first, today)
        days = sorted(day for day in expected.keys() | stored.keys() if day >= first.isoformat())
        found = list(check_sums(expected, stored, days=days))
        if found:
            later = sums_of(self._reader.all_rows(self.tenant_id))
            found = list(check_sums(expected, stored, days=days, later=later))
        return [str(one) for one in found]

    def compare_budgets(self, names: Iterable[str], now: float) -> Iterator[ComparedBudget]:
        """Compare these budgets, and those of rows, by the rows up to the moment at which each is read."""
        rows = self._counted
        for name, snapshot in self._store.snapshots(self.tenant_id, {*names, *rows.amounts}):
            entries = self._reader.all_entries(self.tenant_id, rows.last)
            for entry in rows_until(entries, snapshot.last_row):
                rows.add(entry)
            has_rows = self.is_complete or is_complete_since(name, self._begin_time)
            drift = list(check_used(name, snapshot, rows, now)) if has_rows else []
            missing = missing_in(name, snapshot, rows) if drift else 0
            faults = [str(one) for one in (*check_leases(name, snapshot), *drift)]
            yield ComparedBudget(name, snapshot, has_rows, faults, missing)
