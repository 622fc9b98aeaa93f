"""The proxy under a service manager, and when it may not be replaced."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.gateway import ROOT, RunningGateway
from tests.support.valkey_server import valkey
from tests.support.wait import until

PATIENCE = 60.0  # seconds; a bound, not a wait
#: The steps of systemd after the fork: the socket becomes descriptor 3, and the process is named.
PASS_SOCKET = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


@pytest.mark.slow
def test_proxy_with_an_embedded_store_is_not_replaced_and_says_why(tmp_path: Path) -> None:
    sentence = (
        "With an embedded store, which ends with the program that started it, a running proxy cannot be"
    )
    with RunningGateway(tmp_path / "data") as gateway:
        gateway._spawn("second", "run_proxy.py", "--replace")
        assert gateway.processes.pop("second").wait(PATIENCE) == 1
        assert f"run_proxy: {sentence}" in gateway.log("second")
        gateway.processes["proxy"].send_signal(signal.SIGUSR2)
        assert any(gateway.log("proxy").count(sentence) == 2 for _ in until(PATIENCE))
        assert gateway.processes["proxy"].poll() is None
        assert requests.get(f"{gateway.proxy}/__/ready", timeout=5).status_code == 200


@pytest.mark.slow
def test_a_start_that_replaces_nothing_is_a_start(tmp_path: Path) -> None:
    with RunningGateway(tmp_path / "data", proxy_arguments=("--replace",)) as gateway:
        assert requests.get(f"{gateway.proxy}/__/ready", timeout=5).status_code == 200


@pytest.mark.slow
def test_the_mitmproxy_engine_replaces_no_proxy(tmp_path: Path) -> None:
    gateway = RunningGateway(tmp_path, engine="mitmproxy")
    gateway._spawn("proxy", "run_proxy.py", "--replace")
    assert gateway.processes.pop("proxy").wait(PATIENCE) == 1
    assert gateway.log("proxy") == "run_proxy: Only the express engine can replace a running proxy.\n"


class Manager:
    """A service manager: it opens the port, starts the proxy, and reads what it is told."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.gateway = gateway
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notified.settimeout(PATIENCE)
        self._notified.bind(str(gateway.folder / "notify"))
        environment = {
            **gateway.environment(),
            "LISTEN_FDS": "1",
            "LISTEN_FDNAMES": "proxy",
            "NOTIFY_SOCKET": str(gateway.folder / "notify"),
        }
        number = self.listener.fileno()
        with (gateway.folder / "proxy.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PASS_SOCKET, str(number), "run_proxy.py"],
                pass_fds=[number],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )
        self.main = self.process.pid

    def told(self) -> dict[str, str]:
        """The next message."""
        return dict(line.split("=") for line in self._notified.recv(4096).decode().splitlines())

    def is_served(self) -> bool:
        return requests.get(f"http://127.0.0.1:{self.port}/__/health", timeout=PATIENCE).status_code == 200

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.main, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self.listener.close()
        self._notified.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with valkey(tmp_path) as store:
        settings = {"GATEWAY__REDIS__URL": f"unix://{store}", "GATEWAY__REDIS__MODE": "external"}
        running = Manager(RunningGateway(tmp_path, settings))
        yield running
        running.close()


@pytest.mark.slow
def test_a_service_manager_passes_its_socket_and_follows_the_replacement(manager: Manager) -> None:
    assert manager.told() == {"READY": "1", "MAINPID": str(manager.main)}
    assert manager.is_served()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", manager.gateway.proxy_port))
    assert manager.gateway.metrics()["gateway_worker_restarts_total"] == 0
    manager.process.send_signal(signal.SIGUSR2)
    told = manager.told()
    assert told["READY"] == "1"
    assert told["MAINPID"] != str(manager.main)
    manager.main = int(told["MAINPID"])
    assert manager.process.wait(PATIENCE) == 0
    assert manager.is_served()
    # The port of the metrics is handed over, too, and their folder is that of the new proxy.
    assert manager.gateway.metrics()["gateway_worker_restarts_total"] == 0
    [folder] = (manager.gateway.folder / "run" / "metrics").iterdir()
    assert folder.name.startswith(f"proxy-{manager.main}.")
    os.kill(manager.main, signal.SIGTERM)
    assert manager.told() == {"STOPPING": "1"}
    assert any(not Path(f"/proc/{manager.main}").exists() for _ in until(PATIENCE))
    # The service manager holds the port open: clients wait for the next proxy.
    socket.create_connection(("127.0.0.1", manager.port)).close()
