"""A rollback is rejected as any other change would be, and a tenant's key writes no field of the platform."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from admin_app.auth.field_access import PROVIDER_FIELDS, RULE_FIELDS, TENANT_FIELDS
from shared.model.config import Tier
from tests.admin_app.history.test_rollback import document, done, rollback, version
from tests.admin_app.world import Api, Tenant, World, error_of, pointers
from tests.support.certificates import Authority

PROVIDER = {"name": "main", "kind": "openai", "keys": [{"name": "a", "secret": "sk-canary-old"}]}
MODEL = {"name": "fast", "targets": [{"provider": "main", "model": "m"}]}
LIMITER = {"name": "rate_limiter", "settings": {"limits": {"global": {"limit": 9, "window": "1m"}}}}
OLD_AND_NEW: dict[str, tuple[Any, Any]] = {
    "tier": ("pro", "basic"),
    "status": ("disabled", "active"),
    "subdomain": ("former", "acme"),
    "enabled_plugins": (["rate_limiter"], None),
    "required_plugins": ([LIMITER], []),
}


def tiers(world: World, **maxima: int) -> None:
    world.settings = replace(world.settings, tiers={"basic": Tier("basic", **maxima)})


@pytest.mark.parametrize("field", TENANT_FIELDS)
def test_key_of_a_tenant_keeps_its_fields_of_the_platform(api: Api, tenant: Tenant, field: str) -> None:
    old, new = OLD_AND_NEW[field]
    assert api.patch(tenant.url, {field: old, "name": "Old"}).status_code == 200
    number = version(api, tenant)
    api.patch(tenant.url, {field: new, "name": "New"})
    kept = api.get(tenant.url).get_json()[field]
    made = done(api, tenant.url, number, key=tenant.key)
    now = api.get(tenant.url).get_json()
    assert (now[field], now["name"]) == (kept, "Old")
    has_versions = field not in ("status", "subdomain")
    assert [one["pointer"] for one in made["warnings"]] == ([f"/{field}"] if has_versions else [])
    if has_versions:
        assert done(api, tenant.url, number)["summary"] == f"{field} changed"
        assert api.get(tenant.url).get_json()[field] != kept


@pytest.mark.parametrize("field", [*RULE_FIELDS, "limits"])
@pytest.mark.parametrize("is_deleted", [False, True])
def test_key_of_a_tenant_keeps_the_fields_of_the_platform_in_rules(
    api: Api, tenant: Tenant, world: World, tmp_path: Path, field: str, is_deleted: bool
) -> None:
    raised = {"request_body": world.settings.limits.request_body + 1}
    old = {"ca": Authority(tmp_path).file.read_text(), "limits": raised}[field]
    rule = api.rule(tenant, **{field: old})
    shown, number = rule[field], version(api, tenant)
    url = f"{tenant.url}/rules/{rule['id']}"
    if is_deleted:
        api.delete(url)
    else:
        assert api.patch(url, {field: None, "active": False}).status_code == 200
    made = done(api, tenant.url, number, key=tenant.key)
    assert [one["pointer"] for one in made["warnings"]] == [f"/rules/{rule['id']}/{field}"]
    now = api.get(url).get_json()
    assert (now["active"], now[field] in (None, {"request_body": None, "response_body": None})) == (
        True,
        True,
    )
    done(api, tenant.url, number)
    assert api.get(url).get_json()[field] == shown


@pytest.mark.parametrize("field", PROVIDER_FIELDS)
def test_key_of_a_tenant_keeps_the_fields_of_the_platform_in_providers(
    api: Api, tenant: Tenant, tmp_path: Path, field: str
) -> None:
    old = {"ca": Authority(tmp_path).file.read_text()}[field]
    made = api.create(f"{tenant.url}/providers", {**PROVIDER, field: old})
    number, url = version(api, tenant), f"{tenant.url}/providers/{made['id']}"
    assert api.patch(url, {field: None, "enabled": False}).status_code == 200
    warnings = done(api, tenant.url, number, key=tenant.key)["warnings"]
    assert [one["pointer"] for one in warnings] == [f"/providers/{made['id']}/{field}"]
    now = api.get(url).get_json()
    assert (now["enabled"], now[field]) == (True, None)


def test_every_problem_is_reported_with_its_place_in_the_document(
    api: Api, tenant: Tenant, world: World
) -> None:
    first, second = api.rule(tenant, plugin_chain=[LIMITER]), api.rule(tenant, "/v2")
    api.patch(tenant.url, {"plugin_chain": [LIMITER]})
    provider = api.create(f"{tenant.url}/providers", PROVIDER)
    model = api.create(f"{tenant.url}/models", {**MODEL, "name": "a/b"})
    pool = api.rule(tenant, "/pool", target=None, targets=[{"url": "https://api.openai.com"}])
    number = version(api, tenant)
    api.delete(f"{tenant.url}/models/{model['name']}")
    for one in (first, second, pool):
        api.delete(f"{tenant.url}/rules/{one['id']}")
    api.delete(f"{tenant.url}/providers/{provider['id']}")
    api.patch(tenant.url, {"plugin_chain": []})
    tiers(world, max_rules=2, max_models=0, max_providers=0, max_targets=0)
    world.catalogue = {name: kind for name, kind in world.catalogue.items() if name != "rate_limiter"}
    before = version(api, tenant)
    assert pointers(rollback(api, tenant.url, number)) == [
        "/plugin_chain/0/name",
        f"/rules/{first['id']}/plugin_chain/0/name",
        "/rules",
        "/providers",
        "/models",
        "/models/a~1b/targets",
        f"/rules/{pool['id']}/targets",
    ]
    assert version(api, tenant) == before


def test_more_parts_than_the_tier_allows_stay_as_many_as_there_are(
    api: Api, tenant: Tenant, world: World
) -> None:
    rules = [api.rule(tenant, f"/{number}") for number in range(3)]
    number = version(api, tenant)
    api.patch(f"{tenant.url}/rules/{rules[0]['id']}", {"active": False})
    tiers(world, max_rules=1)
    done(api, tenant.url, number)
    api.delete(f"{tenant.url}/rules/{rules[0]['id']}")
    assert pointers(rollback(api, tenant.url, number)) == ["/rules"]


def test_plugin_that_is_no_longer_enabled_is_rejected(api: Api, tenant: Tenant) -> None:
    rule = api.rule(tenant, plugin_chain=[LIMITER])
    number = version(api, tenant)
    api.patch(f"{tenant.url}/rules/{rule['id']}", {"plugin_chain": []})
    api.patch(tenant.url, {"enabled_plugins": []})
    rejected = rollback(api, tenant.url, number, key=tenant.key)
    assert pointers(rejected) == [f"/rules/{rule['id']}/plugin_chain/0/name"]
    done(api, tenant.url, number)


def test_target_that_is_no_longer_allowed_is_rejected(
    api: Api, tenant: Tenant, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule, same = api.rule(tenant), api.rule(tenant, "/same")
    number, url = version(api, tenant), f"{tenant.url}/rules/{rule['id']}"
    api.patch(url, {"target": "https://checks.example"})

    def check(target: str, **_: Any) -> None:
        raise ValueError(f"{target} is forbidden.")

    monkeypatch.setattr(world, "check_target", check)
    rejected = rollback(api, tenant.url, number)
    assert pointers(rejected) == [f"/rules/{rule['id']}/target"]
    assert api.get(f"{tenant.url}/rules/{same['id']}").status_code == 200


def test_provider_of_the_platform_that_is_gone_is_rejected(api: Api, tenant: Tenant) -> None:
    shared = api.create("/providers", {**PROVIDER, "shared": "all"})
    rule = api.rule(tenant, target=None, ai={"providers": ["main"]})
    api.create(f"{tenant.url}/models", MODEL)
    number = version(api, tenant)
    api.delete(f"{tenant.url}/models/fast")
    api.delete(f"{tenant.url}/rules/{rule['id']}")
    api.delete(f"/providers/{shared['id']}")
    assert pointers(rollback(api, tenant.url, number)) == [
        "/models/fast/targets/0/provider",
        f"/rules/{rule['id']}/ai/providers/0",
    ]


def test_own_provider_that_took_the_name_of_a_shared_one_is_not_taken_away(api: Api, tenant: Tenant) -> None:
    shared = api.create("/providers", {**PROVIDER, "shared": "all"})
    rule = api.rule(tenant, target=None, ai={"providers": ["main"]})
    api.create(f"{tenant.url}/models", MODEL)
    number = version(api, tenant)
    api.create(f"{tenant.url}/providers", PROVIDER)
    assert api.delete(f"/providers/{shared['id']}").status_code == 204
    assert pointers(rollback(api, tenant.url, number)) == [
        "/models/fast/targets/0/provider",
        f"/rules/{rule['id']}/ai/providers/0",
    ]


def test_tier_with_which_a_model_of_the_platform_is_not_shared_is_rejected(api: Api, tenant: Tenant) -> None:
    api.create("/providers", {**PROVIDER, "shared": {"tiers": ["pro"]}})
    api.create("/models", {**MODEL, "shared": {"tiers": ["pro"]}})
    rule = api.rule(tenant)
    number = version(api, tenant)
    assert api.patch(tenant.url, {"tier": "pro"}).status_code == 200
    assert api.patch(f"{tenant.url}/rules/{rule['id']}", {"active": False}).status_code == 200
    made = api.rule(tenant, "/ai", target=None, ai={"models": ["fast"]})
    again = version(api, tenant)
    done(api, tenant.url, number)
    assert api.get(tenant.url).get_json()["tier"] == "basic"
    done(api, tenant.url, again)
    assert api.get(f"{tenant.url}/rules/{made['id']}").status_code == 200
    assert error_of(api.patch(tenant.url, {"tier": "basic"})) == (409, "in_use")


def test_names_that_two_parts_have_exchanged_come_back(api: Api, tenant: Tenant) -> None:
    first = api.create(f"{tenant.url}/providers", {**PROVIDER, "name": "a"})
    second = api.create(f"{tenant.url}/providers", {**PROVIDER, "name": "b"})
    number = version(api, tenant)
    for one, name in ((first, "c"), (second, "a"), (first, "b")):
        assert api.patch(f"{tenant.url}/providers/{one['id']}", {"name": name}).status_code == 200
    done(api, tenant.url, number)
    assert document(api, tenant.url, number)["providers"][first["id"]]["name"] == "a"
    assert api.get(f"{tenant.url}/providers/{first['id']}").get_json()["name"] == "a"


def test_platform_is_rolled_back_with_its_models_and_prices(api: Api) -> None:
    provider = api.create("/providers", {**PROVIDER, "shared": "all"})
    api.create("/models", MODEL)
    prices = {"openai/m": {"input": "1", "output": "2"}}
    api.put("/prices", {"prices": prices})
    api.delete("/models/fast")
    api.put("/prices", {"prices": {}})
    api.patch(f"/providers/{provider['id']}", {"shared": "none"})
    made = done(api, "/platform", 3, body={"message": "Wrong prices."})
    assert (made["version"], made["restored"], made["source"]) == (7, 3, "rollback")
    assert (made["unchanged"], made["message"], made["warnings"]) == (False, "Wrong prices.", [])
    assert api.get("/prices").get_json()["prices"] == prices
    assert api.get("/models/fast").get_json()["targets"][0]["provider"] == "main"
    assert api.get(f"/providers/{provider['id']}").get_json()["shared"] == "all"
    again = done(api, "/platform", 3)
    assert (again["unchanged"], again["version"]) == (True, 7)


def test_names_of_the_platform_that_are_in_use_prevent_its_rollback(api: Api, tenant: Tenant) -> None:
    api.put("/prices", {"prices": {}})
    api.create("/providers", {**PROVIDER, "shared": "all"})
    api.rule(tenant, target=None, ai={"providers": ["main"]})
    assert error_of(rollback(api, "/platform", 1)) == (409, "in_use")


def test_rule_of_an_old_version_that_this_release_rejects_names_the_field(
    api: Api, tenant: Tenant, world: World
) -> None:
    rule = api.rule(tenant)
    number = version(api, tenant)
    api.delete(f"{tenant.url}/rules/{rule['id']}")
    versions: Any = world.store.history._versions[tenant.id]
    note, content = versions[number]
    versions[number] = note, replace(content, rules=(replace(content.rules[0], match="former"),))
    assert pointers(rollback(api, tenant.url, number)) == [f"/rules/{rule['id']}/match"]


BUDGET = {"name": "cap", "limit": {"usd": "250"}, "period": "month"}


def budgets_of(api: Api, tenant: Tenant) -> dict[str, Any]:
    found = api.get(f"{tenant.url}/budgets").get_json()["budgets"]
    return {one["name"]: one["limit"]["usd"] for one in found}


def test_budgets_come_back_with_their_increases(api: Api, tenant: Tenant) -> None:
    rule = api.rule(tenant)["id"]
    made = api.create(f"{tenant.url}/budgets", BUDGET | {"scope": {"rule": rule}})
    api.post(f"{tenant.url}/budgets/{made['id']}/increase", {"usd": "50"})
    number = version(api, tenant)
    api.delete(f"{tenant.url}/budgets/{made['id']}")
    api.delete(f"{tenant.url}/rules/{rule}")
    warned = [one["pointer"] for one in done(api, tenant.url, number)["warnings"]]
    assert warned == [f"/budgets/{made['id']}/scope/rule"]  # the rule has no `ai`
    back = api.get(f"{tenant.url}/budgets/{made['id']}").get_json()
    assert (back["scope"], back["increases"][0]["usd"]) == ({"rule": rule}, "50")
    done(api, tenant.url, number - 1)
    assert api.get(f"{tenant.url}/budgets/{made['id']}").get_json()["increases"] == []


def test_key_of_a_tenant_brings_back_its_own_budgets_only(api: Api, tenant: Tenant) -> None:
    own = Api(api.client.application, tenant.key)
    cap = f"{tenant.url}/budgets/{api.create(f'{tenant.url}/budgets', BUDGET)['id']}"
    gone = f"{tenant.url}/budgets/{api.create(f'{tenant.url}/budgets', BUDGET | {'name': 'gone'})['id']}"
    mine = f"{tenant.url}/budgets/{own.create(f'{tenant.url}/budgets', BUDGET | {'name': 'mine'})['id']}"
    number = version(api, tenant)
    api.patch(cap, {"limit": {"usd": "1"}})
    api.delete(gone)
    api.create(f"{tenant.url}/budgets", BUDGET | {"name": "later"})
    own.patch(mine, {"limit": {"usd": "2"}})
    made = done(api, tenant.url, number, key=tenant.key)
    assert budgets_of(api, tenant) == {"cap": "1", "later": "250", "mine": "250"}
    assert {one["detail"] for one in made["warnings"]} == {
        "Only the platform may change this budget, so it stays as it is."
    }
    assert len(made["warnings"]) == 3
    done(api, tenant.url, number)
    assert budgets_of(api, tenant) == {"cap": "250", "gone": "250", "mine": "250"}


def test_budget_of_a_key_that_is_gone_comes_back_with_a_warning(
    api: Api, tenant: Tenant, world: World
) -> None:
    key = api.create(f"{tenant.url}/api-keys", {})["id"]
    made = api.create(f"{tenant.url}/budgets", BUDGET | {"scope": {"key": key}})
    number = version(api, tenant)
    api.delete(f"{tenant.url}/budgets/{made['id']}")
    api.delete(f"{tenant.url}/api-keys/{key}")
    [warning] = done(api, tenant.url, number)["warnings"]
    assert warning["pointer"] == f"/budgets/{made['id']}/scope/key"


def test_provider_of_a_budget_that_is_gone_is_rejected(api: Api, tenant: Tenant) -> None:
    provider = api.create("/providers", PROVIDER | {"shared": "all"})["id"]
    made = api.create(f"{tenant.url}/budgets", BUDGET | {"scope": {"provider": "main"}})
    number = version(api, tenant)
    api.delete(f"{tenant.url}/budgets/{made['id']}")
    api.patch(f"/providers/{provider}", {"shared": "none"})
    assert pointers(rollback(api, tenant.url, number)) == [f"/budgets/{made['id']}/scope/provider"]


def test_names_that_two_budgets_have_exchanged_come_back(api: Api, tenant: Tenant) -> None:
    one, other = (
        f"{tenant.url}/budgets/{api.create(f'{tenant.url}/budgets', BUDGET | {'name': name})['id']}"
        for name in ("a", "b")
    )
    number = version(api, tenant)
    for budget, name in ((one, "c"), (other, "a"), (one, "b")):
        assert api.patch(budget, {"name": name}).status_code == 200
    done(api, tenant.url, number)
    assert [api.get(budget).get_json()["name"] for budget in (one, other)] == ["a", "b"]
