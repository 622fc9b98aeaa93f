"""A store of layout 2, as the release of commit 66027cc left it, is served and changed.

A tenant gets layout 3, its document in parts, when its document is written. So a worker of that release reads
all others meanwhile, and keeps its last version of this one.

The fixture says itself how it was made.
"""

import base64
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from shared.config_store.check import violations
from shared.config_store.records.codec import decode
from shared.config_store.records.parts import PartNames
from shared.config_store.records.tenants import Version
from shared.config_store.snapshot import SnapshotFile
from shared.config_store.source import open_source
from shared.config_store.store import RedisStore
from shared.core.errors import NamesInUse
from shared.model.config import Snapshot
from shared.model.providers import PlatformDocument
from shared.pipeline.plugin import Tools
from shared.routing.compile import Compiler, Gateway
from shared.secrets.api_keys import PepperedHasher
from shared.secrets.sealing import AesSealer
from shared.services import not_called
from tests.admin_app.world import TOKEN, Api, HandClock, World, app_of, make_world
from tests.config_store.configurations import with_tenant
from tests.config_store.test_platform import write_platform
from tests.config_store.test_stored_data import fill, has_all
from tests.support.gateway import RunningGateway, stored_secrets
from tests.support.upstream import Upstream
from tests.support.wait import until

FIXTURE: Mapping[str, Any] = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "store_66027cc.json").read_text(encoding="utf-8")
)
IDS, KEYS = FIXTURE["ids"], FIXTURE["api_keys"]
PEPPER, ENCRYPTION_KEY = (base64.b64decode(FIXTURE[name]) for name in ("pepper", "encryption_key"))
ACME = f"/tenants/{IDS['acme']}"


@pytest.fixture
def client(valkey_socket: str) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
        fill(client, FIXTURE["keyspace"])
        yield client
        client.flushall()


@pytest.fixture
def world(client: redis.Redis, tmp_path: Path) -> World:
    world = make_world(tmp_path, admin__token=TOKEN)
    world.clock = HandClock(FIXTURE["dumped_at_us"] / 1e6)
    world.store = RedisStore(client, quarantine=86_400)
    world.hasher = PepperedHasher(PEPPER)
    world.sealer = AesSealer([ENCRYPTION_KEY], os.urandom)
    return world


@pytest.fixture
def api(world: World) -> Api:
    return Api(app_of(world), TOKEN)


def compiled(world: World, snapshot: Snapshot | None, platform: PlatformDocument) -> Gateway:
    assert snapshot is not None
    tools = Tools(world.limiter, not_called, world.clock)
    compiler = Compiler(world.catalogue, world.settings.tiers, world.sealer, tools)
    gateway = compiler(snapshot, compiler.platform(platform))
    assert gateway.faults == ()
    return gateway


def test_store_of_layout_2_is_whole_and_reading_does_not_change_it(client: redis.Redis, api: Api) -> None:
    for path, expected in FIXTURE["documents"].items():
        response = api.get(path.format(**IDS))
        assert response.status_code == 200, response.text
        assert has_all(response.get_json(), expected)
    assert violations(client) == []
    assert client.get("{cfg}:format") == b"2"


async def test_worker_reads_a_store_of_layout_2(
    client: redis.Redis, world: World, valkey_socket: str
) -> None:
    source = open_source({"unix_socket_path": valkey_socket})
    platform = await source.read_platform()
    assert [model.name for model in platform.models] == ["fast"]
    snapshot = await source.read(IDS["acme"])
    gateway = compiled(world, snapshot, platform)
    [route] = [one for one in gateway.router.routes() if one.rule.id == IDS["chat"]]
    assert route.headers == FIXTURE["secrets"]["chat"]
    assert world.hasher(KEYS["acme"]) in gateway.keys
    assert [provider.id for provider in gateway.snapshot.tenant.providers] == [IDS["provider"]]
    await source.close()


def test_change_of_a_document_puts_it_in_parts_and_keeps_everything_else(
    client: redis.Redis, world: World, api: Api
) -> None:
    paths = ("", "/rules", "/api-keys", "/providers", "/models")
    before = {path: api.get(ACME + path).get_json() for path in paths}
    keys, beta = client.lrange(f"{{cfg}}:keys:{IDS['acme']}", 0, -1), stored(client, "beta")
    old = world.store.read(IDS["acme"])
    assert api.patch(ACME, {"name": "Renamed"}).status_code == 200
    after = {path: api.get(ACME + path).get_json() for path in paths}
    changed = {"name": "Renamed", "updated_at": after[""]["updated_at"], "version": before[""]["version"] + 1}
    assert after == {**before, "": {**before[""], **changed}}
    root = stored(client, "acme")
    assert [*root["rules"]] == [IDS["chat"], IDS["pool"], IDS["ai"]]
    assert ([*root["providers"]], [*root["models"]]) == ([IDS["provider"]], ["mine"])
    fresh = RedisStore(client, quarantine=0).read(IDS["acme"])
    assert old
    assert fresh
    assert (fresh.rules, fresh.tenant.providers) == (old.rules, old.tenant.providers)
    assert len([*client.scan_iter("{cfg}:part:*")]) == 5
    assert client.get("{cfg}:format") == b"3"
    assert client.lrange(f"{{cfg}}:keys:{IDS['acme']}", 0, -1) == keys, "what did not change is not written"
    assert stored(client, "beta") == beta, "another tenant stays as the old release reads it"
    assert violations(client) == []


