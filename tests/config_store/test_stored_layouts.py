"""Stores of older layouts, as releases left them, are served and changed.

A content gets the newest layout when it is written. So a worker of the release before reads all others meanwhile,
and keeps its last version of this one. The fixtures say themselves how they were made.
"""

import base64
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from shared.config_store.check import violations
from shared.config_store.history.edit import Edit
from shared.config_store.records.codec import decode
from shared.config_store.records.contents import Document, PlatformContent
from shared.config_store.records.parts import PartNames
from shared.config_store.records.platform import PlatformVersion
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

FIXTURES = {2: "store_66027cc", 3: "store_e081077"}
EDIT = Edit(actor="platform")


@dataclass(frozen=True)
class Old:
    """The data that a release had stored."""

    layout: int
    stored: Mapping[str, Any]

    @property
    def ids(self) -> Mapping[str, str]:
        ids: Mapping[str, str] = self.stored["ids"]
        return ids

    @property
    def acme(self) -> str:
        return f"/tenants/{self.ids['acme']}"

    @property
    def hasher(self) -> PepperedHasher:
        return PepperedHasher(base64.b64decode(self.stored["pepper"]))

    @property
    def names(self) -> PartNames:
        return PartNames.of(self.hasher)


@pytest.fixture(params=FIXTURES)
def old(request: pytest.FixtureRequest) -> Old:
    path = Path(__file__).parents[1] / "fixtures" / f"{FIXTURES[request.param]}.json"
    return Old(request.param, json.loads(path.read_text(encoding="utf-8")))


@pytest.fixture
def client(old: Old, valkey_socket: str) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
        fill(client, old.stored["keyspace"])
        yield client
        client.flushall()


@pytest.fixture
def world(old: Old, client: redis.Redis, tmp_path: Path) -> World:
    world = make_world(tmp_path, admin__token=TOKEN)
    world.clock = HandClock(old.stored["dumped_at_us"] / 1e6)
    world.store = RedisStore(client, quarantine=86_400, names=old.names)
    world.hasher = old.hasher
    world.sealer = AesSealer([base64.b64decode(old.stored["encryption_key"])], os.urandom)
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


def layout_of(client: redis.Redis) -> int:
    number: Any = client.get("{cfg}:format")
    return int(number)


def newest(client: Any, tenant_id: str) -> dict[str, Any]:
    """The newest document of a tenant, as it is in Redis."""
    version = client.hget(f"{{cfg}}:tenant:{tenant_id}", "version").decode()
    found: dict[str, Any] = json.loads(client.get(f"{{cfg}}:doc:{tenant_id}:{version}"))
    return found


def test_store_of_an_older_layout_is_whole_and_reading_does_not_change_it(
    old: Old, client: redis.Redis, api: Api
) -> None:
    for path, expected in old.stored["documents"].items():
        response = api.get(path.format(**old.ids))
        assert response.status_code == 200, response.text
        assert has_all(response.get_json(), expected)
    assert violations(client, old.names) == []
    assert layout_of(client) == old.layout


async def test_worker_reads_a_store_of_an_older_layout(old: Old, world: World, valkey_socket: str) -> None:
    source = open_source({"unix_socket_path": valkey_socket}, names=old.names)
    platform = await source.read_platform()
    assert [model.name for model in platform.models] == ["fast"]
    snapshot = await source.read(old.ids["acme"])
    gateway = compiled(world, snapshot, platform)
    [route] = [one for one in gateway.router.routes() if one.rule.id == old.ids["chat"]]
    assert route.headers == old.stored["secrets"]["chat"]
    assert world.hasher(old.stored["api_keys"]["acme"]) in gateway.keys
    assert [provider.id for provider in gateway.snapshot.tenant.providers] == [old.ids["provider"]]
    await source.close()


def test_change_of_a_document_gives_it_the_newest_layout_and_keeps_everything_else(
    old: Old, client: redis.Redis, world: World, api: Api
) -> None:
    paths = ("", "/rules", "/api-keys", "/providers", "/models")
    before = {path: api.get(old.acme + path).get_json() for path in paths}
    keys, beta = (
        client.lrange(f"{{cfg}}:keys:{old.ids['acme']}", 0, -1),
        newest(client, old.ids["beta"]),
    )
    was = world.store.read(old.ids["acme"])
    assert api.patch(old.acme, {"name": "Renamed"}).status_code == 200
    after = {path: api.get(old.acme + path).get_json() for path in paths}
    changed = {"name": "Renamed", "updated_at": after[""]["updated_at"], "version": before[""]["version"] + 1}
    assert after == {**before, "": {**before[""], **changed}}
    root = newest(client, old.ids["acme"])
    assert [*root["rules"]] == [old.ids["chat"], old.ids["pool"], old.ids["ai"]]
    assert ([*root["providers"]], [*root["models"]]) == ([old.ids["provider"]], ["mine"])
    fresh = RedisStore(client, quarantine=0, names=old.names).read(old.ids["acme"])
    assert was
    assert fresh
    assert (fresh.rules, fresh.tenant.providers) == (was.rules, was.tenant.providers)
    assert len([*client.scan_iter(f"{{cfg}}:part:{old.ids['acme']}:*")]) == 5
    assert layout_of(client) == 4
    stored_keys = client.lrange(f"{{cfg}}:keys:{old.ids['acme']}", 0, -1)
    assert stored_keys == keys, "what did not change is not written"
    assert newest(client, old.ids["beta"]) == beta, "another tenant stays as the old release reads it"
    assert violations(client, old.names) == []


