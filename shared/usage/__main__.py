"""The command ``python -m shared.usage check``: compares the ledger with what is made of it.

Those are sums, costs, and what budgets have used. It ends with 2 when something differs or a row is damaged.
Days and periods of which rows are missing, because the ledger is bounded, are not compared: the command says
from when on it has all rows.

``repair`` makes each budget that differs what its rows and leases give, while requests go on. A failover of
Redis may lose what was reserved, and then the rows of those requests did not count.
"""

import argparse
import secrets
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from math import inf
from typing import NamedTuple

from shared.config_store.client import open_everywhere
from shared.config_store.redis_errors import redis_errors
from shared.core.errors import GatewayError
from shared.redis_server.choose import RedisAddress, open_redis
from shared.redis_server.operator_events import OPERATOR, note_event
from shared.settings import Settings, load_settings_or_exit
from shared.usage.aggregates import sums_of
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

_PROGRAM = "python -m shared.usage"


def main() -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Commands for the usage of tenants.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("check", "compare the ledger with its sums and with budgets; ends with 2 on a difference"),
        ("repair", "make budgets what their rows give; ends with 1 if something is left"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--tenant", help="the id of one tenant; without it, it is done for all")
    arguments = parser.parse_args()
    try:
        settings = load_settings_or_exit()
        with closing(open_redis(settings)) as address:
            if arguments.command == "check":
                status = 2 if sum(_for_each(_check, address, arguments.tenant)) else 0
            else:
                status = _repair_all(settings, address, arguments.tenant)
    except (GatewayError, OSError, ValueError) as error:
        sys.exit(f"{_PROGRAM}: {error}")
    sys.exit(status)


def _for_each[Found](
    do: Callable[[UsageReader, BudgetStore, str, Iterable[str]], Found],
    address: RedisAddress,
    tenant_id: str | None,
) -> Iterator[Found]:
    """Do something with each tenant that has rows or budgets, or with one."""
    with open_everywhere(address.options) as client, redis_errors():
        reader, store = UsageReader(client), BudgetStore(client)
        budgets = store.names(tenant_id)
        for one in [tenant_id] if tenant_id else sorted({*reader.tenants(), *budgets}):
            yield do(reader, store, one, budgets.get(one, ()))


def _repair_all(settings: Settings, address: RedisAddress, tenant_id: str | None) -> int:
    """Repair budgets, and note that in the audit log. Returns the status of the command."""
    found = list(_for_each(_repair, address, tenant_id))
    repaired = [one.repaired for one in found if one.repaired]
    if repaired:
        summary = f"repaired {sum(repaired)} budgets of {len(repaired)} tenants by the ledger"
        note_event(settings, address, "repairBudgets", summary)
    return 1 if any(one.left for one in found) else 0


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
    compared = list(_compare_budgets(reader, store, ledger, budgets, is_complete=is_complete))
    lines, faults = _told(compared), [fault for one in compared for fault in one.faults]
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


class _Compared(NamedTuple):
    """A budget beside its rows and leases.

    Attributes:
        name: that in rows.
        snapshot: what is stored.
        has_rows: whether all rows of its period are there. If not, it is not compared with them.
        faults: a sentence for each difference.
        missing: what its rows give above what it has used.
    """

    name: str
    snapshot: BudgetSnapshot
    has_rows: bool
    faults: list[str]
    missing: int


def _compare_budgets(
    reader: UsageReader, store: BudgetStore, ledger: _Ledger, budgets: Iterable[str], *, is_complete: bool
) -> Iterator[_Compared]:
    """Compare each budget, by the rows up to the moment at which it is read."""
    rows, now = ledger.counted, datetime.now(UTC).timestamp()
    for name, snapshot in store.snapshots(ledger.tenant_id, {*budgets, *rows.amounts}):
        for entry in rows_until(reader.all_entries(ledger.tenant_id, rows.last), snapshot.last_row):
            rows.add(entry)
        has_rows = is_complete or is_complete_since(name, ledger.begin_time)
        drift = list(check_used(name, snapshot, rows, now)) if has_rows else []
        missing = missing_in(name, snapshot, rows) if drift else 0
        faults = list(map(str, [*check_leases(name, snapshot), *drift]))
        yield _Compared(name, snapshot, has_rows, faults, missing)


def _told(compared: Sequence[_Compared]) -> list[str]:
    """A sentence about what was compared, if there is anything."""
    skipped = sum(not one.has_rows for one in compared)
    missing = f"; not compared, because older rows are missing: {skipped}" if skipped else ""
    return [f"budgets compared: {len(compared) - skipped}{missing}."] if compared else []


class _Repairs(NamedTuple):
    """The numbers of budgets of a tenant that were repaired, and that are left."""

    repaired: int
    left: int


def _repair(reader: UsageReader, store: BudgetStore, tenant_id: str, budgets: Iterable[str]) -> _Repairs:
    """Repair each budget that differs. Writes what was compared, and what differed."""
    ledger = _Ledger(reader, tenant_id)
    deque(ledger.rows(), 0)
    is_complete = reader.is_complete(tenant_id)
    compared = list(_compare_budgets(reader, store, ledger, budgets, is_complete=is_complete))
    lines, repaired, left = _told(compared), 0, 0
    for one in compared:
        if not one.faults:
            continue
        if _repair_one(store, tenant_id, one):
            repaired += 1
            lines += [f"{fault}. Repaired." for fault in one.faults]
        else:
            left += 1
            lines.append(f"budget {one.name} was repaired meanwhile. Run the command again.")
    sys.stdout.writelines(f"{tenant_id}: {line}\n" for line in lines)
    return _Repairs(repaired, left)


def _repair_one(store: BudgetStore, tenant_id: str, one: _Compared) -> bool:
    return store.repair(
        tenant_id,
        one.name,
        one.snapshot,
        missing=one.missing,
        actor=OPERATOR,
        row_id=secrets.token_hex(16),
        now=datetime.now(UTC).timestamp(),
    )


if __name__ == "__main__":
    main()
