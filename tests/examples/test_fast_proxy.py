"""The engine without the gateway: mitmproxy addons as a fast reverse proxy."""

import signal
import subprocess
import sys

import pytest
import requests

from tests.support.gateway import ROOT
from tests.support.ports import free_port
from tests.support.upstream import Upstream
from tests.support.wait import until


@pytest.mark.slow
@pytest.mark.parametrize("unreachable", [0, 1], ids=["one upstream", "the first upstream cannot be reached"])
def test_the_example_proxies_through_a_plain_addon_and_ends_on_ctrl_c(unreachable: int) -> None:
    port = free_port()
    with Upstream() as upstream:
        ports = [*[free_port() for _ in range(unreachable)], upstream.port]
        command = [sys.executable, "-m", "examples.fast_proxy", str(port), "127.0.0.1", *map(str, ports)]
        with subprocess.Popen(command, cwd=ROOT) as proxy:
            try:
                response = _first_response(port)
                assert (response.json(), response.headers["x-proxy"]) == ({"ok": True}, "fast")
                assert upstream.received[-1].target == "/a?b"
            finally:
                proxy.send_signal(signal.SIGINT)
            assert proxy.wait(10) == 0


def _first_response(port: int) -> requests.Response:
    for _ in until(30):
        try:
            return requests.get(f"http://127.0.0.1:{port}/a?b", timeout=5)
        except requests.ConnectionError:
            continue
    raise AssertionError("The proxy did not come up.")
