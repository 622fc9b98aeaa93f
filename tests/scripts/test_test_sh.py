"""The command that checks everything ends with the status of what it ran."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.gateway import ROOT

# In place of all programs: the one whose arguments have the word of FAILS fails.
_PROGRAM = '#!/bin/sh\ncase " $* " in *" $FAILS "*) exit 1 ;; esac\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the script, and programs that do nothing."""
    folder, programs = tmp_path / "scripts", tmp_path / ".venv" / "bin"
    folder.mkdir()
    programs.mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "test.sh", folder)
    (folder / "python.sh").write_text(
        "show_help() { :; }\nprepare() { :; }\ndie() { echo $* >&2; exit 1; }\n"
    )
    for name in ("python", "ruff", "mypy", "lint-imports", "chromium-headless-shell"):
        (programs / name).write_text(_PROGRAM)
        (programs / name).chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("fails", "code"),
    [
        ("nothing", 0),
        ("check", 1),  # the style
        ("--no-cache", 1),  # the imports
        ("scripts.tree", 1),
        ("--cov", 1),  # the pure tests
        ("--max-worker-restart=0", 1),  # all others
    ],
)
def test_check_of_everything_fails_if_a_part_of_it_does(checkout: Path, fails: str, code: int) -> None:
    path = f"{checkout / '.venv' / 'bin'}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", str(checkout / "scripts" / "test.sh")],
        env={"PATH": path, "FAILS": fails, "TMPDIR": str(checkout)},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert not [*checkout.glob("tmp.*")]  # what the pure tests print
