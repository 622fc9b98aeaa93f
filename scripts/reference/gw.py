"""The reference page of the command `gw`: every command with its options, made of the command itself."""

import inspect
from collections.abc import Iterator

import click

from scripts.reference.page import code, page, table
from shared.cli.app import gw
from shared.cli.failures import Exit

_MEANINGS = {
    Exit.OK: "done",
    Exit.ERROR: "failed; `gw status` and `gw doctor`: something does not work",
    Exit.DRIFT: "`gw diff` and `gw ledger check`: something differs; `gw import`: something was left out",
    Exit.CONFLICT: "another change was first",
    Exit.NOT_FOUND: "there is no such thing",
    Exit.REJECTED: "`gw explain`: the request would be rejected",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
}


def gw_page() -> str:
    """Every command of `gw`."""
    return page(
        "The command gw",
        "`scripts/run_local.sh` and `scripts/test.sh` put `gw` into `.venv/bin`, and the image has it; "
        "`scripts/gw` and `python -m shared.cli` are the same. It calls the admin API at `GW_URL` with "
        "the key in `GW_TOKEN`, or as `gw login` has saved. Without either, it calls the gateway of this "
        "machine. `GW_TENANT` is the tenant that `--tenant` else names, and `GW_PROFILE` the saved login. "
        "`--profile` in a command wins over `GW_URL` and `GW_TOKEN`.",
        "Every command has `--output` with `table`, `json`, `yaml` and `name`. Results go to standard "
        "output, notes and errors to standard error. A call waits 10 s, and one of files 120 s. Only reads "
        'are repeated. `NO_COLOR` removes colors. In bash, `eval "$(_GW_COMPLETE=bash_source gw)"` completes '
        "commands and options; `zsh_source` does so for zsh.",
        "## Exit codes\n",
        table(("code", "meaning"), [(str(one.value), meaning) for one, meaning in _MEANINGS.items()]),
        "## Options of all commands\n",
        table(("option", "meaning"), [*_options(gw), ("`-o`, `--output`", "The format of what is printed.")]),
        *_commands(gw, "gw"),
    )


def _commands(group: click.Group, path: str) -> Iterator[str]:
    for name in sorted(group.commands):
        command = group.commands[name]
        own = f"{path} {name}"
        if not isinstance(command, click.Group) or command.invoke_without_command:
            arguments = (one for one in command.params if isinstance(one, click.Argument))
            words = [own, *(one.make_metavar(_context(command)) for one in arguments)]
            yield f"## {' '.join(words)}\n"
            yield from inspect.cleandoc(command.help or "").split("\n\n")
            if rows := [*_options(command)]:
                yield table(("option", "meaning"), rows)
        if isinstance(command, click.Group):
            yield from _commands(command, own)


def _options(command: click.Command) -> Iterator[tuple[str, str]]:
    for option in command.params:
        if isinstance(option, click.Option) and option.name != "output":
            record = option.get_help_record(_context(command))
            if record is not None and option.name != "help":
                names, meaning = record
                yield ", ".join(map(code, names.split(", "))), meaning.replace("  ", " ")


def _context(command: click.Command) -> click.Context:
    return click.Context(command)
