"""Keys of providers in files, as Kubernetes mounts them: SIGHUP to both programs reads them again."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from examples.demo_upstream.server import DemoUpstream
from tests.support.commands import serving
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.wait import until

OLD, NEW = "sk-canary-old-0123456789", "sk-canary-new-0123456789"


class Mount:
    """A secret that is mounted: a link to a file in a folder that is replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._version = folder, 0
        folder.mkdir()
        (folder / "provider").symlink_to("..data/provider")

    def put(self, secret: str | None) -> None:
        """Mount another secret; None: none."""
        self._version += 1
        version = self.folder / f"..{self._version}"
        version.mkdir()
        if secret is not None:
            (version / "provider").write_text(f"{secret}\n")
        (self.folder / "..data_tmp").symlink_to(version.name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path / "secrets")


@pytest.fixture
def running(mount: Mount, tmp_path: Path, engine: str) -> Iterator[RunningGateway]:
    mount.put(OLD)
    workers = {"GATEWAY__SERVER__WORKERS": "2" if engine == "express" else "1"}
    settings = {"GATEWAY__SECRETS__FOLDER": str(mount.folder), **workers}
    with RunningGateway(tmp_path / "data", settings, engine) as gateway:
        yield gateway


def hang_up(gateway: RunningGateway) -> None:
    for process in gateway.processes.values():
        process.send_signal(signal.SIGHUP)


def chat(tenant: TenantInUse) -> requests.Response:
    body = {"model": "demo-small", "messages": [{"role": "user", "content": "Hello"}]}
    return tenant.request("POST", "/v1/chat/completions", json=body, headers={"Connection": "close"})


def await_status(tenant: TenantInUse, status: int) -> requests.Response:
    """Wait until 20 requests in a row, which all workers get, have that status."""
    for _ in until(10):
        found = [chat(tenant) for _ in range(20)]
        if {one.status_code for one in found} == {status}:
            return found[0]
    raise AssertionError([one.text for one in found])


def is_tested(gateway: RunningGateway, provider_id: str) -> Any:
    return gateway.call("POST", f"/providers/{provider_id}/test", json={}).json()["ok"]


@pytest.mark.slow
def test_a_key_in_a_file_is_replaced_without_a_restart(running: RunningGateway, mount: Mount) -> None:
    tenant = running.create_tenant()
    with serving(DemoUpstream(0, [OLD])) as old, serving(DemoUpstream(0, [NEW])) as new:
        key = {"name": "main", "secret": {"file": "provider"}}
        document = {
            "name": "shared",
            "kind": "custom",
            "apis": ["openai.chat"],
            "shared": "all",
            "keys": [key],
        }
        made = running.call("POST", "/providers", json={**document, "base_url": f"http://127.0.0.1:{old}/v1"})
        assert made.status_code == 201, made.text
        assert made.json()["warnings"] == []
        provider_id = made.json()["id"]
        assert running.call(
            "POST", f"/tenants/{tenant.id}/rules", json={"path": "/v1", "ai": {"providers": ["shared"]}}
        ).ok
        await_status(tenant, 200)
        moved = running.call(
            "PATCH", f"/providers/{provider_id}", json={"base_url": f"http://127.0.0.1:{new}/v1"}
        )
        assert moved.status_code == 200, moved.text
        await_status(tenant, 503)  # the provider rejects the old key, which then is not used for ten minutes
        pids = {process.pid for process in running.processes.values()}

        mount.put(NEW)
        hang_up(running)
        await_status(tenant, 200)
        for _ in until(10):
            if is_tested(running, provider_id):
                break
        assert is_tested(running, provider_id)

        mount.put(None)
        hang_up(running)
        rejected = await_status(tenant, 503)
        assert rejected.json()["error"]["code"] == "no_provider_key"
    assert {process.pid for process in running.processes.values()} == pids
    assert all(process.poll() is None for process in running.processes.values())
    said = running.log("proxy")
    assert "These secrets of providers changed: file:provider." in said
    assert "file:provider is not among the secrets" in said
    assert not any(secret in said + running.log("admin") for secret in (OLD, NEW))
