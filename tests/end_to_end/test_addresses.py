"""The addresses on which both programs listen."""

import contextlib
from pathlib import Path

import pytest
import requests

from tests.support.gateway import RunningGateway
from tests.support.upstream import Upstream


def statuses(gateway: RunningGateway) -> list[int]:
    """Of the probes of both programs, by IPv4 and by IPv6."""
    return [
        requests.get(f"http://{host}:{port}{path}", timeout=5).status_code
        for host in ("127.0.0.1", "[::1]")
        for port, path in ((gateway.admin_port, "/livez"), (gateway.proxy_port, "/__/health"))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("hosts", ["::", "127.0.0.1,::1", "0.0.0.0,::"])
@pytest.mark.parametrize("engine", ["express", "mitmproxy"])
def test_ipv4_and_ipv6_reach_both_programs(tmp_path: Path, hosts: str, engine: str) -> None:
    settings = {
        "GATEWAY_ADMIN_TOKEN": "a-token-of-a-test",
        "GATEWAY__SERVER__ADMIN_HOST": hosts,
        "GATEWAY__SERVER__PROXY_HOST": hosts,
    }
    with RunningGateway(tmp_path / "data", settings, engine) as gateway:
        assert statuses(gateway) == [200] * 4


@pytest.mark.slow
def test_an_ipv4_client_of_a_socket_for_both_has_its_ipv4_address(tmp_path: Path) -> None:
    """Blocked addresses and limits must not miss it in the form ::ffff:127.0.0.1."""
    with contextlib.ExitStack() as stack:
        settings = {"GATEWAY__SERVER__PROXY_HOST": "::"}
        gateway = stack.enter_context(RunningGateway(tmp_path / "data", settings))
        upstream = stack.enter_context(Upstream())
        blocking = {"name": "security_validator", "settings": {"blocked_ips": ["127.0.0.0/8"]}}
        tenant = gateway.create_tenant(plugin_chain=[blocking])
        tenant.create_rule("/v1", f"http://127.0.0.1:{upstream.port}")
        assert tenant.request("GET", "/v1/x").json()["error"]["code"] == "ip_blocked"
        assert not upstream.received
