"""/tenants/{id}/rate-limits: limits in force, with their live usage."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from admin_app.views import rate_limits
from shared.config_store.history.edit import Edit
from shared.core.errors import StoreDown
from shared.limits.values import Decision, Limit
from shared.model.config import PluginConfig
from shared.model.messages import Exchange, Headers, Request
from shared.pipeline.plugin import Continue, Tools
from shared.routing.compile import Compiler
from shared.services import not_called
from tests.admin_app.world import Api, Tenant, World, error_of, pointers

GATEWAY = {"limits": {"global": {"limit": 5, "window": "1m"}}}
RULE = {"limit": 3, "window": "10s"}


def limiter(settings: Any) -> dict[str, Any]:
    return {"name": "rate_limiter", "settings": settings}


def limited(api: Api, on_tenant: Any = None, on_rule: Any = None, **fields: Any) -> tuple[Tenant, str]:
    """A tenant of tier pro and its rule."""
    chain = [limiter(on_tenant)] if on_tenant else []
    tenant = api.tenant(**{"tier": "pro", "plugin_chain": chain, **fields})
    return tenant, new_rule(api, tenant, on_rule)


def new_rule(api: Api, tenant: Tenant, settings: Any, path: str = "/v1", **fields: Any) -> Any:
    chain = [limiter(settings)] if settings else []
    return api.rule(tenant, path, plugin_chain=chain, **fields)["id"]


def shown(api: Api, tenant: Tenant, query: str = "", **kwargs: Any) -> list[dict[str, Any]]:
    """The limits that a reader sees, without the tier's ceiling of concurrent requests."""
    response = api.get(f"{tenant.url}/rate-limits{query}", **kwargs)
    assert response.status_code == 200, response.text
    return [limit for limit in response.get_json()["limits"] if limit["name"] != "tier"]


def spend(world: World, tenant: Tenant, times: int, path: str = "/v1", **request: Any) -> int:
    """Requests as a proxy would count them, from the stored configuration. Returns how many passed."""
    snapshot = world.store.read(tenant.id)
    assert snapshot is not None
    tools = Tools(world.limiter, not_called, world.clock)
    gateway = Compiler(world.catalogue, world.settings.tiers, world.sealer, tools)(snapshot)
    route = gateway.router.match_path(path)[0]
    given = {"client": "192.0.2.7", **request}
    headers = Headers(given.pop("headers", ()))
    exchange = Exchange("id", snapshot.tenant, route.rule, Request("POST", path, headers), **given)
    step = next(step for group in route.plan.head for step in group.steps)

    async def ask() -> bool:
        return isinstance(await step.call(exchange), Continue)

    return sum(asyncio.run(ask()) for _ in range(times))


def test_each_limit_in_force_is_shown_with_its_use(api: Api, world: World) -> None:
    tenant, rule = limited(api, GATEWAY, RULE)
    assert [row["used"] for _ in range(20) for row in shown(api, tenant)] == [0] * 40
    assert spend(world, tenant, 2) == 2
    both = {"key_id": None, "key_name": None, "name": "global", "unit": "requests", "used": 2}
    gateway = {
        "scope": "gateway",
        "rule_id": None,
        "rule_path": None,
        "limit": 5,
        "window": "1m",
        "remaining": 3,
    }
    of_rule = {
        "scope": "rule",
        "rule_id": rule,
        "rule_path": "/v1",
        "limit": 3,
        "window": "10s",
        "remaining": 1,
    }
    assert shown(api, tenant) == [
        {**both, **gateway, "reset_after_ms": 60_938},
        {**both, **of_rule, "reset_after_ms": 10_157},
    ]


def test_the_ceilings_of_the_tier_are_shown_and_no_higher_limit(api: Api, world: World) -> None:
    tenant, _ = limited(api, {"limit": 900, "window": "1m"}, tier="basic")
    spend(world, tenant, 1)
    slots, per_minute = api.get(f"{tenant.url}/rate-limits").get_json()["limits"]
    assert (slots["name"], slots["unit"], slots["limit"], slots["used"]) == ("tier", "concurrent", 20, None)
    assert (per_minute["scope"], per_minute["limit"], per_minute["used"]) == ("gateway", 600, 1)
    tenant = api.tenant("large", tier="enterprise")
    assert api.get(f"{tenant.url}/rate-limits").get_json() == {"limits": []}


