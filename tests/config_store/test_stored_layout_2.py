"""A store of layout 1, as the release of commit ed48a95 left it, is served and changed.

It gets layout 2 when something is written that this release cannot read; so the two can run side by side.

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
from shared.config_store.snapshot import SnapshotFile
from shared.config_store.source import open_source
from shared.config_store.store import RedisStore
from shared.core.errors import NamesInUse
from shared.model.config import Rule, Snapshot
from shared.model.providers import AiRule, PlatformDocument
from shared.pipeline.plugin import Tools
from shared.routing.compile import Compiler, Gateway
from shared.secrets.api_keys import PepperedHasher
from shared.secrets.sealing import AesSealer
from shared.services import not_called
from tests.admin_app.world import TOKEN, Api, HandClock, World, app_of, make_world
from tests.config_store.configurations import with_tenant
from tests.config_store.test_platform import OPENAI, write_platform
from tests.config_store.test_stored_data import fill, has_all
from tests.support.gateway import RunningGateway
from tests.support.upstream import Upstream
from tests.support.wait import until

FIXTURE: Mapping[str, Any] = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "store_ed48a95.json").read_text(encoding="utf-8")
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


def compiled(world: World, snapshot: Snapshot | None) -> Gateway:
    assert snapshot is not None
    tools = Tools(world.limiter, not_called, world.clock)
    gateway = Compiler(world.catalogue, world.settings.tiers, world.sealer, tools)(snapshot)
    assert gateway.faults == ()
    return gateway


def test_store_of_layout_1_is_whole_and_reading_does_not_change_it(client: redis.Redis, api: Api) -> None:
    for path, expected in FIXTURE["documents"].items():
        response = api.get(path.format(**IDS))
        assert response.status_code == 200, response.text
        assert has_all(response.get_json(), expected)
    assert violations(client) == []
    assert client.get("{cfg}:format") == b"1"


async def test_worker_reads_a_store_of_layout_1(
    client: redis.Redis, world: World, valkey_socket: str
) -> None:
    source = open_source({"unix_socket_path": valkey_socket})
    assert await source.read_platform() == PlatformDocument()
    snapshot = await source.read(IDS["acme"])
    gateway = compiled(world, snapshot)
    [route] = [one for one in gateway.router.routes() if one.rule.id == IDS["chat"]]
    assert route.headers == FIXTURE["secrets"]["chat"]
    assert world.hasher(KEYS["acme"]) in gateway.keys
    assert gateway.snapshot.tenant.providers == gateway.snapshot.tenant.models == ()
    await source.close()


def test_change_of_a_tenant_stays_in_the_form_that_the_old_release_reads(
    client: redis.Redis, api: Api
) -> None:
    before = {path: api.get(ACME + path).get_json() for path in ("", "/rules", "/api-keys")}
    old_keys, old_document = stored(client)
    assert api.patch(ACME, {"name": "Renamed"}).status_code == 200
    after = {path: api.get(ACME + path).get_json() for path in before}
    changed = {"name": "Renamed", "updated_at": after[""]["updated_at"], "version": before[""]["version"] + 1}
    assert after == {**before, "": {**before[""], **changed}}
    keys, document = stored(client)
    assert (keys, document) == (old_keys, {**old_document, "name": "Renamed"})
    assert client.get("{cfg}:format") == b"1"
    assert violations(client) == []


def stored(client: Any) -> tuple[list[Any], dict[str, Any]]:
    """The API keys and the newest document of the tenant, as they are in Redis."""
    version = client.hget(f"{{cfg}}:tenant:{IDS['acme']}", "version").decode()
    keys = [json.loads(key) for key in client.lrange(f"{{cfg}}:keys:{IDS['acme']}", 0, -1)]
    return keys, json.loads(client.get(f"{{cfg}}:doc:{IDS['acme']}:{version}"))["document"]


@pytest.mark.parametrize("change", ["platform", "provider", "key"])
def test_store_gets_layout_2_with_what_the_old_release_cannot_read(
    client: redis.Redis, world: World, change: str
) -> None:
    acme = world.store.read(IDS["acme"])
    assert acme
    if change == "platform":
        write_platform(world.store, providers=(OPENAI,))
    elif change == "provider":
        world.store.write(acme, with_tenant(acme, providers=(OPENAI,)), actor="platform")
        assert stored(client)[1]["models"] == []
    else:
        keys = (replace(acme.keys[0], user="me"), *acme.keys[1:])
        world.store.write(acme, replace(acme, keys=keys), actor="platform")
        assert ["user" in key for key in stored(client)[0]] == [True, False]
    assert client.get("{cfg}:format") == b"2"
    assert violations(client) == []


def test_tenant_of_layout_1_gets_a_rule_for_ai_on_the_platform(client: redis.Redis, world: World) -> None:
    platform = write_platform(world.store, providers=(OPENAI,))
    acme = world.store.read(IDS["acme"])
    assert acme
    ai = Rule("rule_ai", "/ai", "", ai=AiRule(providers=("o",)))
    after = replace(acme, rules=(*acme.rules, ai))
    assert world.store.write(acme, after, actor="platform", platform=platform.revision)
    with pytest.raises(NamesInUse, match=IDS["acme"]):
        write_platform(world.store, providers=())
    assert world.store.list(5, None).snapshots[0].rules[-1] == ai
    assert violations(client) == []


def test_call_of_layout_1_with_an_idempotency_key_is_not_repeated(api: Api) -> None:
    rules = api.get(f"{ACME}/rules").get_json()
    body = json.dumps(FIXTURE["idempotent_body"]).encode()
    headers = {"Idempotency-Key": "first", "Content-Type": "application/json"}
    response = api.call("POST", f"{ACME}/rules", data=body, headers=headers)
    assert (response.status_code, response.headers["Idempotent-Replayed"]) == (201, "true")
    assert response.get_json()["id"] == IDS["chat"]
    assert api.get(f"{ACME}/rules").get_json() == rules


def test_snapshot_of_layout_1_on_disk_is_read(world: World, tmp_path: Path) -> None:
    disk = SnapshotFile(tmp_path / "snapshot.sqlite")
    disk.write({}, [], [])
    with sqlite3.connect(disk.path) as database:
        for table, rows in FIXTURE["disk"].items():
            marks = ", ".join("?" * len(rows[0]))
            database.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)
    database.close()
    assert disk.meta()["revision"] == 9
    assert disk.platform() is None
    assert disk.tenants() == {IDS["acme"], IDS["beta"]}
    gateway = compiled(world, disk.find("key", world.hasher(KEYS["acme"])))
    assert gateway.snapshot.tenant.name == "Acme"


@pytest.mark.slow
def test_real_gateway_serves_and_changes_a_store_of_layout_1(
    client: redis.Redis, valkey_socket: str, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    for name, secret in (("pepper", "pepper"), ("encryption-key", "encryption_key")):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(FIXTURE[secret] + "\n")
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
        assert violations(client) == []
