"""The scenario scripts pass on a running gateway, again and again, and notice what is wrong."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cases import slow
from tests.support.commands import run_command
from tests.support.gateway import ROOT, RunningGateway
from tests.support.valkey_server import valkey
from tests.support.wait import until

STATUSES = {"rate_limiter": 429, "external_validator": 422, "parallel_plugins": 422, "fallback": 404}
SCRIPTS = ("test_tenant.sh", *(f"test_{name}.sh" for name in STATUSES))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    with RunningGateway(tmp_path_factory.mktemp("scenarios") / "data") as running:
        yield running


def run(script: Path, gateway: RunningGateway) -> subprocess.CompletedProcess[str]:
    # A proxy in the environment must get none of the calls, which are all to this machine.
    proxies = {"http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"}
    return run_command("bash", script, env={**gateway.environment(), **proxies}, timeout=180)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_passes_twice_in_a_row_on_one_store(gateway: RunningGateway, name: str) -> None:
    for _ in range(2):
        ended = run(ROOT / "scripts" / name, gateway)
        assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr
        assert ended.stdout.endswith("All responses were as expected.\n")
    # It deletes what it made.
    assert gateway.call("GET", "/tenants").json()["count"] == 0


@pytest.mark.parametrize("name", [SCRIPTS[0], *slow(*SCRIPTS[1:])])
def test_a_script_says_that_the_gateway_is_down(name: str, tmp_path: Path) -> None:
    ended = run(ROOT / "scripts" / name, RunningGateway(tmp_path))
    assert ended.returncode != 0
    assert "Start the gateway with ./scripts/run_local.sh" in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("number", "is_good"), [("-USR2", True), ("-TERM", False)])
def test_a_restart_without_a_failed_call_is_told_from_another_one(
    tmp_path: Path, number: str, is_good: bool
) -> None:
    with valkey(tmp_path) as store:
        settings = {
            "GATEWAY__REDIS__URL": f"unix://{store}",
            "GATEWAY__REDIS__MODE": "external",
            "GATEWAY__SERVER__DRAIN_TIMEOUT": "2s",
        }
        with RunningGateway(tmp_path / "data", settings) as gateway:
            proxy = gateway.processes.pop("proxy")
            ended = run_command(
                *("bash", ROOT / "scripts" / "test_restart.sh", "kill", number, proxy.pid),
                env={**gateway.environment(), "AFTER": "20"},
                timeout=180,
            )
            for process in replacing(tmp_path):
                os.kill(process, signal.SIGTERM)
            assert proxy.wait(60) == 0
            assert any(not replacing(tmp_path) for _ in until(60))
            assert (ended.returncode == 0) == is_good, ended.stdout + ended.stderr
            assert ("calls failed" in ended.stderr) != is_good


def replacing(folder: Path) -> list[int]:
    """The proxies that took over from one with this folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if f"--replace={folder}" in entry.read_text():
                found.append(int(entry.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "status"), [("tenant", 409), *STATUSES.items()])
def test_script_fails_on_another_response(gateway: RunningGateway, name: str, status: int) -> None:
    original, right = (ROOT / f"scripts/test_{name}.sh").read_text(), f'is rejected" {status}'
    assert right in original
    altered = ROOT / "scripts" / f".altered-test_{name}.sh"
    altered.write_text(original.replace(right, 'is rejected" 200'))
    try:
        ended = run(altered, gateway)
    finally:
        altered.unlink()
    assert ended.returncode != 0
    assert "expected 200, got" in ended.stderr
