"""`gw versions`, `gw rollback` and `gw audit`: the past of the configuration, and the way back."""

from itertools import islice
from typing import Final

import click

from shared.cli.commands.programs import run_module
from shared.cli.context import Gw, command, message_option, output_option, pass_gw, tenant_option, yes_option
from shared.cli.failures import Exit, Failure
from shared.cli.output import Column, difference_lines

_PLATFORM: Final = "platform"
_VERSIONS: Final[tuple[Column, ...]] = (
    ("VERSION", "version"),
    ("TIME", "at"),
    ("AUTHOR", "actor"),
    ("SOURCE", "source"),
    ("SUMMARY", "summary"),
    ("REASON", "message"),
    ("PINNED", "pinned"),
)
_ENTRIES: Final[tuple[Column, ...]] = (
    ("TIME", "at"),
    ("TENANT", "tenant_id"),
    ("AUTHOR", "actor"),
    ("SOURCE", "source"),
    ("OPERATION", "operation"),
    ("SUMMARY", "summary"),
    ("REASON", "message"),
)


@command("versions")
@click.argument("owner", required=False, metavar="[TENANT]")
@click.argument("version", type=int, required=False)
@click.option("--against", type=int, help="The version to compare with. [default: the one before]")
def versions(gw: Gw, owner: str | None, version: int | None, against: int | None) -> None:
    """List the versions of a TENANT, or show what a VERSION has changed.

    `gw versions platform` lists those of the platform. Without a TENANT they are those of the caller.
    """
    path = _path(gw, owner)
    if version is None:
        found = [*gw.api.pages(path, "versions")]
        gw.out.show({"versions": found}, found, _VERSIONS, name="version")
        return
    diff = gw.api.get(f"{path}/{version}/diff", against=against)
    if not gw.out.document(diff):
        gw.out.lines([diff["summary"], *difference_lines(diff["differences"])])
        if diff["cut"]:
            gw.out.note("There are more differences: `-o json` has no more either; see the dashboard.")


@command("rollback")
@click.argument("owner", required=False, metavar="[TENANT]")
@click.argument("version", type=int, required=False)
@message_option
@yes_option
def rollback(gw: Gw, owner: str | None, version: int | None, message: str | None, yes: bool) -> None:
    """Make a new version of a TENANT, or of `platform`, with the content of an old VERSION.

    Without a VERSION it is the one before the newest. The differences are shown first.
    """
    path = _path(gw, owner)
    newest, *older = [one["version"] for one in islice(gw.api.pages(path, "versions", limit=2), 2)]
    if version is None and not older:
        raise Failure(f"There is no version before {newest}.")
    target = older[0] if version is None else version
    diff = gw.api.get(f"{path}/{target}/diff", against=newest)
    gw.out.note(f"From version {newest} to {target}:", *difference_lines(diff["differences"]))
    gw.confirm(f"Go back to version {target}?", yes=yes)
    made = gw.api.send("POST", f"{path}/{target}/rollback", {"message": message})
    if not gw.out.document(made):
        gw.out.lines(
            [
                "Nothing was changed: the content is the same already."
                if made["unchanged"]
                else f"Version {made['version']} has the content of version {target}."
            ]
        )
    gw.out.note(*(f"warning: {one['pointer']}: {one['detail']}" for one in made["warnings"]))


def _path(gw: Gw, owner: str | None) -> str:
    if owner == _PLATFORM:
        return "/platform/versions"
    return f"{gw.owner(owner) or '/platform'}/versions"


@click.group("audit", invoke_without_command=True)
@tenant_option
@click.option("--actor", help="Only changes by this author: `platform`, or `key:` with the id of a key.")
@click.option("--operation", help="Only this operation of the API, such as updateRule.")
@click.option("--since", help="Only changes at that time (ISO 8601) or later.")
@click.option("--until", help="Only changes before that time.")
@click.option("-n", "--number", default=50, show_default=True, help="The most changes.")
@output_option
@pass_gw
@click.pass_context
def audit(context: click.Context, gw: Gw, /, tenant: str | None, number: int, **query: str | None) -> None:
    """List the changes of the configuration, the newest first.

    `gw audit --tenant platform` lists those of the platform.
    """
    if context.invoked_subcommand is not None:
        return
    named = tenant if tenant in (None, _PLATFORM) else gw.tenant(tenant)
    pages = gw.api.pages("/audit", "entries", limit=min(number, 200), tenant=named, **query)
    found = [*islice(pages, number)]
    gw.out.show({"entries": found}, found, _ENTRIES, name="id")


@command("verify")
def verify(gw: Gw) -> Exit:
    """Check that no entry of the audit log was changed, added or removed. Ends with 1 otherwise.

    It reads the whole store with the secrets of the gateway, so it runs on a machine of the gateway only.
    """
    return run_module(gw, "shared.redis_server", "check")


audit.add_command(verify)

COMMANDS = (versions, rollback, audit)
