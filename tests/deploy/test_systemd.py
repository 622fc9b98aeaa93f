"""The units of deploy/systemd fit the programs that they start."""

import os
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest

from shared.settings import load_settings
from tests.support.commands import run_command
from tests.support.gateway import RunningGateway
from tests.support.packages import need_command
from tests.support.upstream import Upstream

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "systemd"
PROGRAMS = ["admin", "proxy"]
PATTERNS = {"blocked_patterns": ["bad"]}


class _Repeated(dict[str, Any]):
    """Keeps all values of a name: those of a section are lists of lines until it has been read."""

    def __setitem__(self, name: str, value: Any) -> None:
        if isinstance(value, list) and isinstance(self.get(name), list):
            value = [*self[name], *value]
        super().__setitem__(name, value)


def unit(name: str) -> ConfigParser:
    """A unit; the values of a name that it has several times are lines of one value, as systemd reads it."""
    parser = ConfigParser(interpolation=None, delimiters=["="], strict=False, dict_type=_Repeated)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((FOLDER / name).read_text())
    return parser


@pytest.mark.parametrize("program", PROGRAMS)
def test_service_starts_a_program_of_this_folder_with_settings_that_exist(program: str) -> None:
    service = unit(f"ai-gateway-{program}.service")["Service"]
    command = service["ExecStart"].split()
    assert command[0].startswith(f"{service['WorkingDirectory']}/.venv/bin/")
    assert (ROOT / command[1].replace("wsgi:app", "wsgi.py")).exists()
    settings = load_settings(environ=dict(pair.split("=") for pair in service["Environment"].split()))
    assert settings.redis.mode == "external"
    # Each secret that a setting names is one that systemd hands over.
    given = [line.partition(":")[0] for line in service["LoadCredential"].splitlines()]
    files = (settings.security.pepper_file, settings.security.key_file)
    assert [f"%d/{name}" for name in given] == [str(file)[str(file).index("%d") :] for file in files]


@pytest.mark.parametrize("program", PROGRAMS)
def test_service_is_exposed_as_little_as_systemd_can_judge(program: str) -> None:
    analyze = need_command("systemd-analyze", "systemd")
    file = FOLDER / f"ai-gateway-{program}.service"
    # It is the overall exposure in tenths: 10.0 is a service with all rights.
    ended = run_command(analyze, "security", "--offline=yes", "--threshold=20", "--no-pager", file)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.slow
def test_programs_serve_with_the_rights_that_the_services_have(tmp_path: Path) -> None:
    """As far as this can be shown without systemd: no memory that gains code, and of /proc only processes."""
    for program in PROGRAMS:
        service = unit(f"ai-gateway-{program}.service")["Service"]
        assert (service["MemoryDenyWriteExecute"], service["ProcSubset"]) == ("true", "pid")
    if os.getuid() != 0:
        raise RuntimeError("This test mounts a file system. Run it as root.")
    refuse = "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); "  # PR_SET_MDWE, Linux 6.3
    script = f"{refuse}os.execv(sys.argv[1], sys.argv[1:])"
    inner = 'mount -t proc -o subset=pid,hidepid=invisible proc /proc && exec "$@"'
    confined = ("unshare", "-m", "sh", "-c", inner, "sh", sys.executable, "-c", script)
    with RunningGateway(tmp_path / "data", run_as=confined) as gateway, Upstream() as upstream:
        tenant = gateway.create_tenant(plugin_chain=[{"name": "content_validator", "settings": PATTERNS}])
        tenant.create_rule("/v1", upstream.url)
        assert tenant.request("POST", "/v1/x", json={"text": "good"}).status_code == 200
    assert "Traceback" not in gateway.log("proxy") + gateway.log("admin")


@pytest.mark.parametrize("program", PROGRAMS)
def test_socket_has_the_default_port(program: str) -> None:
    port = getattr(load_settings(environ={}).server, f"{program}_port")
    assert unit(f"ai-gateway-{program}.socket")["Socket"]["ListenStream"].endswith(f":{port}")
    assert unit(f"ai-gateway-{program}.service")["Unit"]["Requires"] == f"ai-gateway-{program}.socket"


def test_open_requests_may_complete_before_the_proxy_is_killed() -> None:
    service, drain = (
        unit("ai-gateway-proxy.service")["Service"],
        load_settings(environ={}).server.drain_timeout,
    )
    assert int(service["TimeoutStopSec"]) >= drain + 10
    assert service["KillMode"] == "mixed"


def test_reload_replaces_the_proxy_which_then_has_another_process() -> None:
    service = unit("ai-gateway-proxy.service")["Service"]
    assert service["ExecReload"] == "/bin/kill -USR2 $MAINPID"
    assert (service["Type"], service["NotifyAccess"]) == ("notify", "all")
    assert int(service["WatchdogSec"]) == 30
