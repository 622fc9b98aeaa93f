"""The sockets and folders that a service manager passes to the programs that it starts."""

import socket
from pathlib import Path

import pytest

from shared.settings.service_manager import ServiceManager, parse_service_manager

PROCESS = 4711
PASSED = {"LISTEN_PID": str(PROCESS), "LISTEN_FDS": "2"}


@pytest.mark.parametrize(
    ("environ", "descriptors"),
    [
        ({}, []),
        (PASSED, [3, 4]),
        pytest.param({**PASSED, "LISTEN_PID": "4712"}, [], id="for another process"),
    ],
)
def test_sockets_are_those_that_were_passed_to_this_process(
    environ: dict[str, str], descriptors: list[int]
) -> None:
    assert [*parse_service_manager(environ, PROCESS).descriptors] == descriptors


@pytest.mark.parametrize("count", ["", "-1", "two"])
def test_a_wrong_number_of_sockets_is_named(count: str) -> None:
    with pytest.raises(ValueError, match=rf"^LISTEN_FDS must be a whole number, not '{count}'\.$"):
        parse_service_manager({**PASSED, "LISTEN_FDS": count}, PROCESS)


@pytest.mark.parametrize(("written", "seconds"), [({}, None), ({"WATCHDOG_USEC": "30000000"}, 30.0)])
@pytest.mark.parametrize("passed", [{}, PASSED])
def test_time_of_the_watchdog_is_in_seconds_whichever_process_it_was_set_for(
    written: dict[str, str], passed: dict[str, str], seconds: float | None
) -> None:
    environ = {**written, **passed, "WATCHDOG_PID": "1"}
    assert parse_service_manager(environ, PROCESS).watchdog == seconds


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_service_manager_is_notified(tmp_path: Path, kind: str) -> None:
    name = str(tmp_path / "notify") if kind == "path" else f"@ai-gateway-{tmp_path.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(5)
        manager.bind(name if kind == "path" else "\0" + name[1:])
        parse_service_manager({"NOTIFY_SOCKET": name}, PROCESS).notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_nobody_has_to_be_notified(tmp_path: Path) -> None:
    ServiceManager().notify("READY=1")
    ServiceManager(address=str(tmp_path / "gone")).notify("READY=1")