def test_release_before_refuses_a_document_in_parts_and_does_not_misread_it(
    client: redis.Redis, api: Api
) -> None:
    assert api.patch(ACME, {"name": "Renamed"}).status_code == 200
    with pytest.raises(ValueError, match="Version has no field"):
        decode(Version, json.dumps(stored(client, "acme")))


def stored(client: Any, tenant: str) -> dict[str, Any]:
    """The newest document of a tenant, as it is in Redis."""
    version = client.hget(f"{{cfg}}:tenant:{IDS[tenant]}", "version").decode()
    found: dict[str, Any] = json.loads(client.get(f"{{cfg}}:doc:{IDS[tenant]}:{version}"))
    return found


@pytest.mark.parametrize("change", ["key", "platform", "rename", "deletion"])
def test_change_of_what_is_not_in_the_document_stays_in_layout_2(
    client: redis.Redis, world: World, change: str
) -> None:
    acme, beta = world.store.read(IDS["acme"]), world.store.read(IDS["beta"])
    assert acme
    if change == "platform":
        write_platform(world.store, prices={"m": {"input": "1"}})
    elif change == "key":
        world.store.write(acme, replace(acme, keys=acme.keys[:1]), actor="platform")
    elif change == "rename":
        world.store.write(acme, with_tenant(acme, subdomain="other"), actor="platform", platform=3)
    else:
        world.store.write(beta, None, actor="platform")
    assert client.get("{cfg}:format") == b"2"
    assert [*client.scan_iter("{cfg}:part:*")] == []
    assert violations(client) == []


def test_platform_cannot_lose_what_a_tenant_of_layout_2_names(client: redis.Redis, world: World) -> None:
    with pytest.raises(NamesInUse, match=IDS["acme"]):
        write_platform(world.store, models=())
    assert violations(client) == []


def test_call_of_layout_2_with_an_idempotency_key_is_not_repeated(api: Api) -> None:
    rules = api.get(f"{ACME}/rules").get_json()
    body = json.dumps(FIXTURE["idempotent_body"]).encode()
    headers = {"Idempotency-Key": "first", "Content-Type": "application/json"}
    response = api.call("POST", f"{ACME}/rules", data=body, headers=headers)
    assert (response.status_code, response.headers["Idempotent-Replayed"]) == (201, "true")
    assert response.get_json()["id"] == IDS["chat"]
    assert api.get(f"{ACME}/rules").get_json() == rules


def test_snapshot_of_the_release_before_on_disk_is_read(world: World, tmp_path: Path) -> None:
    disk = SnapshotFile(tmp_path / "snapshot.sqlite")
    disk.write({}, [], [])
    with sqlite3.connect(disk.path) as database:
        for table, rows in FIXTURE["disk"].items():
            marks = ", ".join("?" * len(rows[0]))
            database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)
    database.close()
    platform = disk.platform()
    assert platform is not None
    assert [model.name for model in platform.models] == ["fast"]
    assert disk.tenants() == {IDS["acme"], IDS["beta"]}
    gateway = compiled(world, disk.find("key", world.hasher(KEYS["acme"])), platform)
    assert gateway.snapshot.tenant.name == "Acme"


@pytest.mark.slow
def test_real_gateway_serves_and_changes_a_store_of_layout_2(
    client: redis.Redis, valkey_socket: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    stored_secrets(folder, FIXTURE["pepper"], FIXTURE["encryption_key"])
    settings = {"GATEWAY__REDIS__MODE": "external", "GATEWAY__REDIS__URL": f"unix://{valkey_socket}"}
    with Upstream() as upstream, RunningGateway(folder, settings) as gateway:
        rule = f"{ACME}/rules/{IDS['chat']}"
        change = {"target": upstream.url, "headers": {"Authorization": "Bearer other"}}
        assert gateway.call("PATCH", rule, json=change).status_code == 200
        headers = {"Host": "acme.example.com", "Authorization": f"Bearer {KEYS['second']}"}
        for _ in until(5.0):
            if requests.get(f"{gateway.proxy}/v1/x", headers=headers, timeout=10).status_code == 200:
                break
        assert upstream.received[-1].target == "/v1/x"
        assert violations(client, PartNames.of(PepperedHasher(PEPPER))) == []
