"""docs/how-to/moving.md: a gateway goes to another machine, another store and another domain with all it has."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docs.shell_blocks import ShellBlock, run_blocks, shell_blocks
from tests.support.commands import ROOT, run_command
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.ports import free_port
from tests.support.upstream import Upstream
from tests.support.valkey_server import redis_7
from tests.support.wait import until

PACK, UNPACK, SEND = shell_blocks((ROOT / "docs" / "how-to" / "moving.md").read_text())


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """An empty Redis 7. Yields its port."""
    port = free_port()
    command = [redis_7(), "--dir", str(folder), "--port", str(port), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            for _ in until(10.0):
                if run_command("redis-cli", "-p", port, "ping").stdout == "PONG\n":
                    break
            yield port
        finally:
            server.terminate()


def run(blocks: list[ShellBlock], folder: Path, **variables: object) -> None:
    texts: Mapping[str, str] = {name: str(value) for name, value in variables.items()}
    run_blocks(blocks, {}, folder=folder, env={**os.environ, **texts})


def assert_serves(tenant: TenantInUse, upstream: Upstream, *, domain: str = "example.com") -> None:
    """The tenant's key, rule and secret work."""
    upstream.forget()
    response = tenant.request("POST", "/v1", json={}, headers={"Host": f"{tenant.subdomain}.{domain}"})
    assert response.status_code == 200, response.text
    assert upstream.received[0].get("x-provider") == "sealed"


def secrets_of(folder: Path) -> Mapping[str, str]:
    return {
        "GATEWAY__SECURITY__PEPPER_FILE": str(folder / "pepper"),
        "GATEWAY__SECURITY__KEY_FILE": str(folder / "encryption-key"),
    }


@pytest.mark.slow
def test_gateway_moves_with_its_data(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    gateway = RunningGateway(old)
    with Upstream() as upstream, redis_server(tmp_path) as port:
        with gateway:
            tenant = gateway.create_tenant()
            tenant.create_rule("/v1", upstream.url, headers={"X-Provider": "sealed"})
        run([PACK, UNPACK], tmp_path, DATA_DIR=old, NEW_DATA_DIR=new)
        tenant.gateway = moved = RunningGateway(new)
        with moved:
            assert_serves(tenant, upstream)
            run([SEND], tmp_path, DATA_DIR=new, REDIS_PORT=port)
        external = {
            "GATEWAY__REDIS__MODE": "external",
            "GATEWAY__REDIS__PORT": str(port),
            "GATEWAY__SERVER__BASE_DOMAIN": "example.org",
            **secrets_of(new),
        }
        tenant.gateway = served = RunningGateway(tmp_path / "third", external)
        with served:
            assert_serves(tenant, upstream, domain="example.org")
            assert served.call("GET", "/tenants").json()["count"] == 1
