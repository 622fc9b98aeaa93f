"""A day of an operator on two machines behind sentinels: whatever is done and goes wrong, no request fails."""

import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from ruamel.yaml import YAML

from tests.reliability.balancers import Balancer
from tests.reliability.callers import Caller
from tests.reliability.figures import figure
from tests.reliability.loads import Going, Load, Tally, open_loop
from tests.support.gateway import ROOT, RunningGateway
from tests.support.load_upstream import LoadUpstream
from tests.support.redis_sets import SentinelSet, sentinel_set
from tests.support.wait import await_true

RATE = 50  # requests a second
# The time without Redis. The promise is a minute.
OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "60"))
REPORTS = "/v1/count"
ALONE = "X-Gateway-RateLimit-Mode"  # of a response whose limits were counted without Redis


class Machines:
    """Two machines with the same secrets, of which the first has the admin API, and their operator."""

    def __init__(self, folder: Path, sentinels: SentinelSet, stack: ExitStack) -> None:
        self.sentinels = sentinels
        self.key_file = folder / "encryption-key"
        self.file = folder / "gateway.yaml"
        self._folder = folder
        (folder / "pepper").write_bytes(b64encode(os.urandom(32)))
        self.key_file.write_bytes(b64encode(os.urandom(32)) + b"\n")
        settings = {
            **sentinels.environment,
            "GATEWAY__REDIS__MIN_REPLICAS": "1",
            "GATEWAY__SECURITY__PEPPER_FILE": str(folder / "pepper"),
            "GATEWAY__SECURITY__KEY_FILE": str(self.key_file),
            "GATEWAY__SERVER__WORKERS": "2",
        }
        for name in ("pepper", "encryption-key"):
            (folder / name).chmod(0o600)
        self.first, self.second = (RunningGateway(folder / name, settings) for name in ("first", "second"))
        self.second.folder.mkdir()
        for one in (self.first, self.second):
            stack.callback(one.stop)
        self.first.start()
        self.second.start_proxy()

    def gw(self, *arguments: str, ends_with: int = 0) -> str:
        """The output of `gw`."""
        environment = {**self.first.environment(), "GW_URL": self.first.admin}
        ended = self._run("shared.cli", *arguments, environment=environment)
        assert ended.returncode == ends_with, ended.stderr + ended.stdout
        return ended.stdout

    def on_the_store(self, *command: str) -> str:
        """The output of `python -m shared.redis_server`."""
        ended = self._run("shared.redis_server", *command, environment=self.first.environment())
        assert ended.returncode == 0, ended.stderr + ended.stdout
        return ended.stdout

    def _run(self, module: str, *arguments: str, environment: dict[str, str]) -> Any:
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def write(self, upstream: str, reports: str) -> None:
        """Write the file of the day. JSON is YAML."""
        limiter = {"name": "rate_limiter", "settings": {"limit": 1_000_000, "window": "1m"}}
        rules = {
            "chat": {"path": "/v1", "target": upstream, "headers": {"X-Secret": "canary"}},
            "reports": {"path": REPORTS, "target": reports},
        }
        tenant = {
            "name": "Shop",
            "tier": "enterprise",
            "plugin_chain": [limiter],
            "rules": rules,
            "api_keys": {"app": {"scopes": ["proxy"]}},
        }
        self.file.write_text(json.dumps({"_format_version": "1", "tenants": {"shop": tenant}}))

    def restart_proxy(self, one: RunningGateway) -> None:
        process = one.processes.pop("proxy")
        process.terminate()
        assert process.wait(60) == 0
        one.start_proxy()

    def restart_admin(self) -> None:
        process = self.first.processes.pop("admin")
        process.terminate()
        assert process.wait(60) == 0
        self.first.start_admin()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    durable = ("--appendonly", "yes", "--appendfsync", "everysec")
    with sentinel_set(tmp_path, *durable) as sentinels, ExitStack() as stack:
        yield Machines(tmp_path, sentinels, stack)


async def through_a_balancer(machines: Machines, key: str, going: Going) -> Tally:
    """A load that a balancer spreads over both machines."""
    async with Balancer(machines.first.proxy_port, machines.second.proxy_port) as balancer:
        caller = Caller(balancer.port, "shop.example.com", key)
        return await open_loop(caller, "/v1/ok", RATE, going, connections=16)


