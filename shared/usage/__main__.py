"""The command ``python -m shared.usage check``: compares the ledger with what is made of it.

Those are sums, costs, and what budgets have used. It ends with 2 when something differs or a row is damaged.
Days and periods of which rows are missing, because the ledger is bounded, are not compared: the command says
from when on it has all rows.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from math import inf

from shared.config_store.client import open_everywhere
from shared.config_store.redis_errors import redis_errors
from shared.core.errors import GatewayError
from shared.redis_server.choose import open_redis
from shared.settings import load_settings_or_exit
from shared.usage.aggregates import sums_of
from shared.usage.budget_store import BudgetStore
from shared.usage.check.budgets import CountedRows, check_leases, check_used, is_complete_since, rows_until
from shared.usage.check.sums import check_cost, check_sums
from shared.usage.keys import ledger_key
from shared.usage.reader import UsageReader
from shared.usage.row import LedgerRow, day_of

_PROGRAM = "python -m shared.usage"


def main() -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Commands for the usage of tenants.")
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser(
        "check", help="compare the ledger with its sums and with budgets; ends with 2 on a difference"
    )
    checking.add_argument("--tenant", help="the id of one tenant; without it, all are compared")
    arguments = parser.parse_args()
    faults = 0
    try:
        with (
            closing(open_redis(load_settings_or_exit())) as address,
            open_everywhere(address.options) as client,
            redis_errors(),
        ):
            reader, store = UsageReader(client), BudgetStore(client)
            budgets = store.names(arguments.tenant)
            known = [arguments.tenant] if arguments.tenant else sorted({*reader.tenants(), *budgets})
            for tenant_id in known:
                faults += _check(reader, store, tenant_id, budgets.get(tenant_id, ()))
    except (GatewayError, OSError, ValueError) as error:
        sys.exit(f"{_PROGRAM}: {error}")
    sys.exit(2 if faults else 0)


class _Ledger:
    """The rows of a tenant, and what is wrong with them.

    Attributes:
        number: rows that are whole.
        begin: the day on which the first entry was written; empty: there is none.
        begin_time: when that was, in seconds since the Unix epoch; infinite: there is none.
        counted: what rows count in budgets.
        faults: a sentence for each entry that is damaged or whose cost differs.
    """

    def __init__(self, reader: UsageReader, tenant_id: str) -> None:
        self.number = 0
        self.begin = ""
        self.begin_time = inf
        self.counted = CountedRows()
        self.faults: list[str] = []
        self._reader = reader
        self.tenant_id = tenant_id

    def rows(self) -> Iterator[LedgerRow]:
        """Yield each row that is whole."""
        for entry in self._reader.all_entries(self.tenant_id):
            if not self.begin:
                self.begin, self.begin_time = day_of(entry.written), entry.written
            self.counted.add(entry)
            if entry.row is None:
                name = f"{ledger_key(self.tenant_id)}, entry {entry.id}"
                self.faults.append(f"{name}: the row is damaged: {entry.fault}")
                continue
            self.number += 1
            if drift := check_cost(entry.row):
                self.faults.append(str(drift))
            yield entry.row


def _check(reader: UsageReader, store: BudgetStore, tenant_id: str, budgets: Iterable[str]) -> int:
    """Write what was compared, and each fault. Returns the number of faults."""
    ledger = _Ledger(reader, tenant_id)
    expected = sums_of(ledger.rows())
    # The rows that are missing were written before the others, so on that day or before, and are no younger.
    is_complete = reader.is_complete(tenant_id)
    lines, faults = _compare_budgets(reader, store, ledger, budgets, is_complete=is_complete)
    if not ledger.begin:
        lines.insert(0, "no rows; nothing is compared." if not lines else "no rows; no sums are compared.")
    else:
        first = date.fromisoformat(min(expected, default=ledger.begin) if is_complete else ledger.begin)
        first += timedelta(days=not is_complete)
        stored = reader.sums(tenant_id, first, datetime.now(UTC).date())
        days = sorted(day for day in expected.keys() | stored.keys() if day >= first.isoformat())
        found = list(check_sums(expected, stored, days=days))
        if found:
            later = sums_of(reader.all_rows(tenant_id))
            found = list(check_sums(expected, stored, days=days, later=later))
        missing = "" if is_complete else "older ones are missing, because the ledger is bounded; "
        lines.insert(0, f"{ledger.number} rows; {missing}sums are compared from {first.isoformat()} on.")
        faults = [*ledger.faults, *map(str, found), *faults]
    sys.stdout.writelines(f"{tenant_id}: {line}\n" for line in (*lines, *faults))
    return len(faults)


def _compare_budgets(
    reader: UsageReader, store: BudgetStore, ledger: _Ledger, budgets: Iterable[str], *, is_complete: bool
) -> tuple[list[str], list[str]]:
    """Compare budgets. Returns a sentence about what was compared, if there are any, and one for each fault.

    Rows that were written since the ledger was read are counted up to the moment at which a budget is read.
    """
    rows, skipped, count = ledger.counted, 0, 0
    faults: list[str] = []
    now = datetime.now(UTC).timestamp()
    for name, snapshot in store.snapshots(ledger.tenant_id, {*budgets, *rows.amounts}):
        for entry in rows_until(reader.all_entries(ledger.tenant_id, rows.last), snapshot.last_row):
            rows.add(entry)
        faults += map(str, check_leases(name, snapshot))
        if is_complete or is_complete_since(name, ledger.begin_time):
            faults += map(str, check_used(name, snapshot, rows, now))
        else:
            skipped += 1
        count += 1
    missing = f"; not compared, because older rows are missing: {skipped}" if skipped else ""
    return [f"budgets compared: {count - skipped}{missing}."] if count else [], faults


if __name__ == "__main__":
    main()
