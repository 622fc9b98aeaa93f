"""The status of the platform and its settings over HTTP, from a real Redis."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import redis

from shared.config_store import layout
from shared.core.errors import StoreDown, StoreLost
from shared.workers.heartbeat import Plane
from shared.workers.store import HeartbeatStore
from tests.admin_app.world import NOW, TOKEN, Api, Tenant, World, make_world
from tests.workers.heartbeats import beat


class WatchedWorld(World):
    """A world whose workers tell a real Redis."""

    client: redis.Redis

    @contextmanager
    def reading(self, reader: type[Any]) -> Iterator[Any]:
        yield reader(self.client)


@pytest.fixture
def world(tmp_path: Path, valkey_socket: str) -> Iterator[World]:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
        world = WatchedWorld(make_world(tmp_path, admin__token=TOKEN, server__admin_port=9080).settings)
        world.client = client
        yield world


@pytest.fixture
def workers(world: WatchedWorld) -> HeartbeatStore:
    """The workers of a store with seven changes."""
    world.client.hset(layout.IDENTITY, mapping={"id": "abc", "generation": 1, "pepper": "p", "keys": "k"})
    world.client.set(layout.REVISION, 7)
    return HeartbeatStore(world.client)


def test_status_lists_the_workers_of_both_planes_and_those_in_trouble_first(
    api: Api, workers: HeartbeatStore
) -> None:
    workers.tell(beat(id="b", machine="proxy-2", current=NOW))
    workers.tell(beat(id="a", machine="proxy-1", current=NOW, in_flight=2, connections=5, loop_lag=0.00123))
    workers.tell(beat(id="admin", plane=Plane.ADMIN, machine="admin-1", current=NOW))
    workers.tell(beat(id="old", machine="proxy-3", revision=4, current=NOW - 60))
    workers.tell(beat(id="alone", machine="proxy-4", current=NOW, trouble={"limits": "unavailable"}))
    shown = api.get("/status").get_json()
    assert shown["workers"]["total"] == 5
    assert shown["workers"]["states"] == {"ok": 3, "behind": 1, "degraded": 1, "draining": 0}
    listed = shown["workers"]["listed"]
    assert [one["id"] for one in listed] == ["old", "alone", "admin", "a", "b"]
    assert (listed[0]["state"], listed[0]["behind"], listed[0]["revision"]) == ("behind", 3, 4)
    assert (listed[3]["in_flight"], listed[3]["connections"], listed[3]["loop_lag_ms"]) == (2, 5, 1.2)
    assert shown["store"]["workers_alone"] == 1
    assert (shown["store"]["id"], shown["store"]["revision"]) == ("abc", 7)
    assert shown["parts"] == {"store": "ok", "plugins": "ok"}


def test_response_lists_at_most_200_workers_and_counts_all(api: Api, workers: HeartbeatStore) -> None:
    for number in range(205):
        workers.tell(beat(id=f"worker-{number}", current=NOW))
    shown = api.get("/status").get_json()["workers"]
    assert (shown["total"], shown["states"]["ok"], len(shown["listed"])) == (205, 205, 200)


def test_jobs_name_the_worker_that_leads_them(api: Api, world: WatchedWorld) -> None:
    world.client.set("lead:{archive}", "admin 7")
    jobs = {one["name"]: (one["leader"], one["term"]) for one in api.get("/status").get_json()["jobs"]}
    assert jobs == {
        "discovery": (None, None),
        "probes": (None, None),
        "archive": ("admin", 7),
        "audit": (None, None),
        "records": (None, None),
        "webhooks": (None, None),
    }


def test_redis_that_may_forget_is_warned_of_where_the_status_shows_it(api: Api, world: World) -> None:
    [warning] = api.get("/status").get_json()["warnings"]
    assert warning["pointer"] == "/store/server/persistence"
    assert "appendonly" in warning["detail"]


def test_status_is_not_sent_again_while_nothing_changes(api: Api, world: WatchedWorld) -> None:
    settings = api.get("/settings")
    again = api.get("/settings", headers={"If-None-Match": settings.headers["ETag"]})
    assert again.status_code == 304


def test_store_that_is_lost_is_a_part_of_the_status(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.store, "ping", Mock(side_effect=StoreLost("It is empty.")))
    assert api.get("/status").get_json()["parts"] == {"store": "store lost", "plugins": "ok"}


def test_status_while_redis_is_away_is_503_and_readyz_tells_the_parts(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.store, "ping", Mock(side_effect=StoreDown("redis at 10.0.0.5")))
    response = api.get("/status")
    problem: Any = response.get_json()
    assert (response.status_code, problem["code"], response.headers["Retry-After"]) == (
        503,
        "store_down",
        "1",
    )
    assert "10.0.0.5" not in response.text
    ready = api.client.get("/readyz")
    assert (ready.status_code, ready.get_json()["parts"]) == (503, {"store": "unavailable", "plugins": "ok"})


def test_settings_say_where_they_come_from_and_tell_no_secret(api: Api) -> None:
    response = api.get("/settings")
    shown = {one["name"]: one for one in response.get_json()["settings"]}
    domain, port, token = (shown[one] for one in ("server.base_domain", "server.admin_port", "admin.token"))
    assert (domain["source"], domain["origin"], domain["is_changed"]) == ("file", "config.yaml:1", False)
    assert (port["value"], port["source"], port["is_changed"]) == (9080, "flag", True)
    assert shown["cache.config_ttl"]["source"] == "default"
    assert (token["value"], token["is_set"], token["is_secret"]) == (None, True, True)
    assert TOKEN not in response.text


def test_addresses_are_those_of_the_settings(api: Api) -> None:
    shown = api.get("/status").get_json()["addresses"]
    assert shown["admin"] == ["http://127.0.0.1:9080"]
    assert shown["proxy"] == ["http://127.0.0.1:8081"]
    assert shown["base_domain"] == "example.com"


@pytest.mark.parametrize("path", ["/status", "/settings"])
def test_tenant_may_not_read_the_state_of_the_platform(api: Api, tenant: Tenant, path: str) -> None:
    assert api.get(path, key=tenant.key).status_code == 403
    assert api.get(path, key=None).status_code == 401
