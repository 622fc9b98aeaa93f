"""`python -m shared.plugins new NAME`: a plugin and its test that pass all checks as they are written."""

import shutil
import sys
from functools import partial
from pathlib import Path

import pytest

from shared.plugins import load_catalogue
from tests.support.commands import ROOT, run_command

run_module = partial(run_command, sys.executable, "-m", timeout=120)


def new(folder: Path, *arguments: str) -> str:
    made = run_module("shared.plugins", "new", *arguments, cwd=folder)
    assert made.returncode == 0, made.stderr
    return made.stdout


def passes(folder: Path, *command: str) -> None:
    ended = run_module(*command, cwd=folder)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the gateway, to write into."""
    copy = tmp_path_factory.mktemp("gateway")
    ignored = shutil.ignore_patterns("__pycache__")
    for part in ("shared", "tests"):
        shutil.copytree(ROOT / part, copy / part, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


@pytest.mark.slow
def test_new_plugin_in_the_gateway_passes_all_checks_without_edits(copy: Path) -> None:
    told = new(copy, "word_limit")
    spec = ["shared/plugins/word_limit.py", "tests/plugins/test_word_limit.py"]
    assert all(str(copy / file) in told for file in spec)
    # pytest is there only after test.sh has installed it.
    assert f"Run the test: ./scripts/test.sh {copy / spec[1]}" in told
    passes(copy, "ruff", "check", *spec)
    passes(copy, "ruff", "format", "--check", *spec)
    passes(copy, "mypy", *spec)
    # Its own test, and what holds for all plugins.
    passes(copy, "pytest", "-q", "-p", "no:cacheprovider", spec[1], "tests/plugins/test_catalogue.py")


@pytest.mark.slow
def test_new_plugin_in_a_separate_folder_passes_all_checks(tmp_path: Path) -> None:
    new(ROOT, "word_limit", "--folder", str(tmp_path / "mine"))
    assert "word_limit" in load_catalogue([tmp_path / "mine"])
    config = ["--config", str(ROOT / "pyproject.toml")]
    passes(ROOT, "ruff", "format", "--check", *config, str(tmp_path))
    passes(ROOT, "ruff", "check", *config, str(tmp_path / "mine/word_limit.py"))
    passes(tmp_path, "ruff", "check", "--isolated", str(tmp_path))
    passes(ROOT, "mypy", str(tmp_path / "mine/word_limit.py"))
    passes(ROOT, "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "mine/tests"))


INVALID = "'Word-Limit' is not a valid plugin name."


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Word-Limit", f"{INVALID} Use lower case letters, digits and _, such as word_limit."),
        ("class", "'class' is not a valid plugin name."),
        ("rate_limiter", "A plugin rate_limiter exists already. Choose another name."),
        ("there", "there.py would be overwritten. Choose another name."),
    ],
)
def test_plugin_that_cannot_be_written_is_rejected_with_a_reason(
    tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "there.py").write_text("mine")
    made = run_module("shared.plugins", "new", name, "--folder", tmp_path)
    assert made.returncode == 1
    assert reason in made.stderr
    assert "Traceback" not in made.stderr
    assert [file.read_text() for file in tmp_path.iterdir()] == ["mine"]
