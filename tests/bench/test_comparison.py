"""The comparison runs, from the command line to its report."""

import shutil
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.skipif(
    not (shutil.which("wrk") and shutil.which("nginx")), reason="wrk or nginx is not installed"
)
def test_comparison_of_three_contenders_ends_with_a_report() -> None:
    command = [sys.executable, "-m", "bench", "--rounds", "1", "--seconds", "1"]
    done = subprocess.run(
        [*command, "--only", "direct", "nginx", "express"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "32 connections, keep-alive" in done.stdout
    assert "no plugins, of nginx" in done.stdout
