"""`gw budgets`: what budgets have counted, more for a time, and a new begin."""

from collections.abc import Mapping
from typing import Any, Final

import click

from shared.cli.commands.get import KINDS, find
from shared.cli.context import Gw, command, message_option, tenant_option, yes_option
from shared.cli.failures import Failure

_USD: Final = "usd"


@click.group("budgets")
def budgets() -> None:
    """List, increase and reset the budgets of a tenant. Files and the API create and change them."""


@command("list")
@tenant_option
def list_budgets(gw: Gw, tenant: str | None) -> None:
    """List the budgets of a tenant and of its tier, with what they have counted."""
    KINDS["budgets"].show(gw, tenant)


@command("increase")
@click.argument("name")
@click.argument("amount")
@click.option("--until", help="When it ends, such as 2027-01-31T12:00:00Z. [default: with the period]")
@message_option
@tenant_option
def increase(
    gw: Gw, name: str, amount: str, until: str | None, message: str | None, tenant: str | None
) -> None:
    """Add an AMOUNT to the limit of a budget, by its NAME or id: USD, tokens or requests, as it counts."""
    budget = find(gw, "budgets", name, tenant)
    unit = _unit(budget)
    if unit != _USD and not (amount.isascii() and amount.isdecimal()):
        raise Failure(f"{amount} is not a whole number.", f"The budget {budget['name']} counts {unit}.")
    body = {unit: amount if unit == _USD else int(amount), "until": until}
    changed = _send(gw, budget, "increase", body, tenant=tenant, message=message)
    if not gw.out.document(changed):
        limit = changed["state"]["limit"]
        gw.out.lines([f"The limit of the budget {budget['name']} is {limit} {_unit_text(unit)} now."])


@command("reset")
@click.argument("name")
@message_option
@tenant_option
@yes_option
def reset(gw: Gw, name: str, message: str | None, tenant: str | None, yes: bool) -> None:
    """Let a budget begin again, by its NAME or id: nothing is used of its present period."""
    budget = find(gw, "budgets", name, tenant)
    used = f"{budget['state']['used']} {_unit_text(_unit(budget))}"
    gw.confirm(f"Reset the budget {budget['name']}, of which {used} are used?", yes=yes)
    changed = _send(gw, budget, "reset", {}, tenant=tenant, message=message)
    if not gw.out.document(changed):
        gw.out.lines([f"The budget {budget['name']} begins again. Until now it had used {used}."])


def _send(
    gw: Gw, budget: Mapping[str, Any], action: str, body: Any, *, tenant: str | None, message: str | None
) -> Any:
    path = f"/tenants/{gw.tenant(tenant)}/budgets/{budget['id']}/{action}"
    return gw.api.send("POST", path, body, message=message)


def _unit(budget: Mapping[str, Any]) -> str:
    return str(next(iter(budget["limit"])))


def _unit_text(unit: str) -> str:
    return unit.upper() if unit == _USD else unit


for one in (list_budgets, increase, reset):
    budgets.add_command(one)

COMMANDS = (budgets,)
