"""`gw keys`: API keys of a tenant. Only a new key is printed, alone on standard output."""

from datetime import timedelta

import click

from shared.cli.commands.get import KINDS
from shared.cli.commands.issued import find_active, lifetime_option, new_document, scope_option, show_made
from shared.cli.context import Gw, command, message_option, tenant_option, yes_option


@click.group("keys")
def keys() -> None:
    """Create, rotate, revoke and list API keys of a tenant."""


@command("list")
@tenant_option
def list_keys(gw: Gw, tenant: str | None) -> None:
    """List the keys of a tenant, without their secrets."""
    KINDS["keys"].show(gw, tenant)


@command("create")
@click.argument("name")
@scope_option("proxy", "read", "admin")
@lifetime_option
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
    body = {**new_document(name, scopes, expires_in), "models": [*models] or None}
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


for one in (list_keys, create, rotate, revoke):
    keys.add_command(one)

COMMANDS = (keys,)
