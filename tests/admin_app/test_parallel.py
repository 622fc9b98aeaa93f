"""Calls at the same time, on a real store: nobody has to repeat one."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask

from admin_app.changes import attempts
from shared.config_store.history.edit import Edit
from shared.config_store.store import RedisStore
from shared.model.config import Rule, Snapshot
from tests.admin_app.world import TOKEN, Api, Tenant, World, app_of, make_world

CALLERS = 20


@pytest.fixture
def world(tmp_path: Path, client: redis.Redis) -> World:
    world = make_world(tmp_path, admin__token=TOKEN)
    world.store = RedisStore(client, world.settings.admin.subdomain_quarantine)
    return world


@pytest.fixture(params=["one process", "several processes"])
def app(request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """The API, whose callers meet in one process, or in the store only."""
    if request.param == "several processes":
        monkeypatch.setattr(attempts, "_LOCKS", [nullcontext()])
    return app_of(world)


def statuses(app: Flask, call: Callable[[Api, int], Any]) -> list[int]:
    """The statuses of `CALLERS` calls at the same time."""

    def once(i: int) -> int:
        return int(call(Api(app, TOKEN), i).status_code)

    with ThreadPoolExecutor(CALLERS) as pool:
        return sorted(pool.map(once, range(CALLERS)))


@pytest.fixture
def large(api: Api, world: World) -> Tenant:
    """A tenant with so many rules that changes take a while."""
    tenant = api.tenant(tier="enterprise")
    before = world.store.read(tenant.id)
    assert before is not None
    many = [Rule(f"rule_{i}", f"/old/{i}", "https://api.openai.com") for i in range(200)]
    world.store.write(before, replace(before, rules=tuple(many)), edit=Edit(actor="platform"))
    return tenant


@pytest.mark.slow
def test_parallel_creates_of_different_objects_all_succeed(app: Flask, api: Api, large: Tenant) -> None:
    tenant = large

    def create(api: Api, i: int) -> Any:
        if i % 2:
            return api.post(f"{tenant.url}/api-keys", {"name": f"key {i}"})
        return api.post(f"{tenant.url}/rules", {"path": f"/v{i}", "target": "https://api.openai.com"})

    assert statuses(app, create) == [201] * CALLERS
    assert api.get(f"{tenant.url}/api-keys").get_json()["count"] == CALLERS // 2 + 1
    assert api.get(f"{tenant.url}/rules?limit=500").get_json()["count"] == 200 + CALLERS // 2


@pytest.mark.slow
def test_parallel_changes_of_different_rules_all_succeed(app: Flask, api: Api) -> None:
    tenant = api.tenant(tier="enterprise")
    urls = [f"{tenant.url}/rules/{api.rule(tenant, f'/v{i}')['id']}" for i in range(CALLERS)]
    assert statuses(app, lambda api, i: api.patch(urls[i], {"active": False})) == [200] * CALLERS
    assert statuses(app, lambda api, i: api.delete(urls[i])) == [204] * CALLERS


@pytest.mark.parametrize(
    ("kind", "body"), [("api-keys", {}), ("rules", {"path": "/v1", "target": "https://api.openai.com"})]
)
def test_create_that_another_writer_overtakes_is_made_all_the_same(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch, kind: str, body: dict[str, str]
) -> None:
    tenant: Tenant = api.tenant()
    read, names = world.store.read, iter(("One", "Two", "Three"))

    def overtaken(tenant_id: str) -> Snapshot | None:
        """The stored values, which change right after."""
        found = read(tenant_id)
        if found and (name := next(names, None)):
            world.store.write(
                found, replace(found, tenant=replace(found.tenant, name=name)), edit=Edit(actor="other")
            )
        return found

    monkeypatch.setattr(world.store, "read", overtaken)
    assert api.post(f"{tenant.url}/{kind}", body).status_code == 201
    assert api.get(tenant.url).get_json()["name"] == "Three"


def test_parallel_changes_with_the_same_if_match_succeed_once(app: Flask, api: Api) -> None:
    tenant: Tenant = api.tenant()
    tag = api.get(tenant.url).headers["ETag"]

    def rename(api: Api, i: int) -> Any:
        return api.patch(tenant.url, {"name": f"name {i}"}, headers={"If-Match": tag})

    assert statuses(app, rename) == [200] + [412] * (CALLERS - 1)
