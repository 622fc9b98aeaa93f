"""What survives when everything dies at once."""

import signal
from pathlib import Path

import pytest

from tests.support.cases import slow
from tests.support.gateway import RunningGateway
from tests.support.upstream import Upstream

express_first = pytest.mark.parametrize("engine", ["express", *slow("mitmproxy")], indirect=True)


@express_first
def test_tenants_keys_rules_and_limits_survive_a_kill_of_everything(
    upstream: Upstream, tmp_path: Path, engine: str
) -> None:
    with RunningGateway(tmp_path / "data", engine=engine) as gateway:
        tenant = gateway.create_tenant()
        limit = {"name": "rate_limiter", "settings": {"limit": 3, "window": "1h"}}
        tenant.create_rule("/v1", upstream.url, plugin_chain=[limit], headers={"X-Upstream-Key": "stored"})
        assert tenant.request("GET", "/v1/x").status_code == 200
        gateway.stop(signal.SIGKILL)
        gateway.start()
        response = tenant.request("GET", "/v1/x")
        assert response.status_code == 200
        assert response.headers["x-ratelimit-remaining-requests"] == "1"
        assert upstream.received[-1].get("x-upstream-key") == "stored"


@pytest.mark.slow
def test_store_and_logs_contain_no_secret(upstream: Upstream, tmp_path: Path, engine: str) -> None:
    with RunningGateway(tmp_path / "data", engine=engine) as gateway:
        tenant = gateway.create_tenant()
        tenant.create_rule("/v1", upstream.url, headers={"Authorization": "Bearer canary-upstream-secret"})
        tenant.request("GET", f"/v1/{tenant.key}?token={tenant.key}")
        tenant.request("GET", "/v1/x", headers={"Authorization": f"Bearer {tenant.key}x"})
    for file in tmp_path.rglob("*"):
        if file.is_file() and not file.is_socket():
            content = file.read_bytes()
            assert tenant.key.encode() not in content, file
            assert b"canary-upstream-secret" not in content, file


@pytest.mark.slow
def test_stopping_the_proxy_leaves_the_admin_and_its_store(tmp_path: Path, engine: str) -> None:
    with RunningGateway(tmp_path / "data", engine=engine) as gateway:
        proxy = gateway.processes.pop("proxy")
        proxy.terminate()
        assert proxy.wait(10) == 0
        assert gateway.call("GET", "/tenants").json()["count"] == 0


@pytest.mark.slow
def test_a_taken_port_stops_the_proxy_with_a_sentence(tmp_path: Path, engine: str) -> None:
    with RunningGateway(tmp_path / "data", engine=engine) as gateway:
        second = RunningGateway(
            tmp_path / "data",
            engine=engine,
            admin_port=gateway.admin_port,
            proxy_port=gateway.proxy_port,
        )
        second._spawn("second", "run_proxy.py")
        assert second.processes["second"].wait(30) != 0
        assert "s the port taken?" in second.log("second")
