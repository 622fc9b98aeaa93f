"""The parts of a local gateway: seen when they serve, and ended with all their processes."""

import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from scripts.demo import curl_lines
from scripts.parts import Part, PartFailed, running
from shared.settings import load_settings
from shared.settings.probe import proxy_url
from tests.mitm_engine.running_echo import PATIENCE, session
from tests.support.certificates import Authority
from tests.support.wait import until

KEY = "gwk_key"


class Healthy(BaseHTTPRequestHandler):
    """Answers 200 to everything."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def a_part(folder: Path, ready: str) -> Part:
    """A program that is a tree of processes, as the proxy is."""
    command = [sys.executable, "-m", "tests.mitm_engine.echo_server", "uvloop", "2", str(folder)]
    return Part("proxy", command, ready)


@pytest.mark.slow
def test_a_part_ends_with_all_its_workers_even_one_that_hangs(tmp_path: Path) -> None:
    with running([a_part(tmp_path, "http://127.0.0.1:1")], tmp_path, threading.Event()) as started:
        [(_, child)] = started.children
        assert any(len([*tmp_path.glob("began-*")]) == 2 for _ in until(PATIENCE))
        assert len(session(child.pid)) >= 3
        os.kill(int(next(tmp_path.glob("began-*")).name.removeprefix("began-")), signal.SIGSTOP)
    assert any(not session(child.pid) for _ in until(PATIENCE))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_part_is_ready_when_it_responds_with_any_certificate(tmp_path: Path, scheme: str) -> None:
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        if scheme == "https":
            context = Authority(tmp_path).server_context("*.tenants.example")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        part = a_part(tmp_path, f"{scheme}://127.0.0.1:{server.server_port}/__/ready")
        with running([part], tmp_path, threading.Event()) as started:
            assert [*started.wait_until_ready(PATIENCE)] == [part]
        server.shutdown()


def test_part_that_ends_is_reported_with_its_exit_code_and_output(tmp_path: Path) -> None:
    part = Part("proxy", [sys.executable, "-c", "raise SystemExit('why it ended')"], "http://127.0.0.1:1")
    ended = pytest.raises(PartFailed, match=r"(?s)proxy ended with exit code 1\..*why it ended")
    with running([part], tmp_path, threading.Event()) as started, ended:
        list(started.wait_until_ready(PATIENCE))


@pytest.mark.parametrize(
    ("tls", "scheme", "curl"), [(False, "http", "curl -s"), (True, "https", "curl -k -s")]
)
def test_the_printed_calls_speak_as_the_proxy_does(tls: bool, scheme: str, curl: str) -> None:
    files = {"GATEWAY__SERVER__TLS__CERT": "/c", "GATEWAY__SERVER__TLS__KEY": "/k"}
    proxy = proxy_url(load_settings(environ=files if tls else {}))
    assert proxy == f"{scheme}://localhost:8081"
    create, *calls = curl_lines("http://localhost:8080", proxy, KEY, "acme", token=False)
    assert create[1].startswith("curl -s")
    assert len(calls) == 2
    for _, line in calls:
        assert line.startswith(curl)
        assert proxy in line
