"""The scripts before there is a .venv: their help, and what they say when they cannot create it."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import run_command
from tests.support.gateway import ROOT
from tests.support.machine import as_arbitrary_user, open_folder

SCRIPTS = sorted(
    {path.name for path in (ROOT / "scripts").glob("*.sh")} - {"python.sh", "scenario.sh", "lock.sh"}
)
TOOLS = ("bash", "basename", "cat", "cmp", "dirname", "env", "ls", "sed", "sort", "sh")


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A fresh checkout, in which nothing is installed."""
    with open_folder() as folder:
        shutil.copytree(ROOT / "scripts", folder / "scripts")
        for name in ("requirements.txt", "requirements-dev.txt"):
            shutil.copy(ROOT / name, folder)
        yield folder


def without_python(folder: Path, **programs: str) -> dict[str, str]:
    """An environment with few programs, an old Python, and the shell scripts `programs`."""
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or tool)
    for name, text in {"python3": "exit 1", **programs}.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return {"PATH": str(folder), "HOME": str(folder)}


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_is_shown_before_anything_is_installed(checkout: Path, name: str, option: str) -> None:
    before = sorted(path.name for path in checkout.iterdir())
    ended = run_command(checkout / "scripts" / name, option, cwd="/", env=without_python(checkout / ".bin"))
    assert ended.returncode == 0, ended.stderr
    comment = (ROOT / "scripts" / name).read_text().splitlines()[1]
    assert ended.stdout.splitlines()[0] == comment.removeprefix("# ")
    assert "set -euo" not in ended.stdout
    assert sorted(path.name for path in checkout.iterdir()) == [".bin", *before]


def test_read_only_checkout_is_told(checkout: Path) -> None:
    if os.getuid() != 0:
        checkout.chmod(0o555)
    ended = run_command(*as_arbitrary_user(), "./scripts/run_local.sh", cwd=checkout)
    assert ended.returncode == 1
    assert ended.stderr == (
        f"{checkout} is read-only, so .venv cannot be created in it. Copy the project to a folder of yours.\n"
    )
    checkout.chmod(0o755)


def test_error_of_uv_is_shown(checkout: Path) -> None:
    uv = 'case " $* " in *" --quiet "*) ;; *) echo "error: no route to host" >&2 ;; esac; exit 1'
    ended = run_command("./scripts/run_local.sh", cwd=checkout, env=without_python(checkout / ".bin", uv=uv))
    assert ended.returncode == 1
    error, advice = ended.stderr.splitlines()
    assert error == "error: no route to host"
    assert advice.startswith("AI Gateway needs Python 3.12 or newer")


def test_command_gw_is_put_beside_the_python_of_the_checkout(checkout: Path) -> None:
    programs = checkout / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    for _ in range(2):
        ended = run_command("bash", "-euc", ". scripts/python.sh; prepare", cwd=checkout)
        assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")
    assert (programs / "gw").resolve() == (checkout / "scripts" / "gw").resolve()
    assert os.access(programs / "gw", os.X_OK)
