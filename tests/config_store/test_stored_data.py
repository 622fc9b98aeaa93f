"""Stored data outlive releases: what the release of commit 4b4f206 stored is read, served and changed.

The fixture says itself how it was made.
"""

import asyncio
import base64
import json
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from shared.config_store.source import open_source
from shared.config_store.store import RedisStore
from shared.limits.redis.limiter import RedisLimiter, open_redis_limiter
from shared.limits.values import Decision, Limit
from shared.model.config import Stage
from shared.model.messages import Exchange, Headers, Request
from shared.model.sealed import Sealed
from shared.pipeline.plugin import Continue, Reject, Tools, Verdict
from shared.plugins.rate_limiter import RateLimiter
from shared.routing.compile import Compiler, Gateway, Route
from shared.secrets.api_keys import PepperedHasher
from shared.secrets.context import setting_context
from shared.secrets.sealing import AesSealer
from shared.services import not_called
from tests.admin_app.world import TOKEN, Api, HandClock, World, app_of, make_world
from tests.support.gateway import RunningGateway, stored_secrets
from tests.support.upstream import Upstream
from tests.support.wait import until

FIXTURE: Mapping[str, Any] = json.loads(
    (Path(__file__).parents[1] / "fixtures" / "store_4b4f206.json").read_text(encoding="utf-8")
)
IDS: Mapping[str, str] = FIXTURE["ids"]
KEYS: Mapping[str, Mapping[str, Any]] = FIXTURE["api_keys"]
DUMPED_AT: int = FIXTURE["dumped_at_us"]
PEPPER, ENCRYPTION_KEY = (base64.b64decode(FIXTURE[name]) for name in ("pepper", "encryption_key"))
ACME = f"/tenants/{IDS['acme']}"


def raw(value: Any) -> Any:
    """A value of the fixture as Redis holds it."""
    match value:
        case {"json": content}:
            return json.dumps(content, separators=(",", ":"))
        case {"base64": content}:
            return base64.b64decode(content)
    return value


def fill(client: redis.Redis, keyspace: Sequence[Mapping[str, Any]]) -> None:
    """Put the keyspace of a fixture into an empty Redis."""
    for entry in keyspace:
        key, value = entry["key"], entry["value"]
        match entry["type"]:
            case "string":
                client.set(key, raw(value))
            case "hash":
                client.hset(key, mapping={name: raw(member) for name, member in value.items()})
            case "list":
                client.rpush(key, *map(raw, value))
            case "zset":
                client.zadd(key, value)
            case "set":
                client.sadd(key, *value)
        if entry["ttl_ms"] is not None:
            client.pexpire(key, entry["ttl_ms"])


@pytest.fixture
def client(valkey_socket: str) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
        fill(client, FIXTURE["keyspace"])
        yield client
        client.flushall()


class LimiterAtThatTime:
    """The limiter in Redis at the time of the fixture, with a connection for each call."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    async def _ask(self, ask: Callable[..., Awaitable[Decision]], limits: Sequence[Limit]) -> Decision:
        limiter = open_redis_limiter({"unix_socket_path": self._socket}, 5.0, lambda: DUMPED_AT)
        try:
            return await ask(limiter, limits)
        finally:
            await limiter.close()

    async def peek(self, limits: Sequence[Limit]) -> Decision:
        return await self._ask(RedisLimiter.peek, limits)

    async def acquire(self, limits: Sequence[Limit]) -> Decision:
        return await self._ask(RedisLimiter.acquire, limits)

    extend = acquire

    def end(self, limits: Sequence[Limit]) -> None: ...
    async def release(self, limits: Sequence[Limit]) -> None: ...
    async def renew(self, limits: Sequence[Limit]) -> None: ...
    async def correct(
        self, limits: Sequence[Limit], charged: Decision | None, units: Sequence[int]
    ) -> None: ...
    async def close(self) -> None: ...


@pytest.fixture
def world(client: redis.Redis, valkey_socket: str, tmp_path: Path) -> World:
    """The admin API's services on the stored data, at the time of the fixture."""
    world = make_world(tmp_path, admin__token=TOKEN)
    world.clock = HandClock(DUMPED_AT / 1e6)
    world.store = RedisStore(client, quarantine=86_400)
    world.hasher = PepperedHasher(PEPPER)
    world.sealer = AesSealer([ENCRYPTION_KEY], os.urandom)
    world.limiter = LimiterAtThatTime(valkey_socket)
    return world


