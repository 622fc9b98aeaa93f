"""`gw schema`, `gw validate` and `gw dump`: the configuration as files."""

import json
from collections.abc import Iterator
from typing import Any

import click

from shared.cli.context import Gw, command
from shared.cli.files.merge import Document, read_files
from shared.cli.output import as_yaml
from shared.settings import environment

files_option = click.option(
    *("-f", "--file", "files"),
    multiple=True,
    required=True,
    metavar="FILE",
    help="A file, a folder with files, or - for standard input. May be repeated.",
)
tenants_option = click.option(
    *("-t", "--tenant", "tenants"),
    multiple=True,
    metavar="SUBDOMAIN",
    help="Only this tenant. May be repeated.",
)


@command("schema")
def schema(gw: Gw) -> None:
    """Print the JSON Schema of files, for editors and checks. It needs no gateway."""
    from shared.cli.files import offline  # noqa: PLC0415 -- plugins take a while to load

    if not gw.out.document(found := offline.schema()):
        gw.out.lines([json.dumps(found, indent=2)])


@command("validate")
@files_option
def validate(gw: Gw, files: tuple[str, ...]) -> None:
    """Check files without a gateway: each value, and the plugins of each chain. Ends with 1 if one is wrong.

    `gw diff` also checks what only the gateway knows, such as names of providers and the limits of tiers.
    """
    document = _read(files)
    if not gw.out.document({"valid": True, "tenants": len(document.value.get("tenants") or {})}):
        gw.out.lines(["The files are valid."])


@command("dump")
@click.option("--select-tag", "tag", help="Only things with this tag.")
@tenants_option
def dump(gw: Gw, tag: str | None, tenants: tuple[str, ...]) -> None:
    """Print the configuration as a file for `gw apply`. Secrets are not in it.

    `{set: true}` keeps the stored secret when the file is applied; a new installation needs a value there.
    """
    named = ",".join(tenants) or None
    document = gw.api.get("/document", tenants=named, platform=None if named is None else "false")
    if tag is not None:
        document = _selected(document, tag)
    if gw.out.format == "name":
        gw.out.lines(document["tenants"])
    elif not gw.out.document(document):
        gw.out.lines(
            [
                f"# yaml-language-server: $schema={gw.api.url}/schemas/gateway-1.json",
                *(f"# To fill in on a new installation: {place}" for place in _kept(document)),
                as_yaml(document).rstrip(),
            ]
        )


def _read(files: tuple[str, ...]) -> Document:
    """The document of files that are right as far as it can be told here. Raises `Failure`."""
    from shared.cli.files import offline  # noqa: PLC0415 -- plugins take a while to load

    document = read_files(files, environment())
    document.check()
    offline.check_offline(document)
    document.check()
    return document


def _selected(document: Any, tag: str) -> Any:
    """The document with only the things that have a tag."""
    owners = {"platform": document.get("platform") or {}}
    owners |= {f"tenants/{name}": owner for name, owner in document["tenants"].items()}
    found: dict[str, Any] = {"_format_version": document["_format_version"], "tenants": {}}
    for place, owner in owners.items():
        whole = tag in owner.get("tags", ())
        kept = {
            name: {key: one for key, one in value.items() if tag in (one or {}).get("tags", ())}
            for name, value in owner.items()
            if name in ("rules", "providers", "models", "api_keys")
        }
        chosen = owner if whole else {name: value for name, value in kept.items() if value}
        if chosen and place == "platform":
            found["platform"] = chosen
        elif chosen:
            found["tenants"][place.removeprefix("tenants/")] = {"name": owner["name"], **chosen}
    return found


def _kept(node: Any, place: str = "") -> Iterator[str]:
    """The places of secrets that only the store has."""
    if node == {"set": True}:
        yield place
    elif isinstance(node, dict | list):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for name, value in items:
            yield from _kept(value, f"{place}.{name}" if place else str(name))


COMMANDS = (schema, validate, dump)