def test_a_day_of_an_operator_fails_no_request(machines: Machines, upstream: LoadUpstream) -> None:
    began = time.monotonic()
    # In the morning: a file is applied, and clients come.
    machines.write(upstream.url, upstream.url)
    keys = machines.file.with_name("keys.yaml")
    machines.gw("apply", "-f", str(machines.file), "--yes", "-m", "Open the shop.", "--keys-out", str(keys))
    key = secret_of(keys)
    for one in (machines.first, machines.second):
        await_true(lambda one=one: status(one, key, "/v1/ok") == 200)
    with Load(lambda going: through_a_balancer(machines, key, going)) as load:
        break_and_roll_back(machines, key, upstream)
        lose_redis(machines, key)
        fail_over(machines, key)
        rotate(machines)
        rotate_pepper(machines)
    tally = load.tally
    assert "is whole" in machines.on_the_store("check")
    machines.gw("diff", "-f", str(machines.file))
    machines.gw("audit", "verify")
    figure(
        "Day",
        f"{time.monotonic() - began:.0f} s, {OUTAGE_SECONDS:.0f} s of them without Redis, at {RATE} requests per second:"
        f" {tally.statuses[200]} good, {tally.errors} failed (promise 0)",
    )
    assert not tally.failed, tally.failed[:5]
    assert tally.errors == 0, tally.statuses
    for log in (machines.first.log("proxy"), machines.second.log("proxy"), machines.first.log("admin")):
        assert "Traceback" not in log


def break_and_roll_back(machines: Machines, key: str, upstream: LoadUpstream) -> None:
    """A change breaks a part of it. The difference is seen, and it is rolled back."""
    machines.write(upstream.url, "http://127.0.0.1:9")
    machines.gw("apply", "-f", str(machines.file), "--yes", "-m", "Move the reports.")
    await_true(lambda: status(machines.first, key, REPORTS) == 502)
    machines.write(upstream.url, upstream.url)
    assert "reports" in machines.gw("diff", "-f", str(machines.file), ends_with=2)
    [_, good, *_] = json.loads(machines.gw("versions", "shop", "-o", "json"))["versions"]
    machines.gw("rollback", "shop", str(good["version"]), "--yes", "-m", "The reports are down.")
    machines.gw("diff", "-f", str(machines.file))
    await_true(lambda: status(machines.first, key, REPORTS) != 502)


def lose_redis(machines: Machines, key: str) -> None:
    """Redis is lost, and a proxy restarts meanwhile."""
    primary, replica = machines.sentinels.primary, machines.sentinels.replica
    for server in (replica, primary):
        server.kill()
    gone = time.monotonic()
    machines.restart_proxy(machines.second)
    time.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - gone)))
    primary.start()
    replica.start("--replicaof", f"127.0.0.1 {primary.port}")
    back = time.monotonic()
    await_true(lambda: all(counted(one, key) for one in (machines.first, machines.second)), 60)
    figure("Day", f"limits are counted in Redis again {time.monotonic() - back:.1f} s after its start")
    machines.sentinels.await_replicas()


def fail_over(machines: Machines, key: str) -> None:
    """The primary dies, and a replica takes over."""
    machines.sentinels.fail_over()
    await_true(lambda: all(counted(one, key) for one in (machines.first, machines.second)), 60)


def rotate(machines: Machines) -> None:
    """The encryption key is replaced, which restarts everything once: an upgrade does the same."""
    machines.key_file.write_bytes(b64encode(os.urandom(32)) + b"\n" + machines.key_file.read_bytes())
    for one in (machines.first, machines.second):
        machines.restart_proxy(one)
    machines.restart_admin()
    machines.on_the_store("rotate-secrets")
    machines.key_file.write_bytes(machines.key_file.read_bytes().splitlines()[0] + b"\n")
    machines.restart_admin()
    for one in (machines.first, machines.second):
        machines.restart_proxy(one)


def rotate_pepper(machines: Machines) -> None:
    """The pepper is replaced. Calls go on with a key that needs the old one, so its line stays."""
    file = machines.key_file.with_name("pepper")
    file.write_bytes(b64encode(os.urandom(32)) + b"\n" + file.read_bytes())
    for one in (machines.first, machines.second):
        machines.restart_proxy(one)
    machines.restart_admin()
    assert "need an older pepper" in machines.on_the_store("rotate-secrets")


def secret_of(file: Path) -> str:
    """The key `app` of a file that `gw apply --keys-out` wrote."""
    keys = YAML(typ="safe").load(file)
    return str(keys["shop"]["app"])


def ask(gateway: RunningGateway, key: str, path: str) -> requests.Response:
    headers = {"Host": "shop.example.com", "Authorization": f"Bearer {key}"}
    return requests.get(gateway.proxy + path, headers=headers, timeout=15)


def status(gateway: RunningGateway, key: str, path: str) -> int:
    return ask(gateway, key, path).status_code


def counted(gateway: RunningGateway, key: str) -> bool:
    """Whether limits are counted in Redis."""
    responses = [ask(gateway, key, "/v1/ok") for _ in range(4)]
    return all(one.status_code == 200 and ALONE not in one.headers for one in responses)
