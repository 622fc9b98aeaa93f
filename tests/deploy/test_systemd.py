"""The units of deploy/systemd fit the programs that they start."""

from configparser import ConfigParser
from pathlib import Path

import pytest

from shared.settings import load_settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "systemd"
PROGRAMS = ["admin", "proxy"]


def unit(name: str) -> ConfigParser:
    parser = ConfigParser(interpolation=None, delimiters=["="])
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
