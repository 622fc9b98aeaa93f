"""`gw logs` and `gw usage`: the requests that the gateway has served, and what calls of models cost."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from shared.cli.context import Gw, command, tenant_option
from shared.cli.failures import Failure
from shared.cli.output import as_yaml, visible

_POLL_SECONDS: Final = 1.0
#: The most requests of a page.
_PAGE: Final = 200
#: The color of a status, by its first digit.
_STYLES: Final = {"2": "green", "3": "cyan", "4": "yellow", "5": "red"}


@command("logs")
@tenant_option
@click.option("-f", "--follow", is_flag=True, help="Wait for further requests, until Ctrl-C.")
@click.option(
    "-n",
    "--number",
    default=20,
    show_default=True,
    type=click.IntRange(1, _PAGE),
    help="The most to begin with.",
)
@click.option("--status", help="Only this status, such as 429, or class, such as 4xx.")
@click.option("--source", help="Only responses of gateway, plugin, upstream, or plugin:NAME.")
@click.option("--model", help="Only calls of this model.")
@click.option("-q", "--search", help="Only with this text in the path, the id, the error code or the model.")
def logs(
    gw: Gw, tenant: str | None, follow: bool, number: int, search: str | None, **query: str | None
) -> None:
    """Show the newest requests, the oldest of them first. With `-o json` each is one line of JSON."""
    path = f"{gw.owner(tenant)}/requests"
    wanted = {**query, "q": search}
    page = gw.api.get(path, limit=number, **wanted)
    newest = page["newest"]
    _print(gw, page["requests"])
    while follow:
        time.sleep(_POLL_SECONDS)
        try:
            found, newest = _after(gw, path, wanted, newest)
        except Failure as failure:
            gw.out.note(f"{failure} Waiting for it.")
            continue
        _print(gw, found)


def _after(gw: Gw, path: str, wanted: Mapping[str, Any], newest: str | None) -> tuple[list[Any], str | None]:
    """The requests after an id, the newest first, and the id of the newest that was looked at."""
    page = gw.api.get(path, limit=_PAGE, after=newest, **wanted)
    found, last = page["requests"], page["newest"] or newest
    while page["next_cursor"] and newest is not None:
        page = gw.api.get(path, limit=_PAGE, after=newest, before=page["next_cursor"], **wanted)
        found += page["requests"]
    return found, last


def _print(gw: Gw, newest_first: list[Mapping[str, Any]]) -> None:
    for request in reversed(newest_first):
        if gw.out.format == "json":
            gw.out.lines([json.dumps(request, ensure_ascii=False)])
        elif gw.out.format == "yaml":
            gw.out.lines(["---", as_yaml(request).rstrip()])
        elif gw.out.format == "name":
            gw.out.lines([request["request_id"]])
        else:
            gw.out.styled(_cells(request))


def _cells(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The parts of a line, each with its style."""
    status = visible(request["status"])
    yield visible(request["time"]), "dim"
    yield f"{status:3}", _STYLES.get(status[0], "")
    yield f"{request['milliseconds']:7.1f} ms", ""
    yield visible(f"{request['method']} {request['path']}"), "bold"
    model = " ".join(one for one in (request["provider"], request["model"] or request["model_asked"]) if one)
    used = request["usage"]
    tokens = f"{used['input']}+{used['output']} tokens" if used else ""
    cost = f"{request['cost_usd']} USD" if request["cost_usd"] else ""
    failed = f"{request['source']}: {request['code']}" if request["code"] else ""
    for text in (model, tokens, cost, failed):
        if text:
            yield visible(text), ""


@command("usage")
@tenant_option
@click.option(
    "--group-by", multiple=True, help="May be repeated: day, model, provider, key, rule, tag, tenant."
)
@click.option("--from", "first", help="The first day, as 2026-12-01. [default: 30 days before the last]")
@click.option("--to", "last", help="The last day. [default: today, in UTC]")
@click.option("--format", "as_csv", type=click.Choice(["csv"]), help="Print CSV.")
def usage(
    gw: Gw,
    tenant: str | None,
    group_by: tuple[str, ...],
    first: str | None,
    last: str | None,
    as_csv: str | None,
) -> None:
    """Report the calls of models, their tokens and what they cost in USD.

    Without `--tenant`, the platform's key gets the usage of all tenants.
    """
    path = f"{gw.owner(tenant)}/usage"
    query = {"group_by": ",".join(group_by) or None, "from": first, "to": last}
    if as_csv:
        click.echo(gw.api.text(path, format=as_csv, **query), nl=False)
        return
    report = gw.api.get(path, **query)
    names = [*report["group_by"], "calls", "input", "output", "cached", "cost", "unpriced"]
    columns = [(name.upper(), name) for name in names]
    gw.out.show(report, report["usage"], columns, name=names[0])


COMMANDS = (logs, usage)
