"""docs/how-to/backup.md: a store that was lost comes back from its backup, with keys and secrets that work."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.docs.shell_blocks import run_blocks, shell_blocks
from tests.support.commands import ROOT, run_command
from tests.support.gateway import RunningGateway
from tests.support.ports import free_port
from tests.support.upstream import Upstream
from tests.support.valkey_server import redis_7
from tests.support.wait import until

BACK_UP, RESTORE, ACCEPT = shell_blocks((ROOT / "docs" / "how-to" / "backup.md").read_text())


@contextmanager
def redis_in(folder: Path, port: int) -> Iterator[None]:
    """Redis with an append-only file, killed at the end."""
    command = [redis_7(), "--dir", str(folder), "--port", str(port), "--appendonly", "yes", "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            for _ in until(10.0):
                if run_command("redis-cli", "-p", port, "ping").stdout == "PONG\n":
                    break
            yield
        finally:
            server.send_signal(signal.SIGKILL)


def ready(gateway: RunningGateway) -> str:
    return requests.get(f"{gateway.proxy}/__/ready", timeout=5).text


@pytest.mark.slow
def test_lost_store_comes_back_from_its_backup_with_keys_and_secrets(tmp_path: Path) -> None:
    old, new, secrets = tmp_path / "old", tmp_path / "new", tmp_path / "secrets"
    old.mkdir()
    secrets.mkdir(mode=0o700)
    port = free_port()
    for name in ("pepper", "encryption-key"):
        run_command("sh", "-c", f"umask 077; head -c 32 /dev/urandom | base64 > {secrets / name}")
    settings = {
        "GATEWAY__REDIS__MODE": "external",
        "GATEWAY__REDIS__PORT": str(port),
        "GATEWAY__SECURITY__PEPPER_FILE": str(secrets / "pepper"),
        "GATEWAY__SECURITY__KEY_FILE": str(secrets / "encryption-key"),
    }
    env = {
        **os.environ,
        "REDIS_PORT": str(port),
        "PEPPER_FILE": str(secrets / "pepper"),
        "KEY_FILE": str(secrets / "encryption-key"),
        "NEW_FOLDER": str(new),
    }
    gateway = RunningGateway(tmp_path / "data", settings)
    with Upstream() as upstream:
        with redis_in(old, port), gateway:
            tenant = gateway.create_tenant()
            tenant.create_rule("/v1", upstream.url, headers={"X-Provider": "sealed"})
            run_blocks([BACK_UP], {}, folder=tmp_path, env=env)
            gateway.create_tenant(name="Later", subdomain="later")
        run_blocks([RESTORE], {}, folder=tmp_path, env=env)
        with redis_in(new, port), gateway:
            assert "store lost" in ready(gateway)
            run_blocks([ACCEPT], {}, folder=ROOT, env=gateway.environment())
            for _ in until(10.0):
                if "store lost" not in ready(gateway):
                    break
            upstream.forget()
            assert tenant.request("POST", "/v1/chat", json={}).status_code == 200
            assert upstream.received[0].get("x-provider") == "sealed"
            assert gateway.call("GET", "/tenants").json()["count"] == 1
            assert gateway.create_tenant(name="New", subdomain="new").id