def test_a_block_on_the_tenant_is_shown_for_each_rule(api: Api, world: World) -> None:
    block = {"gateway": GATEWAY, "rule": {"limits": {"global": RULE}}}
    tenant, first = limited(api, block)
    second = new_rule(api, tenant, None, "/v2")
    new_rule(api, tenant, None, "/v3", active=False)
    spend(world, tenant, 1, "/v2")
    rows = [(limit["scope"], limit["rule_id"], limit["used"]) for limit in shown(api, tenant)]
    assert rows == [("gateway", None, 1), ("rule", first, 0), ("rule", second, 1)]


def test_a_gateway_part_on_a_rule_is_shown_at_that_rule(api: Api) -> None:
    tenant, rule = limited(api, GATEWAY, {"gateway": {"limits": {"global": {"limit": 2, "window": "1m"}}}})
    rows = [(limit["scope"], limit["rule_id"], limit["limit"]) for limit in shown(api, tenant)]
    assert rows == [("gateway", None, 5), ("gateway", rule, 2)]


def test_limit_that_was_lowered_shows_its_whole_usage(api: Api, world: World) -> None:
    tenant, rule = limited(api, None, {"limit": 5, "window": "1m"})
    spend(world, tenant, 4)
    lowered = {"plugin_chain": [limiter({"limit": 3, "window": "1m"})]}
    assert api.patch(f"{tenant.url}/rules/{rule}", lowered).status_code == 200
    (row,) = shown(api, tenant)
    assert (row["limit"], row["used"], row["remaining"]) == (3, 4, 0)


FIVE = {"limit": 5, "window": "1m"}
SLOTS_BY_KEY = {"limit": 8, "per": ["key"]}
PER = {"per_ip": FIVE, "per_key": FIVE, "per_path": FIVE, "per_header": {"X-Team": FIVE}}
DIVIDED = {"limits": {**PER, "streams": SLOTS_BY_KEY}}


def test_query_selects_the_counter_of_a_limit_per_value(api: Api, world: World) -> None:
    tenant, _ = limited(api, None, DIVIDED)
    spend(world, tenant, 2, client="192.0.2.7", headers=[("X-Team", "red")])
    assert {row["used"] for row in shown(api, tenant)} == {None}
    query = "?ip=192.0.2.7&key_id=key_1&path=//v1&header=x-team: red"
    used = {row["name"]: row["used"] for row in shown(api, tenant, query)}
    assert used == {"per_ip": 2, "per_key": 0, "per_path": 2, "per_header:X-Team": 2, "streams": 0}
    assert {row["used"] for row in shown(api, tenant, "?ip=192.0.2.8")} == {0, None}


def test_limit_per_model_shows_usage_at_the_most_precise_glob_only(api: Api) -> None:
    models = {"limits": {"per_model": {"gpt-4o*": RULE, "*": RULE}}}
    tenant, _ = limited(api, None, models)
    rows = {row["name"]: row["used"] for row in shown(api, tenant, "?model=gpt-4o-mini")}
    assert rows == {"per_model:gpt-4o*": 0, "per_model:*": None}


def test_limit_by_key_is_shown_for_each_key_of_the_tenant(api: Api, world: World) -> None:
    tenant, _ = limited(api, None, {"limits": {"per_key": FIVE, "global": FIVE}})
    first, second = api.first_key(tenant), api.create(f"{tenant.url}/api-keys", {"name": "web"})["id"]
    snapshot = world.store.read(tenant.id)
    assert snapshot is not None
    key = next(key for key in snapshot.keys if key.id == second)
    spend(world, tenant, 2, key=key)
    rows = shown(api, tenant, "?each_key=true")
    assert {row["key_id"]: row["used"] for row in rows} == {first: 0, second: 2, None: 2}


def test_limit_by_key_is_not_shown_for_a_revoked_key(api: Api) -> None:
    tenant, _ = limited(api, None, {"limits": {"per_key": FIVE}})
    gone = api.create(f"{tenant.url}/api-keys", {"name": "web"})["id"]
    api.delete(f"{tenant.url}/api-keys/{gone}")
    assert gone not in {row["key_id"] for row in shown(api, tenant, "?each_key=true")}


