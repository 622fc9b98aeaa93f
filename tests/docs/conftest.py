"""A clone of the project, in which the blocks of the pages run."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.commands import ROOT, run_command

URL = "https://github.com/ai-gateway/ai-gateway.git"
_OURS = shutil.ignore_patterns(".git", ".venv", ".python", "data", "__pycache__", ".*_cache", ".hypothesis")


class Repository(NamedTuple):
    """A copy of this project. In `environment`, git clones it instead of `URL`, and each clone has our .venv."""

    folder: Path
    environment: Mapping[str, str]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    folder = tmp_path_factory.mktemp("origin")
    copy, template = folder / "ai-gateway", folder / "template"
    shutil.copytree(ROOT, copy, ignore=_OURS)
    hook = template / "hooks" / "post-checkout"
    hook.parent.mkdir(parents=True)
    hook.write_text(f"#!/bin/sh\nln -sfn {sys.prefix} .venv\n")
    hook.chmod(0o755)
    identity = ("-c", "user.name=Docs", "-c", "user.email=docs@example.com")
    for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "The project")):
        ended = run_command("git", *command, cwd=copy)
        assert ended.returncode == 0, ended.stderr
    return Repository(
        copy,
        {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "GIT_TEMPLATE_DIR": str(template),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{copy}.insteadOf",
            "GIT_CONFIG_VALUE_0": URL,
        },
    )


@pytest.fixture(scope="module")
def checkout(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone."""
    folder = tmp_path_factory.mktemp("clone") / "ai-gateway"
    ended = run_command("git", "clone", "-q", URL, folder, env={**os.environ, **repository.environment})
    assert ended.returncode == 0, ended.stderr
    return folder
