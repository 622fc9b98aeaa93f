"""A restart of the gateway: what it keeps, and what stopping one program leaves to the other."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from redis import Redis

from tests.support import gateway as gateway_module
from tests.support.gateway import RunningGateway
from tests.support.upstream import Upstream
from tests.support.wait import until

LIMITS = {
    "gateway": {"limits": {"global": {"limit": 5, "window": "1h"}}},
    "rule": {"limits": {"global": {"limit": 3, "window": "1h"}, "streams": {"limit": 2}}},
}
CANARY = "Bearer canary-upstream-secret"


def test_a_program_that_does_not_end_is_killed_and_named_and_the_others_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "STOP_LIMIT", 0.3)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(end=chr(49), flush=True); time.sleep(60)"
    stuck = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
    other = subprocess.Popen(["sleep", "60"])
    (tmp_path / "proxy.log").write_text("It waits for nothing.")
    assert stuck.stdout is not None
    stuck.stdout.read(1)
    stuck.stdout.close()
    with pytest.raises(AssertionError, match=r"(?s)proxy.* did not end.*waits for nothing"):
        RunningGateway(tmp_path, processes={"admin": other, "proxy": stuck}).stop()
    assert (stuck.returncode, other.returncode) == (-signal.SIGKILL, -signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "how"),
    [
        ("express", signal.SIGKILL),
        ("mitmproxy", signal.SIGKILL),
        ("express", signal.SIGTERM),
        ("mitmproxy", signal.SIGTERM),
    ],
    indirect=["engine"],
)
def test_restart_of_both_programs_forgets_no_tenant_limit_or_usage_and_leaves_no_secret_in_a_file(
    upstream: Upstream, tmp_path: Path, engine: str, how: signal.Signals
) -> None:
    with RunningGateway(tmp_path / "data", engine=engine) as gateway:
        tenant = gateway.create_tenant(plugin_chain=[{"name": "rate_limiter", "settings": LIMITS}])
        tenant.create_rule("/v1", upstream.url, headers={"Authorization": CANARY})
        tenant.create_rule("/v2", upstream.url)
        with_secrets = f"/v1/x?token={tenant.key}"
        assert [tenant.request("GET", with_secrets).status_code for _ in range(2)] == [200] * 2
        assert tenant.request("GET", f"/v1/{tenant.key}").status_code == 400
        tenant.request("GET", "/v1/x", headers={"Authorization": f"Bearer {tenant.key}x"})
        gateway.stop(how)
        gateway.start()
        third = tenant.request("GET", "/v1/x")
        assert (third.status_code, third.headers["x-ratelimit-remaining-requests"]) == (200, "0")
        assert upstream.received[-1].get("authorization") == CANARY
        assert tenant.request("GET", "/v1/x").status_code == 429
        rows = gateway.call("GET", f"/tenants/{tenant.id}/rate-limits").json()["limits"]
        assert [row["used"] for row in rows if row["window"]] == [3, 3, 0]
        assert [tenant.request("GET", "/v2/x").status_code for _ in range(3)] == [200, 200, 429]
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
        way_out = ", or replace the running proxy with --replace" if engine == "express" else ""
        assert (
            f"run_proxy: Cannot listen on 127.0.0.1:{gateway.proxy_port}: Address already in use. Set "
            f"server.proxy_port (GATEWAY__SERVER__PROXY_PORT) to a free port{way_out}.\n"
        ) in second.log("second")
        assert "Traceback" not in second.log("second")


@pytest.mark.slow
def test_worker_of_the_admin_api_that_is_killed_does_not_end_the_embedded_store(tmp_path: Path) -> None:
    with RunningGateway(tmp_path / "data") as gateway:
        gateway.create_tenant()
        store = Redis(unix_socket_path=str(tmp_path / "data" / "valkey.sock"))
        process = store.info("server")["process_id"]
        master = gateway.processes["admin"].pid
        [worker] = [
            int(pid)
            for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()
            if "gunicorn" in Path(f"/proc/{pid}/cmdline").read_text()
        ]
        os.kill(worker, signal.SIGKILL)
        assert any(responds(gateway) for _ in until(10.0))
        assert gateway.call("GET", "/tenants").json()["count"] == 1
        assert store.info("server")["process_id"] == process
        store.close()


def responds(gateway: RunningGateway) -> bool:
    try:
        return gateway.call("GET", "/tenants").ok
    except requests.RequestException:
        return False
