"""The command ``python -m shared.usage check``: compares the ledger with the sums and costs made of it.

It ends with 2 when something differs or a row is damaged. Days of which rows are missing, because the ledger
is bounded, are not compared: the command says from which day on it has all rows.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from shared.config_store.client import open_everywhere
from shared.config_store.redis_errors import redis_errors
from shared.core.errors import GatewayError
from shared.redis_server.choose import open_redis
from shared.settings import load_settings_or_exit
from shared.usage.aggregates import OTHER, Combination, Sums, Totals, sums_of, total
from shared.usage.keys import ledger_key
from shared.usage.prices import Rates
from shared.usage.reader import UsageReader
from shared.usage.row import LedgerRow, day_of

_PROGRAM = "python -m shared.usage"
# Stands for all combinations together.
_ALL = Combination(*["all"] * 5)


def main() -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Commands for the usage of tenants.")
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser(
        "check", help="compare the ledger with its sums; ends with 2 on a difference"
    )
    checking.add_argument("--tenant", help="the id of one tenant; without it, all are compared")
    arguments = parser.parse_args()
    faults = 0
    try:
        with (
            closing(open_redis(load_settings_or_exit())) as address,
            open_everywhere(address.options) as client,
        ):
            reader = UsageReader(client)
            with redis_errors():
                for tenant_id in [arguments.tenant] if arguments.tenant else sorted(reader.tenants()):
                    faults += _check(reader, tenant_id)
    except (GatewayError, OSError, ValueError) as error:
        sys.exit(f"{_PROGRAM}: {error}")
    sys.exit(2 if faults else 0)


@dataclass(frozen=True, slots=True)
class Drift:
    """A difference between the ledger and a sum, or in a row. `expected` is computed from the rows."""

    place: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.place}: {self.found} is stored, the rows give {self.expected}"


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


class _Ledger:
    """The rows of a tenant, and what is wrong with them.

    Attributes:
        number: rows that are whole.
        begin: the day on which the first entry was written; empty: there is none.
        faults: a sentence for each entry that is damaged or whose cost differs.
    """

    def __init__(self, reader: UsageReader, tenant_id: str) -> None:
        self.number = 0
        self.begin = ""
        self.faults: list[str] = []
        self._reader = reader
        self._tenant_id = tenant_id

    def rows(self) -> Iterator[LedgerRow]:
        """Yield each row that is whole."""
        for entry in self._reader.all_entries(self._tenant_id):
            self.begin = self.begin or day_of(entry.written)
            if entry.row is None:
                name = f"{ledger_key(self._tenant_id)}, entry {entry.id}"
                self.faults.append(f"{name}: the row is damaged: {entry.fault}")
                continue
            self.number += 1
            if drift := check_cost(entry.row):
                self.faults.append(str(drift))
            yield entry.row


def _check(reader: UsageReader, tenant_id: str) -> int:
    """Write what was compared, and each fault. Returns the number of faults."""
    ledger = _Ledger(reader, tenant_id)
    expected = sums_of(ledger.rows())
    if not ledger.begin:
        sys.stdout.write(f"{tenant_id}: no rows; nothing is compared.\n")
        return 0
    # The rows that are missing were written before the others, so on that day or before, and are no younger.
    is_complete = reader.is_complete(tenant_id)
    first = date.fromisoformat(min(expected, default=ledger.begin) if is_complete else ledger.begin)
    first += timedelta(days=not is_complete)
    stored = reader.sums(tenant_id, first, datetime.now(UTC).date())
    days = sorted(day for day in expected.keys() | stored.keys() if day >= first.isoformat())
    found = list(check_sums(expected, stored, days=days))
    if found:
        later = sums_of(reader.all_rows(tenant_id))
        found = list(check_sums(expected, stored, days=days, later=later))
    missing = "" if is_complete else "older ones are missing, because the ledger is bounded; "
    head = f"{ledger.number} rows; {missing}sums are compared from {first.isoformat()} on."
    faults = [*ledger.faults, *map(str, found)]
    sys.stdout.writelines(f"{tenant_id}: {line}\n" for line in (head, *faults))
    return len(faults)


if __name__ == "__main__":
    main()
