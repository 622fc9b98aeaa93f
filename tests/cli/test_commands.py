"""The rules of every command."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from shared.cli.app import gw, run
from shared.cli.output import FORMATS


def commands(group: click.Group = gw, path: str = "gw") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with its path."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
            if not command.invoke_without_command:
                continue
        yield f"{path} {name}", command


@pytest.mark.parametrize(
    ("path", "command"), [*commands()], ids=lambda one: one if isinstance(one, str) else ""
)
def test_command_prints_json_and_documents_itself_and_its_options(path: str, command: click.Command) -> None:
    options = {one.name: one for one in command.params if isinstance(one, click.Option)}
    assert isinstance(options["output"].type, click.Choice)
    assert tuple(options["output"].type.choices) == FORMATS
    assert command.help
    assert command.help.partition("\n")[0].endswith((".", "first."))
    assert [name for name, one in options.items() if not (one.help or "").endswith((".", "]"))] == []


@pytest.mark.parametrize("path", [path for path, _ in commands()])
def test_help_of_a_command_needs_no_gateway(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*path.split()[1:], "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: {path} ")


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    run([])
    assert "Exit codes: 0 done" in "".join(capsys.readouterr())


@pytest.mark.slow
def test_interrupt_while_modules_are_loaded_prints_no_traceback() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "shared.cli", "--help"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        next(line for line in process.stderr if line.endswith("click.core\n"))
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.stderr.read()
    assert process.returncode == -signal.SIGINT
