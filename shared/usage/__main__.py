"""The command ``python -m shared.usage check``: compares the ledger with the sums and costs made of it.

It ends with 2 when something differs. Days of which rows are missing, because the ledger is bounded, are not
compared: the command says from which day on the ledger is whole.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from shared.config_store.client import open_client
from shared.config_store.redis_errors import redis_errors
from shared.core.errors import GatewayError
from shared.redis_server.choose import open_redis
from shared.settings import load_settings_or_exit
from shared.usage.aggregates import OTHER, Combination, Sums, Totals, sums_of
from shared.usage.prices import Rates
from shared.usage.reader import UsageReader
from shared.usage.row import LedgerRow

_PROGRAM = "python -m shared.usage"
# Stands for all combinations together.
_ALL = Combination(*["all"] * 5)


def main() -> None:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(prog=_PROGRAM, description="Commands for the usage of tenants.")
    commands = parser.add_subparsers(dest="command", required=True)
    checking = commands.add_parser("check", help="compare the ledger with its sums; ends with 2 on a drift")
    checking.add_argument("--tenant", help="the id of one tenant; without it, all are compared")
    arguments = parser.parse_args()
    drifts = 0
    try:
        with closing(open_redis(load_settings_or_exit())) as address, open_client(address.options) as client:
            reader = UsageReader(client)
            with redis_errors():
                for tenant_id in [arguments.tenant] if arguments.tenant else sorted(reader.tenants()):
                    drifts += _check(reader, tenant_id)
    except (GatewayError, OSError, ValueError) as error:
        sys.exit(f"{_PROGRAM}: {error}")
    sys.exit(2 if drifts else 0)


@dataclass(frozen=True, slots=True)
class Drift:
    """A difference between the ledger and a sum, or in a row. `expected` is computed from the rows."""

    place: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.place}: {self.found} is stored, the rows give {self.expected}"


def check_cost(row: LedgerRow) -> Drift | None:
    """The difference when the cost of a row is not that of its usage at its prices."""
    expected = Rates(row.rates).cost(row.usage) if row.rates else None
    if expected == row.cost_nano:
        return None
    return Drift(f"row {row.id}, cost_nano", str(expected), str(row.cost_nano))


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
            parts = [{_ALL: _sum(part.values())} for part in parts]
        for name in sorted(set().union(*parts)):
            least, found, most = (part.get(name, Totals()) for part in parts)
            numbers = zip(least.numbers, found.numbers, most.numbers, strict=True)
            if not all(low <= one <= high for low, one, high in numbers):
                yield Drift(f"{day} {name.field}", str(least), str(found))


def _sum(totals: Iterable[Totals]) -> Totals:
    whole = Totals()
    for one in totals:
        whole = whole.plus(one)
    return whole


def _check(reader: UsageReader, tenant_id: str) -> int:
    """Write what was compared, and each difference. Returns their number."""
    number, drifts = 0, list[Drift]()
    begin: date | None = None

    def rows() -> Iterator[LedgerRow]:
        nonlocal number, begin
        for row in reader.all_rows(tenant_id):
            number += 1
            begin = begin or date.fromisoformat(row.day)
            if drift := check_cost(row):
                drifts.append(drift)
            yield row

    expected = sums_of(rows())
    if begin is None:
        sys.stdout.write(f"{tenant_id}: no rows; nothing is compared.\n")
        return 0
    first = begin if reader.is_complete(tenant_id) else begin + timedelta(days=1)
    stored = reader.sums(tenant_id, first, datetime.now(UTC).date())
    days = sorted(day for day in expected.keys() | stored.keys() if day >= first.isoformat())
    found = list(check_sums(expected, stored, days=days))
    if found:
        later = sums_of(reader.all_rows(tenant_id))
        found = list(check_sums(expected, stored, days=days, later=later))
    drifts += found
    lines = [f"{number} rows; sums are compared from {first.isoformat()} on.", *map(str, drifts)]
    sys.stdout.writelines(f"{tenant_id}: {line}\n" for line in lines)
    return len(drifts)


if __name__ == "__main__":
    main()
