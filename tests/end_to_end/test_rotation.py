"""The encryption key and the pepper are replaced while the gateway serves.

The command is killed again and again, and no call fails.
"""

import os
import random
import subprocess
import sys
import threading
import time
from base64 import b64encode
from pathlib import Path

import pytest
from redis import Redis

from shared.secrets.api_keys import secret_id
from shared.secrets.files import read_secrets
from tests.support.gateway import ROOT, RunningGateway, TenantInUse
from tests.support.upstream import Upstream
from tests.support.wait import until

pytestmark = pytest.mark.slow

TENANTS, KILLS = 20, 3


def command(gateway: RunningGateway, name: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "shared.redis_server", name],
        cwd=ROOT,
        env=gateway.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(gateway: RunningGateway, name: str) -> str:
    process = command(gateway, name)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 0, text
    return text


def replaced(client: Redis) -> int:
    """How many parts were replaced, and are left for readers of old roots."""
    return sum(client.pttl(key) > 0 for key in client.scan_iter("{cfg}:part:*"))


def kill_at_work(process: subprocess.Popen[str], client: Redis) -> None:
    """Kill the command when it has replaced some more parts."""
    before, more = replaced(client), random.randint(1, 6)
    while process.poll() is None and replaced(client) < before + more:
        time.sleep(0.0005)
    process.kill()
    process.communicate()


def interrupt(gateway: RunningGateway, client: Redis) -> None:
    """Kill the command at work, again and again. The store is whole each time."""
    for _ in range(KILLS):
        kill_at_work(command(gateway, "rotate-secrets"), client)
        assert "is whole" in said(gateway, "check")
    assert replaced(client) > 0


def restart_with_a_new_one(gateway: RunningGateway, file: Path) -> str:
    """Restart with a new secret above that of the file. Returns the id of the old one."""
    old = secret_id(read_secrets(file, file, os.urandom, setting=file.name)[0])
    gateway.stop()
    file.write_bytes(b64encode(os.urandom(32)) + b"\n" + file.read_bytes())
    gateway.start()
    return old


def restart_without_the_old_one(gateway: RunningGateway, file: Path) -> None:
    """Restart with the newest secret of the file alone."""
    gateway.stop()
    file.write_text(file.read_text().splitlines()[0] + "\n")
    gateway.start()


class Calls:
    """Calls that go on in the background, with what went wrong."""

    def __init__(self, tenants: list[TenantInUse]) -> None:
        self.tenants, self.failed, self.count = tenants, list[str](), 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._ending.wait(0.02):
            response = random.choice(self.tenants).request("GET", "/v1/x")
            self.count += 1
            if response.status_code != 200:
                self.failed.append(response.text)

    def __enter__(self) -> "Calls":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()


def test_key_is_replaced_while_calls_go_on_and_the_command_is_killed(
    tmp_path: Path, upstream: Upstream
) -> None:
    folder = tmp_path / "data"
    with RunningGateway(folder) as gateway:
        tenants = [gateway.create_tenant() for _ in range(TENANTS)]
        for number, tenant in enumerate(tenants):
            rule = tenant.create_rule("/v1", upstream.url, headers={"X-Secret": f"canary-{number}"})
            url = f"/tenants/{tenant.id}/rules/{rule['id']}"
            gateway.call("PATCH", url, json={"headers": {"X-Secret": f"secret-{number}"}})
        old = restart_with_a_new_one(gateway, folder / "encryption-key")
        with Calls(tenants) as calls, Redis(unix_socket_path=str(folder / "valkey.sock")) as client:
            interrupt(gateway, client)
            print(text := said(gateway, "rotate-secrets"))
            assert old not in text.splitlines()[-1]
        assert (calls.failed, calls.count > 20) == ([], True)
        assert "is whole" in said(gateway, "check")
        [noted, *_] = gateway.call("GET", "/audit?operation=rotateSecrets").json()["entries"]
        assert (noted["actor"], noted["source"]) == ("operator", "gateway")
        restart_without_the_old_one(gateway, folder / "encryption-key")
        for number, tenant in enumerate(tenants):
            assert tenant.request("GET", "/v1/x").status_code == 200
            assert upstream.received[-1].get("x-secret") == f"secret-{number}"
        # An old version comes back with its secret.
        tenant = tenants[0]
        done = gateway.call("POST", f"/tenants/{tenant.id}/versions/2/rollback", json={})
        assert done.status_code == 200, done.text
        with Redis(unix_socket_path=str(folder / "valkey.sock")) as client:
            stored = [client.get(key) for key in client.scan_iter("{cfg}:*") if client.type(key) == b"string"]
            kept = [text for text in stored if text and f"v1.{old}".encode() in text]
            assert all(
                client.pttl(key) > 0 for key in client.scan_iter("{cfg}:part:*") if client.get(key) in kept
            )


def test_pepper_is_replaced_while_calls_go_on_and_the_command_is_killed(
    tmp_path: Path, upstream: Upstream
) -> None:
    folder = tmp_path / "data"
    with RunningGateway(folder) as gateway:
        tenants = [gateway.create_tenant() for _ in range(TENANTS)]
        for tenant in tenants:
            tenant.create_rule("/v1", upstream.url)
        revoked = gateway.create_tenant()
        url = f"/tenants/{revoked.id}/api-keys"
        [key] = gateway.call("GET", url).json()["api_keys"]
        assert gateway.call("DELETE", f"{url}/{key['id']}").status_code == 200
        old = restart_with_a_new_one(gateway, folder / "pepper")
        with Calls(tenants) as calls, Redis(unix_socket_path=str(folder / "valkey.sock")) as client:
            interrupt(gateway, client)
            text = said(gateway, "rotate-secrets")
            assert old not in text.splitlines()[-2]
            assert f"1 API keys or tokens of {tenants[0].id} need an older pepper" in text
            for tenant in tenants[1:]:
                issue_again(tenant, calls)
            text = said(gateway, "rotate-secrets")
            assert text.count("need an older pepper") == 1, text
        assert (calls.failed, calls.count > 20) == ([], True)
        assert revoked.request("GET", "/v1/x").status_code == 401
        restart_without_the_old_one(gateway, folder / "pepper")
        assert [tenant.request("GET", "/v1/x").status_code for tenant in tenants] == [
            401,
            *[200] * (TENANTS - 1),
        ]
        assert revoked.request("GET", "/v1/x").status_code == 401
        assert f"lacks the pepper {old} of 1 API keys" in gateway.log("admin")
        done = gateway.call("POST", f"/tenants/{tenants[1].id}/versions/1/rollback", json={})
        assert done.status_code == 200, done.text
        assert "is whole" in said(gateway, "check")


def issue_again(tenant: TenantInUse, calls: Calls) -> None:
    """Rotate the key of a tenant, and delete the old one when no call uses it any more."""
    url = f"/tenants/{tenant.id}/api-keys"
    [key] = tenant.gateway.call("GET", url).json()["api_keys"]
    made = tenant.gateway.call("POST", f"{url}/{key['id']}/rotate", json={})
    assert made.status_code == 201, made.text
    tenant.key, before = made.json()["key"], calls.count
    for _ in until(30):
        if calls.count > before + 1:
            break
    assert tenant.gateway.call("DELETE", f"{url}/{key['id']}").ok