def test_version_before_the_change_is_kept_if_it_is_in_parts(
    old: Old, client: redis.Redis, world: World, api: Api
) -> None:
    was = world.store.read(old.ids["acme"])
    assert was
    assert api.patch(old.acme, {"name": "Renamed"}).status_code == 200
    notes = world.store.history.notes(old.ids["acme"], 10)
    numbers = [note.version for note in notes]
    last = was.tenant.version
    assert numbers == ([last + 1, last] if old.layout == 3 else [last + 1])
    if old.layout == 3:
        assert world.store.history.content(old.ids["acme"], notes[1]) == Document.of(was)
        assert (notes[1].actor, notes[1].at) == ("platform", was.tenant.updated_at)


def test_change_of_the_platform_puts_it_in_parts_and_keeps_everything_else(
    old: Old, client: redis.Redis, world: World
) -> None:
    before = world.store.read_platform()
    after = write_platform(world.store, prices={"openai/m": {"input": "1"}})
    assert after == replace(before, prices=after.prices, version=before.version + 1, revision=after.revision)
    assert RedisStore(client, quarantine=0, names=old.names).read_platform() == after
    assert [*client.scan_iter("{cfg}:platformdoc:*")] == []
    assert layout_of(client) == 4
    [note] = world.store.history.notes("platform", 10)
    assert world.store.history.content("platform", note) == PlatformContent.of(after)
    assert violations(client, old.names) == []


def test_release_before_rejects_what_it_does_not_know_and_does_not_misread_it(
    old: Old, client: Any, world: World, api: Api
) -> None:
    if old.layout == 2:
        assert api.patch(old.acme, {"name": "Renamed"}).status_code == 200
        with pytest.raises(ValueError, match="Version has no field"):
            decode(Version, json.dumps(newest(client, old.ids["acme"])))
    else:
        write_platform(world.store, prices={})
        with pytest.raises(ValueError, match="PlatformVersion has no field"):
            decode(PlatformVersion, client.get("{cfg}:doc:platform:3"))
        assert client.get("{cfg}:platformdoc:3") is None, "it finds none, and keeps its last good one"


@pytest.mark.parametrize("change", ["key", "rename", "deletion"])
def test_change_of_what_is_not_in_the_document_keeps_the_layout(
    old: Old, client: redis.Redis, world: World, change: str
) -> None:
    acme, beta = world.store.read(old.ids["acme"]), world.store.read(old.ids["beta"])
    assert acme
    if change == "key":
        world.store.write(acme, replace(acme, keys=acme.keys[:1]), edit=EDIT)
    elif change == "rename":
        platform = world.store.read_platform().revision
        world.store.write(acme, with_tenant(acme, subdomain="other"), edit=EDIT, platform=platform)
    else:
        world.store.write(beta, None, edit=EDIT)
        assert [*client.scan_iter(f"{{cfg}}:*:{old.ids['beta']}*")] == []
    assert layout_of(client) == old.layout
    assert violations(client, old.names) == []


def test_platform_cannot_lose_what_a_tenant_of_an_older_layout_names(
    old: Old, client: redis.Redis, world: World
) -> None:
    with pytest.raises(NamesInUse, match=old.ids["acme"]):
        write_platform(world.store, models=())
    assert violations(client, old.names) == []


def test_call_of_an_older_layout_with_an_idempotency_key_is_not_repeated(old: Old, api: Api) -> None:
    rules = api.get(f"{old.acme}/rules").get_json()
    body = json.dumps(old.stored["idempotent_body"]).encode()
    headers = {"Idempotency-Key": "first", "Content-Type": "application/json"}
    response = api.call("POST", f"{old.acme}/rules", data=body, headers=headers)
    assert (response.status_code, response.headers["Idempotent-Replayed"]) == (201, "true")
    assert response.get_json()["id"] == old.ids["chat"]
    assert api.get(f"{old.acme}/rules").get_json() == rules


def test_snapshot_of_an_older_release_on_disk_is_read(old: Old, world: World, tmp_path: Path) -> None:
    disk = SnapshotFile(tmp_path / "snapshot.sqlite")
    disk.write({}, [], [])
    with sqlite3.connect(disk.path) as database:
        for table, rows in old.stored["disk"].items():
            marks = ", ".join("?" * len(rows[0]))
            database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)
    database.close()
    platform = disk.platform()
    assert platform is not None
    assert [model.name for model in platform.models] == ["fast"]
    assert disk.tenants() == {old.ids["acme"], old.ids["beta"]}
    gateway = compiled(world, disk.find("key", world.hasher(old.stored["api_keys"]["acme"])), platform)
    assert gateway.snapshot.tenant.name == "Acme"


@pytest.mark.slow
def test_real_gateway_serves_and_changes_a_store_of_an_older_layout(
    old: Old, client: redis.Redis, valkey_socket: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    stored_secrets(folder, old.stored["pepper"], old.stored["encryption_key"])
    settings = {"GATEWAY__REDIS__MODE": "external", "GATEWAY__REDIS__URL": f"unix://{valkey_socket}"}
    with Upstream() as upstream, RunningGateway(folder, settings) as gateway:
        rule = f"{old.acme}/rules/{old.ids['chat']}"
        change = {"target": upstream.url, "headers": {"Authorization": "Bearer other"}}
        assert gateway.call("PATCH", rule, json=change).status_code == 200
        key = old.stored["api_keys"]["second"]
        headers = {"Host": "acme.example.com", "Authorization": f"Bearer {key}"}
        for _ in until(5.0):
            if requests.get(f"{gateway.proxy}/v1/x", headers=headers, timeout=10).status_code == 200:
                break
        assert upstream.received[-1].target == "/v1/x"
        assert violations(client, old.names) == []