def test_limits_of_all_tenants_are_listed_in_pages_with_the_fullest_first(api: Api, world: World) -> None:
    tenants = [limited(api, None, {"limit": 4, "window": "1m"}, subdomain=f"t{n}")[0] for n in range(25)]
    spend(world, tenants[7], 3)
    spend(world, tenants[3], 1)
    page = api.get("/rate-limits?limit=24").get_json()
    known = [row for row in page["limits"] if row["used"] is not None]
    assert [(row["tenant_id"], row["used"]) for row in known[:2]] == [(tenants[7].id, 3), (tenants[3].id, 1)]
    assert page["limits"][-1]["used"] is None
    rest = api.get(f"/rate-limits?cursor={page['next_cursor']}").get_json()
    assert {row["tenant_id"] for row in rest["limits"]} == {tenants[24].id}
    assert (page["tenants"], rest["tenants"], rest["next_cursor"]) == (24, 1, None)
    assert pointers(api.get("/rate-limits?cursor=x")) == ["/cursor"]
    assert api.get("/rate-limits", key=tenants[0].key).status_code == 403


def test_page_of_all_tenants_ends_when_it_has_many_limits(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "_MAX_ROWS", 3)
    monkeypatch.setattr(rate_limits, "_TENANTS_AT_ONCE", 2)
    for number in range(5):
        limited(api, None, FIVE, subdomain=f"t{number}", tier="enterprise")
    page = api.get("/rate-limits").get_json()
    assert (page["tenants"], len(page["limits"])) == (4, 4)
    assert api.get(f"/rate-limits?cursor={page['next_cursor']}").get_json()["tenants"] == 1


def test_places_at_a_time_have_no_window_and_no_reset(api: Api, world: World) -> None:
    tenant, _ = limited(api, None, {"limits": {"streams": {"limit": 8, "unit": "concurrent"}}})
    spend(world, tenant, 3)
    (row,) = shown(api, tenant)
    assert (row["unit"], row["window"], row["used"], row["remaining"]) == ("concurrent", None, 3, 5)
    assert row["reset_after_ms"] is None


@pytest.mark.slow
def test_hundreds_of_limits_are_shown(api: Api, world: World) -> None:
    tenant, _ = limited(api, {"gateway": GATEWAY, "rule": {"limits": {"global": RULE}}})
    for number in range(120):
        new_rule(api, tenant, None, f"/{number}")
    spend(world, tenant, 1, "/119")
    rows = shown(api, tenant)
    assert len(rows) == 122
    assert [row["used"] for row in (rows[0], rows[1], rows[-1])] == [1, 0, 1]


def test_only_read_and_admin_keys_of_the_tenant_see_its_rate_limits(api: Api) -> None:
    tenant, _ = limited(api, GATEWAY)
    other = api.tenant("other")
    url = f"{tenant.url}/rate-limits"
    assert api.get(url, key=tenant.key).status_code == 200
    assert api.get(url, key=api.created_key(tenant, name="r", scopes=["read"])).status_code == 200
    assert api.get(url, key=api.created_key(tenant, name="p", scopes=["proxy"])).status_code == 403
    assert api.get(url, key=other.key).status_code == 404
    assert api.get(url, key=None).status_code == 401
    assert api.get("/tenants/nobody/rate-limits").status_code == 404


class Down:
    async def peek(self, limits: Sequence[Limit]) -> Decision:
        assert {limit.on_error for limit in limits} == {"closed"}
        raise StoreDown("Redis does not answer.")


def test_rate_limits_without_redis_are_503(api: Api, world: World) -> None:
    tenant, _ = limited(api, GATEWAY)
    world.limiter = Down()  # type: ignore[assignment]
    response = api.get(f"{tenant.url}/rate-limits")
    assert error_of(response) == (503, "store_down")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("ip=nobody", "/ip"), ("path=v1", "/path"), ("header=X-Team", "/header"), ("nobody=1", "/nobody")],
)
def test_a_wrong_query_is_rejected(api: Api, tenant: Tenant, query: str, pointer: str) -> None:
    assert pointers(api.get(f"{tenant.url}/rate-limits?{query}")) == [pointer]


def test_a_tenant_whose_chain_cannot_be_used_has_no_limits_in_force(api: Api, world: World) -> None:
    tenant, _ = limited(api, GATEWAY)
    before = world.store.read(tenant.id)
    assert before is not None
    broken = PluginConfig("rate_limiter", settings={"limit": "from another version"})
    after = replace(before, tenant=replace(before.tenant, plugin_chain=(*before.tenant.plugin_chain, broken)))
    world.store.write(before, after, edit=Edit(actor="platform"))
    assert shown(api, tenant) == []
