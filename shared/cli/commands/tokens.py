"""`gw tokens`: tokens of the platform. Only a new token is printed, alone on standard output."""

from datetime import timedelta
from typing import Final

import click

from shared.cli.commands.get import KINDS
from shared.cli.commands.issued import find_active, lifetime_option, new_document, scope_option, show_made
from shared.cli.context import Gw, command, message_option, yes_option

_PATH: Final = "/platform/tokens"


@click.group("tokens")
def tokens() -> None:
    """Create, rotate, revoke and list tokens of the platform: for operators and their programs."""


@command("list")
def list_tokens(gw: Gw) -> None:
    """List the tokens, without their secrets."""
    KINDS["tokens"].show(gw, None)


@command("create")
@click.argument("name")
@scope_option("read", "write", "admin")
@lifetime_option
@message_option
def create(
    gw: Gw, name: str, scopes: tuple[str, ...], expires_in: timedelta | None, message: str | None
) -> None:
    """Create a token, and print its secret, which is shown only now."""
    body = new_document(name, scopes, expires_in)
    show_made(gw, gw.api.send("POST", _PATH, body, message=message), "token")


@command("rotate")
@click.argument("name")
@click.option("--overlap", help="How long the old token stays valid, such as 1h. [default: 24h]")
@message_option
def rotate(gw: Gw, name: str, overlap: str | None, message: str | None) -> None:
    """Replace a token, by its NAME, prefix or id, and print the secret of the new one."""
    token = find_active(gw, "tokens", name)
    body = {} if overlap is None else {"overlap": overlap}
    show_made(gw, gw.api.send("POST", f"{_PATH}/{token['id']}/rotate", body, message=message), "token")


@command("revoke")
@click.argument("name")
@message_option
@yes_option
def revoke(gw: Gw, name: str, message: str | None, yes: bool) -> None:
    """Revoke a token, by its NAME, prefix or id. It ends at once, with its sessions."""
    token = find_active(gw, "tokens", name)
    gw.confirm(f"Revoke the token {token['name']} ({token['prefix']}…)?", yes=yes)
    gw.api.send("DELETE", f"{_PATH}/{token['id']}", message=message)
    if not gw.out.document({**token, "status": "revoked"}):
        gw.out.lines([f"The token {token['name']} ({token['prefix']}…) is revoked."])


for one in (list_tokens, create, rotate, revoke):
    tokens.add_command(one)

COMMANDS = (tokens,)
