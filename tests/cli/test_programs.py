"""Commands that run programs of this machine, as a user starts them."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import requests

from shared.documents.request import LISTED
from tests.scripts.test_run_local import LocalGateway
from tests.support.commands import ROOT, run_command
from tests.support.gateway import bare_environment
from tests.support.ports import free_port
from tests.support.upstream import Upstream, responding, sized

GW = (sys.executable, "-m", "shared.cli")


def environment(tmp_path: Path, **more: str) -> Mapping[str, str]:
    return {**bare_environment(tmp_path / "data"), "XDG_CONFIG_HOME": str(tmp_path / "config"), **more}


@pytest.mark.slow
def test_gateway_starts_in_the_background_and_ends(tmp_path: Path) -> None:
    with LocalGateway(tmp_path, {"GW_URL": ""}) as local:
        env = local.environment()
        started = run_command(*GW, "up", "--demo", "-o", "json", env=env, timeout=120)
        assert started.returncode == 0, started.stderr
        document = json.loads(started.stdout)
        assert requests.get(f"{document['admin']}/readyz", timeout=5).status_code == 200
        assert "runs already." in run_command(*GW, "up", env=env).stderr
        status = run_command(*GW, "--url", document["admin"], "status", env=env)
        assert (status.returncode, "tenants            1\n" in status.stdout) == (0, True)
        ended = run_command(*GW, "down", env=env)
        assert (ended.returncode, ended.stdout) == (0, "The gateway has ended.\n")
        assert local.left_behind() == {}
        again = run_command(*GW, "down", "-o", "json", env=env)
        assert (again.returncode, json.loads(again.stdout)) == (0, {"ended": None})


@pytest.mark.slow
def test_start_that_fails_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with Upstream() as other:
        env = environment(tmp_path, GATEWAY__SERVER__ADMIN_PORT=str(other.port))
        ended = run_command(*GW, "up", env=env)
        assert ended.returncode == 1
        assert "The gateway did not start:\nrun_local.sh: " in ended.stderr
        assert str(other.port) in ended.stderr


@pytest.mark.slow
def test_store_is_accepted_and_checked_by_the_programs_of_this_machine(tmp_path: Path) -> None:
    env = environment(tmp_path)
    accepted = run_command(*GW, "accept-store", "-o", "json", env=env)
    assert accepted.returncode == 0, accepted.stderr
    assert json.loads(accepted.stdout)["lines"][0].startswith("Accepted the store")
    for arguments in (
        ("audit", "verify"),
        ("ledger", "check"),
        ("ledger", "check", "-t", "acme"),
        ("ledger", "repair"),
        ("rotate-secrets",),
    ):
        ended = run_command(*GW, *arguments, env=env)
        assert ended.returncode == 0, ended.stderr
    wrong = run_command(*GW, "accept-store", env={**env, "GATEWAY__SERVER__ADMIN_PORT": "none"})
    assert wrong.returncode == 1
    assert "GATEWAY__SERVER__ADMIN_PORT" in wrong.stderr


@pytest.mark.slow
def test_ctrl_c_ends_a_command_with_130(tmp_path: Path) -> None:
    with Upstream(
        responding(sized(b'{"requests": [], "newest": null, "is_platform": true, "tenant": null}'))
    ) as server:
        process = subprocess.Popen(
            [*GW, "--url", server.url, "logs", "-f"],
            cwd=ROOT,
            env=environment(tmp_path),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        server.await_requests(2, 10)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.communicate() == (b"", b"\n")


@pytest.mark.slow
def test_closed_pipe_ends_a_command_quietly(tmp_path: Path) -> None:
    ended = run_command(
        *("bash", "-o", "pipefail", "-c", f"{sys.executable} -m shared.cli --help | true"),
        env=environment(tmp_path),
    )
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("no_color", [None, "1"])
def test_terminal_shows_colors_unless_no_color_is_set(tmp_path: Path, no_color: str | None) -> None:
    leader, follower = pty.openpty()
    page = {"requests": [LISTED], "newest": "1-0", "is_platform": True, "tenant": None}
    with Upstream(responding(sized(json.dumps(page).encode()))) as server:
        more = {"TERM": "xterm", **({"NO_COLOR": no_color} if no_color else {})}
        subprocess.run(
            [*GW, "--url", server.url, "logs"],
            cwd=ROOT,
            env=environment(tmp_path, **more),
            stdin=follower,
            stdout=follower,
            stderr=follower,
            timeout=30,
            check=True,
        )
    printed = os.read(leader, 4096).decode()
    os.close(leader)
    os.close(follower)
    assert "429" in printed
    assert ("\x1b[33m" in printed) is (no_color is None), printed


@pytest.mark.slow
def test_command_of_the_checkout_runs_from_any_folder(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "__init__.py").write_text("raise SystemExit('a module of the folder was run')")
    (tmp_path / "gw").symlink_to(ROOT / "scripts" / "gw")
    env = environment(tmp_path, GW_URL=f"http://127.0.0.1:{free_port()}")
    ended = run_command(tmp_path / "gw", "version", "-o", "name", cwd=tmp_path, env=env)
    assert (ended.returncode, ended.stdout) == (0, "0.1.0\n")
