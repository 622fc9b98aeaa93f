"""The options of a new secret, how it is found and how it is printed: for `gw keys` and `gw tokens`."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from shared.cli.commands.get import KINDS, find
from shared.cli.context import Gw
from shared.core.durations import parse_duration


class Lifetime(click.ParamType[timedelta]):
    """A duration such as 90d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> timedelta:
        try:
            return timedelta(milliseconds=parse_duration(value))
        except ValueError as error:
            self.fail(str(error), param, context)


def scope_option[Function: Callable[..., Any]](*scopes: str) -> Callable[[Function], Function]:
    """The option for one or several of these scopes; the first one is the default."""
    return click.option(
        *("--scope", "scopes"),
        multiple=True,
        type=click.Choice(scopes),
        default=[scopes[0]],
        show_default=True,
        help="May be repeated.",
    )


lifetime_option = click.option(
    "--expires-in", type=Lifetime(), help="Its lifetime, such as 90d. [default: it stays valid]"
)


def new_document(name: str, scopes: Sequence[str], expires_in: timedelta | None) -> dict[str, Any]:
    """The document of a new one."""
    body: dict[str, Any] = {"name": name, "scopes": [*scopes]}
    if expires_in is not None:
        body["expires_at"] = (datetime.now(UTC) + expires_in).isoformat()
    return body


def find_active(gw: Gw, kind: str, name: str, tenant: str | None = None) -> Any:
    """The key or token with this name. Of several with one name, the only one that is active."""
    active = [
        one
        for one in KINDS[kind].list(gw, tenant)
        if name in (one["name"], one["prefix"]) and one["status"] == "active"
    ]
    return active[0] if len(active) == 1 else find(gw, kind, name, tenant)


def show_made(gw: Gw, made: Any, noun: str = "key") -> None:
    """Print the secret alone, so that it can be piped; what is known of it goes to standard error.

    The member `noun` has the secret.
    """
    if gw.out.document(made):
        return
    gw.out.lines([made["name"] if gw.out.format == "name" else made[noun]])
    if gw.out.is_for_readers:
        until = f", until {made['expires_at']}" if made["expires_at"] else ""
        gw.out.note(
            f"Created the {noun} {made['name']} ({made['prefix']}…) for {', '.join(made['scopes'])}{until}.",
            "Its secret is shown only now.",
        )
