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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import NamedTuple

from shared.config_store import layout
from shared.config_store.client import open_everywhere
from shared.config_store.redis_errors import redis_errors
from shared.core.errors import GatewayError
from shared.redis_server.choose import RedisAddress, open_redis
from shared.redis_server.operator_events import OPERATOR, note_event
from shared.settings import Settings, load_settings_or_exit
from shared.usage.budget_store import BudgetStore
from shared.usage.check.tenant import ComparedBudget, TenantLedger
from shared.usage.reader import UsageReader

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
        command.add_argument("--tenant", help="the subdomain or id of one tenant; default: all")
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
    do: Callable[[TenantLedger, BudgetStore, Iterable[str]], Found],
    address: RedisAddress,
    tenant: str | None,
) -> Iterator[Found]:
    """Do something with the ledger and the budgets of each tenant that has any, or of one.

    `tenant` is its subdomain, or its id; the ledger of one that was deleted has an id only.
    """
    with open_everywhere(address.options) as client, redis_errors():
        tenant_id = tenant and (client.hget(layout.SUBDOMAINS, tenant.lower()) or tenant.encode()).decode()
        reader, store = UsageReader(client), BudgetStore(client)
        budgets = store.names(tenant_id)
        for one in [tenant_id] if tenant_id else sorted({*reader.tenants(), *budgets}):
            yield do(TenantLedger(reader, store, one), store, budgets.get(one, ()))


def _repair_all(settings: Settings, address: RedisAddress, tenant: str | None) -> int:
    """Repair budgets, and note that in the audit log. Returns the status of the command."""
    found = list(_for_each(_repair, address, tenant))
    repaired = [one.repaired for one in found if one.repaired]
    if repaired:
        summary = f"repaired {sum(repaired)} budgets of {len(repaired)} tenants by the ledger"
        note_event(settings, address, "repairBudgets", summary)
    return 1 if any(one.left for one in found) else 0


def _check(ledger: TenantLedger, _: BudgetStore, budgets: Iterable[str]) -> int:
    """Write the subjects that were compared, and each fault. Returns the number of faults."""
    expected, now = ledger.read(), datetime.now(UTC)
    compared = list(ledger.compare_budgets(budgets, now.timestamp()))
    lines, faults = _summary(compared), [fault for one in compared for fault in one.faults]
    if not ledger.begin:
        lines.insert(0, "no rows; nothing is compared." if not lines else "no rows; no sums are compared.")
    else:
        missing = "" if ledger.is_complete else "older ones are missing, because the ledger is bounded; "
        first = ledger.first_day(expected).isoformat()
        lines.insert(0, f"{ledger.number} rows; {missing}sums are compared from {first} on.")
        differences = ledger.compare_sums(expected, datetime.now(UTC).date())
        faults = [*ledger.faults, *differences, *faults]
    _write(ledger, (*lines, *faults))
    return len(faults)


def _write(ledger: TenantLedger, lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{ledger.tenant_id}: {line}\n" for line in lines)


def _summary(compared: Sequence[ComparedBudget]) -> list[str]:
    """A sentence about the budgets that were compared, if there are any."""
    skipped = sum(not one.has_rows for one in compared)
    missing = f"; not compared, because older rows are missing: {skipped}" if skipped else ""
    return [f"budgets compared: {len(compared) - skipped}{missing}."] if compared else []


class _Repairs(NamedTuple):
    """The numbers of budgets of a tenant that were repaired, and that are left."""

    repaired: int
    left: int


def _repair(ledger: TenantLedger, store: BudgetStore, budgets: Iterable[str]) -> _Repairs:
    """Repair each budget that differs. Writes the budgets that were compared, and what differed."""
    ledger.read()
    compared = list(ledger.compare_budgets(budgets, datetime.now(UTC).timestamp()))
    lines, repaired, left = _summary(compared), 0, 0
    for one in compared:
        if not one.faults:
            continue
        if _repair_one(store, ledger.tenant_id, one):
            repaired += 1
            lines += [f"{fault}. Repaired." for fault in one.faults]
        else:
            left += 1
            lines.append(f"budget {one.name} was repaired meanwhile. Run the command again.")
    _write(ledger, lines)
    return _Repairs(repaired, left)


def _repair_one(store: BudgetStore, tenant_id: str, one: ComparedBudget) -> bool:
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
