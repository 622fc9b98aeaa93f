"""`gw keys`: API keys of a tenant. Only a new key is printed, alone on standard output."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

from shared.cli.commands.get import KINDS, find
from shared.cli.context import Gw, command, message_option, tenant_option, yes_option
from shared.core.durations import parse_duration

_SCOPES: Final = ("proxy", "read", "admin")


class Lifetime(click.ParamType[timedelta]):
    """A duration such as 90d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> timedelta:
        try:
            return timedelta(milliseconds=parse_duration(value))
        except ValueError as error:
            self.fail(str(error), param, context)


@click.group("keys")
def keys() -> None:
    """Create, rotate, revoke and list API keys of a tenant."""


@command("list")
@tenant_option
def list_keys(gw: Gw, tenant: str | None) -> None:
    """List the keys of a tenant, without their secrets."""
    kind = KINDS["keys"]
    found = [*kind.list(gw, tenant)]
    gw.out.show({kind.member: found}, found, kind.columns)


@command("create")
@click.argument("name")
@click.option(
    *("--scope", "scopes"),
    multiple=True,
    type=click.Choice(_SCOPES),
    default=["proxy"],
    show_default=True,
    help="May be repeated.",
)
@click.option("--expires-in", type=Lifetime(), help="Its lifetime, such as 90d. [default: it stays valid]")
@click.option(
    *("--model", "models"), multiple=True, help="A model that it may ask for, such as gpt-*. May be repeated."
)
@tenant_option
@message_option
def create(
    gw: Gw,
    name: str,
    scopes: tuple[str, ...],
    expires_in: timedelta | None,
    models: tuple[str, ...],
    tenant: str | None,
    message: str | None,
) -> None:
    """Create a key, and print its secret, which is shown only now."""
    body: dict[str, Any] = {"name": name, "scopes": [*scopes], "models": [*models] or None}
    if expires_in is not None:
        body["expires_at"] = (datetime.now(UTC) + expires_in).isoformat()
    show_made(gw, gw.api.send("POST", _path(gw, tenant), body, message=message))


@command("rotate")
@click.argument("name")
@click.option("--overlap", help="How long the old key stays valid, such as 1h. [default: 24h]")
@tenant_option
@message_option
def rotate(gw: Gw, name: str, overlap: str | None, tenant: str | None, message: str | None) -> None:
    """Replace a key, by its NAME, prefix or id, and print the secret of the new one."""
    key = find_active(gw, "keys", name, tenant)
    body = {} if overlap is None else {"overlap": overlap}
    show_made(gw, gw.api.send("POST", f"{_path(gw, tenant)}/{key['id']}/rotate", body, message=message))


@command("revoke")
@click.argument("name")
@tenant_option
@message_option
@yes_option
def revoke(gw: Gw, name: str, tenant: str | None, message: str | None, yes: bool) -> None:
    """Revoke a key, by its NAME, prefix or id. Calls with it are rejected within seconds."""
    key = find_active(gw, "keys", name, tenant)
    gw.confirm(f"Revoke the key {key['name']} ({key['prefix']}…)?", yes=yes)
    after = gw.api.send("DELETE", f"{_path(gw, tenant)}/{key['id']}", message=message) or {}
    if not gw.out.document({**key, "status": "revoked", **after}):
        gw.out.lines([f"The key {key['name']} ({key['prefix']}…) is revoked."])
    gw.out.note(*(f"warning: {one['detail']}" for one in after.get("warnings", ())))


def _path(gw: Gw, tenant: str | None) -> str:
    return f"/tenants/{gw.tenant(tenant)}/api-keys"


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


for one in (list_keys, create, rotate, revoke):
    keys.add_command(one)

COMMANDS = (keys,)
