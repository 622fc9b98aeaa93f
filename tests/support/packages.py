"""Programs that a test needs and Debian has."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

#: Chromium without the parts for a desktop: the command, and Debian's package.
SHELL = "chromium-headless-shell"
_PATH = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"


def need_command(command: str, package: str) -> str:
    """The path of a command. Installs its Debian package when it is missing, or fails with a sentence."""
    if found := shutil.which(command, path=_PATH):
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        pytest.fail(f"This test needs {command}. On Debian, install it with: sudo apt-get install {package}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", package]):
        ended = subprocess.run(["apt-get", *arguments], env=environment, capture_output=True, text=True)
        if ended.returncode != 0:
            pytest.fail(f"apt-get could not install {package}, which this test needs:\n{ended.stderr}")
    return need_command(command, package)


def need_chromium(folder: Path) -> str:
    """The path of a command for Chromium, as `need_command`. It may lie in `folder`.

    Without the parts for a desktop Chromium takes half the time. A whole one does, too, if it is here already.

    As root, Chromium puts itself before all other processes (a nice value of -8), and Redis may then not reply
    in time. So it is started without the right to do so.
    """
    chromium = shutil.which(SHELL) or shutil.which("chromium") or need_command(SHELL, SHELL)
    if os.geteuid() != 0:
        return chromium
    script = folder / "chromium.sh"
    setpriv = need_command("setpriv", "util-linux")
    script.write_text(f'#!/bin/sh\nexec {setpriv} --bounding-set -sys_nice {chromium} "$@"\n')
    script.chmod(0o755)
    return str(script)