@pytest.fixture
def api(world: World) -> Api:
    return Api(app_of(world), TOKEN)


def compiled(world: World, socket: str, tenant: str) -> Gateway:
    """A tenant as a worker of the proxy reads and compiles it."""
    tools = Tools(world.limiter, not_called, world.clock)
    compiler = Compiler(world.catalogue, world.settings.tiers, world.sealer, tools)

    async def read() -> Gateway:
        source = open_source({"unix_socket_path": socket})
        try:
            tenant_id = await source.tenant_of_subdomain(tenant)
            assert tenant_id == IDS[tenant]
            snapshot = await source.read(tenant_id)
            assert snapshot is not None
            return compiler(snapshot)
        finally:
            await source.close()

    return asyncio.run(read())


def route(gateway: Gateway, path: str) -> Route:
    found = gateway.router.match_path(path)[0]
    assert found.fault is None
    return found


def has_all(found: Any, expected: Any) -> bool:
    """Whether `found` is `expected`, or has newer members besides, at any depth."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            name in found and has_all(found[name], one) for name, one in expected.items()
        )
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(has_all, found, expected))
    return bool(found == expected)


@pytest.mark.parametrize("path", FIXTURE["documents"])
def test_stored_document_is_shown_as_the_old_release_showed_it(api: Api, path: str) -> None:
    response = api.get(path)
    expected = dict(FIXTURE["documents"][path])
    if "limits" in expected:  # a moment passed between the call and the dump
        expected["limits"] = [at_that_time(limit) for limit in expected["limits"]]
    assert response.status_code == 200
    assert has_all(response.get_json(), expected)


def at_that_time(limit: Mapping[str, Any]) -> dict[str, Any]:
    reset = limit["reset_after_ms"]
    return {**limit, "reset_after_ms": reset and pytest.approx(reset, abs=1000)}


def test_list_of_tenants_keeps_the_order_of_creation(api: Api) -> None:
    listed = [one["id"] for one in api.get("/tenants").get_json()["tenants"]]
    assert listed == [IDS["acme"], IDS["beta"], IDS["counted"]]


@pytest.mark.parametrize("name", KEYS)
def test_stored_key_is_found_by_its_hash_with_its_status(world: World, name: str) -> None:
    record = KEYS[name]
    found = world.store.find_key(world.hasher(record["key"]))
    if record["status"] == "unknown":
        assert found is None
        return
    assert found == (record["tenant_id"], record["key_id"])
    snapshot = world.store.read(record["tenant_id"])
    assert snapshot is not None
    (key,) = [key for key in snapshot.keys if key.id == record["key_id"]]
    assert key.status(world.clock.now()) == record["status"]


def test_stored_rules_are_compiled_with_their_secrets(world: World, valkey_socket: str) -> None:
    acme = compiled(world, valkey_socket, "acme")
    chat = route(acme, "/v1/chat/completions")
    assert chat.headers == FIXTURE["secrets"]["chat"]
    assert (chat.timeouts.connect, chat.timeouts.idle) == (0.75, 30.5)
    (validator,) = [step for group in chat.plan.stages[Stage.PRE_REQUEST] for step in group.shadows]
    assert vars(validator.plugin)["headers"] == FIXTURE["secrets"]["external_validator of chat"]
    assert route(acme, "/files").rule.id == IDS["files"]
    off = acme.snapshot.tenant.plugin_chain[1]
    sealed = off.settings["headers"]["Authorization"]
    assert isinstance(sealed, Sealed)
    context = setting_context(IDS["acme"], off.name, "headers", "Authorization", off.settings)
    expected = FIXTURE["secrets"]["external_validator of acme"]["Authorization"]
    assert world.sealer.open(sealed.text, context) == expected
    assert route(compiled(world, valkey_socket, "beta"), "/any").rule.id == IDS["beta-rule"]


def judge(world: World, gateway: Gateway, team: str) -> Verdict:
    """The decision of the rate limiter of the tenant "counted" about another request."""
    found = route(gateway, "/v1/x")
    (group,) = found.plan.head
    (limiter,) = (step.plugin for step in group.steps if isinstance(step.plugin, RateLimiter))
    key = next(iter(gateway.keys.values()))
    request = Request("GET", "/v1/x", Headers([("X-Team", team)]))
    exchange = Exchange("id", gateway.snapshot.tenant, found.rule, request, "127.0.0.1", key)
    return asyncio.run(limiter.pre_request(exchange))


def test_counters_in_use_go_on_counting(world: World, valkey_socket: str, api: Api) -> None:
    counted = compiled(world, valkey_socket, "counted")
    rejected = judge(world, counted, "red")  # 6 of 7 are used, and each request costs 2
    assert isinstance(rejected, Reject)
    assert (rejected.status, rejected.code) == (429, "rate_limit_exceeded")
    assert isinstance(judge(world, counted, "green"), Continue)
    (path,) = [path for path in FIXTURE["documents"] if "rate-limits" in path]
    used = {limit["name"]: limit["used"] for limit in api.get(path).get_json()["limits"]}
    before = {limit["name"]: limit["used"] for limit in FIXTURE["documents"][path]["limits"]}
    more = {"global": 1, "per_ip": 1, "streams": 1, "per_key": 2, "per_header:X-Team": 0}
    assert used == {name: before[name] + more[name] for name in before}


def test_patch_of_a_stored_tenant_keeps_everything_else(api: Api, world: World, valkey_socket: str) -> None:
    before = {path: api.get(ACME + path).get_json() for path in ("", "/rules", "/api-keys")}
    response = api.patch(ACME, {"name": "Renamed"})
    assert response.status_code == 200, response.text
    after = {path: api.get(ACME + path).get_json() for path in before}
    changed = {"name": "Renamed", "updated_at": after[""]["updated_at"], "version": before[""]["version"] + 1}
    assert after == {**before, "": {**before[""], **changed}}
    chat = route(compiled(world, valkey_socket, "acme"), "/v1/chat")
    assert chat.headers == FIXTURE["secrets"]["chat"]


def test_patch_of_a_stored_rule_keeps_everything_else(api: Api, world: World, valkey_socket: str) -> None:
    url = f"{ACME}/rules/{IDS['chat']}"
    before = api.get(url).get_json()
    response = api.patch(url, {"streams": "pass"})
    assert response.status_code == 200, response.text
    after = api.get(url).get_json()
    assert after == {**before, "streams": "pass", "updated_at": after["updated_at"]}
    chat = route(compiled(world, valkey_socket, "acme"), "/v1/chat")
    assert chat.headers == FIXTURE["secrets"]["chat"]


def test_traces_of_deleted_and_renamed_tenants_still_hold(api: Api) -> None:
    for subdomain in ("beta-old", "deleted"):
        response = api.post("/tenants", {"name": "New", "subdomain": subdomain})
        assert response.status_code == 409, response.text
    assert api.patch(f"/tenants/{IDS['beta']}", {"subdomain": "beta-old"}).status_code == 200


@pytest.mark.slow
def test_real_gateway_serves_stored_tenants(client: redis.Redis, valkey_socket: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    stored_secrets(folder, FIXTURE["pepper"], FIXTURE["encryption_key"])
    settings = {"GATEWAY__REDIS__MODE": "external", "GATEWAY__REDIS__URL": f"unix://{valkey_socket}"}
    with Upstream() as upstream, RunningGateway(folder, settings) as gateway:
        rule = f"/tenants/{IDS['counted']}/rules/{IDS['in-use']}"
        assert gateway.call("PATCH", rule, json={"target": upstream.url}).status_code == 200

        def call(subdomain: str, key: str) -> tuple[int, str | None]:
            headers = {"Host": f"{subdomain}.example.com", "Authorization": f"Bearer {KEYS[key]['key']}"}
            response = requests.get(f"{gateway.proxy}/v1/x", headers=headers, timeout=10)
            return response.status_code, response.json().get("error", {}).get("code")

        for _ in until(5.0):
            if call("counted", "counted-first")[0] == 200:
                break
        assert upstream.received[-1].target == "/v1/x"
        assert call("acme", "acme-revoked") == (401, "api_key_revoked")
        assert call("acme", "deleted-first") == (401, "invalid_api_key")
        assert call("acme", "counted-first") == (401, "invalid_api_key")
        assert call("beta", "beta-first") == (403, "tenant_disabled")
