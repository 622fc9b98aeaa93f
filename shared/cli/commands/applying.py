"""`gw diff` and `gw apply`: what files would change, and the change itself."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

import click

from shared.cli.client import LONG_TIMEOUT_SECONDS
from shared.cli.commands.files import files_option, tenants_option
from shared.cli.context import Gw, command, message_option, yes_option
from shared.cli.failures import Exit, Failure
from shared.cli.files.merge import read_files
from shared.cli.output import as_yaml, difference_lines, visible
from shared.core.json_pointer import parse_path
from shared.settings import environment

_SIGNS: Final = {"create": "+", "update": "~", "delete": "-"}
_WORDS: Final = {"create": "Created", "update": "Updated", "delete": "Deleted"}
# Where the admin API says the file is in the body of a call.
_BODY: Final = "/document"
_SECRETS: Final = ("key", "api_key")

prune_option = click.option(
    "--prune", is_flag=True, help="Delete what the files do not name, of the owners that they do."
)
keys_option = click.option(
    "--prune-keys",
    is_flag=True,
    help="With --prune, revoke API keys that were used in the last 24 hours, too.",
)
delete_option = click.option(
    "--allow-delete-tenants", is_flag=True, help="With --prune, delete tenants that the files do not name."
)


@command("diff")
@files_option
@tenants_option
@prune_option
@keys_option
@delete_option
def diff(gw: Gw, files: tuple[str, ...], **options: Any) -> Exit:
    """Show what `gw apply` would change. Ends with 2 if there is anything."""
    plan = _plan(gw, files, **options)
    if gw.out.format == "name":
        gw.out.lines(one["path"] for one in plan["changes"])
    elif not gw.out.document(plan):
        gw.out.lines(_change_lines(plan))
    return Exit.DRIFT if plan["changes"] else Exit.OK


@command("apply")
@files_option
@tenants_option
@prune_option
@keys_option
@delete_option
@click.option(
    "--keys-out", type=click.Path(path_type=Path), help="A new file for the secrets of new API keys."
)
@message_option
@yes_option
def apply(
    gw: Gw, files: tuple[str, ...], keys_out: Path | None, message: str | None, yes: bool, **options: Any
) -> None:
    """Change the configuration to what files say: all of it, or nothing.

    The changes are shown first. Ends with 3 if another change was first. The secrets of new API keys are
    printed once, or go to a new file that only you can read.
    """
    with _new_file(keys_out) as file:
        plan = _plan(gw, files, **options)
        gw.out.note(*_change_lines(plan))
        if not plan["changes"]:
            applied = {"unchanged": True, "versions": {}, "summary": plan["summary"], "api_keys": []}
        else:
            gw.confirm("Apply these changes?", yes=yes)
            applied = gw.api.send(
                "POST", f"/plan/{plan['plan_id']}/apply", {"message": message}, timeout=LONG_TIMEOUT_SECONDS
            )
        if file is not None:
            applied["api_keys"] = _write_keys(file, applied["api_keys"])
    if not gw.out.document(applied):
        gw.out.lines(_result_lines(applied, keys_out))


@contextmanager
def _new_file(path: Path | None) -> Iterator[TextIO | None]:
    """A new file that only this user can open, made before the change; it goes if that fails.

    Raises `Failure` when it cannot be made.
    """
    if path is None:
        yield None
        return
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Failure(f"{path} cannot be made: {error.strerror}.", "Name a new file.") from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        try:
            yield file
        except BaseException:
            path.unlink()
            raise


def _plan(
    gw: Gw,
    files: tuple[str, ...],
    *,
    tenants: tuple[str, ...],
    prune: bool,
    prune_keys: bool,
    allow_delete_tenants: bool,
) -> Any:
    """The plan of files, as the gateway makes it. Each of its problems has its place in the files."""
    with gw.out.working("Reading …"):
        document = read_files(files, environment())
    document.check()
    body = {
        "document": document.value,
        "prune": prune,
        "prune_keys": prune_keys,
        "allow_delete_tenants": allow_delete_tenants,
        "tenants": [*tenants] or None,
        "file_name": ", ".join(Path(one).name for one in files)[:200],
    }
    try:
        with gw.out.working("Planning …"):
            plan = gw.api.send("POST", "/plan", body, timeout=LONG_TIMEOUT_SECONDS)
    except Failure as failure:
        for pointer, detail in failure.problems:
            if pointer.startswith(_BODY):
                document.fault(pointer.removeprefix(_BODY), detail)
        document.check()
        raise
    for one in plan["warnings"]:
        gw.out.note(f"warning: {document.fault_at(one['pointer'].removeprefix(_BODY), one['detail'])}")
    return plan


def _change_lines(plan: Any) -> Iterator[str]:
    """The changes, one thing after the other, and their numbers."""
    for change in plan["changes"]:
        yield visible(f"{_SIGNS[change['op']]} {'.'.join(parse_path(change['path']))}")
        if change["op"] == "update":
            yield from (f"    {line}" for line in difference_lines(change["differences"]))
    yield _summary(plan["summary"])


def _summary(counts: Mapping[str, int]) -> str:
    return "Summary: " + " ".join(f"{word}: {counts[name]}" for name, word in _WORDS.items())


def _result_lines(applied: Any, keys_out: Path | None) -> Iterator[str]:
    """The result of a plan. A line of a new key has its tenant, its name and its secret."""
    versions = ", ".join(f"{owner} {version}" for owner, version in applied["versions"].items())
    yield f"Applied: {versions}." if versions else "Nothing was changed."
    if keys_out is not None:
        yield f"The secrets of {len(applied['api_keys'])} new API keys are in {keys_out}."
        return
    for key in applied["api_keys"]:
        yield f"{key['tenant']} {visible(key['name'])} {key['key']}"


def _write_keys(file: TextIO, keys: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Write the secrets, by tenant and name. Returns the keys without them. Raises `Failure`."""
    found: dict[str, dict[str, str]] = {}
    for key in keys:
        found.setdefault(key["tenant"], {})[key["name"]] = key["key"]
    text = as_yaml(found)
    try:
        file.write(text)
        file.flush()
    except OSError as error:
        # The gateway shows them only once.
        sentence = f"{file.name} cannot be written: {error.strerror}. These are the new keys:"
        raise Failure(f"{sentence}\n{text}") from None
    return [{name: value for name, value in key.items() if name not in _SECRETS} for key in keys]


COMMANDS = (diff, apply)
