"""The warnings about a stored configuration that does not work, or may not work as intended."""

from dataclasses import replace
from typing import Any, cast

from shared.config_store.history.edit import Edit
from shared.model.config import PluginConfig
from shared.testing.memory_store import MemoryStore
from tests.admin_app.world import Api, Tenant, World


def warnings_of(api: Api, tenant: Tenant, key: str = "") -> Any:
    response = api.get(f"{tenant.url}/warnings", key=key or None)
    assert response.status_code == 200, response.text
    return response.get_json()


def test_configuration_without_trouble_has_no_warnings(api: Api, tenant: Tenant) -> None:
    api.rule(tenant)
    assert warnings_of(api, tenant, tenant.key) == {"warnings": [], "fault": None}


def test_warning_of_a_saved_rule_is_told_until_it_is_corrected(api: Api, tenant: Tenant) -> None:
    made = api.create(f"{tenant.url}/rules", {"path": "/", "ai": {}})
    [saved] = made["warnings"]
    assert warnings_of(api, tenant, tenant.key)["warnings"] == [
        {"rule_id": made["id"], "rule_path": "/", "rejects": False, **saved}
    ]
    api.create(f"{tenant.url}/providers", {"name": "openai", "kind": "openai", "keys": [{"secret": "sk-1"}]})
    assert warnings_of(api, tenant, tenant.key)["warnings"] == []


def test_plugin_that_is_gone_is_told_as_a_reason_for_rejections(
    api: Api, tenant: Tenant, world: World
) -> None:
    rule = api.rule(tenant)
    before = world.store.read(tenant.id)
    assert before is not None
    gone = PluginConfig("gone", settings={})
    rules = tuple(replace(one, plugin_chain=(gone,)) for one in before.rules)
    world.store.write(before, replace(before, rules=rules), edit=Edit(actor="test"))
    [found] = warnings_of(api, tenant, tenant.key)["warnings"]
    assert (found["rule_id"], found["rejects"], found["pointer"]) == (
        rule["id"],
        True,
        "/plugin_chain/0/name",
    )
    assert "gone" in found["detail"]


def test_state_that_the_proxy_cannot_use_is_told_with_the_reason(
    api: Api, tenant: Tenant, world: World
) -> None:
    cast(MemoryStore, world.store).noted_faults[tenant.id] = "The rule has no target."
    assert warnings_of(api, tenant, tenant.key)["fault"] == "The rule has no target."


def test_warnings_of_another_tenant_are_not_found(api: Api, tenant: Tenant) -> None:
    other = api.tenant("globex")
    assert api.get(f"{other.url}/warnings", key=tenant.key).status_code == 404


def test_tiers_are_listed_for_the_platform_only(api: Api, tenant: Tenant) -> None:
    found = api.get("/tiers").get_json()["tiers"]
    assert [tier["name"] for tier in found] == ["basic", "pro", "enterprise"]
    assert (found[0]["max_rules"], found[2]["max_rules"]) == (100, None)
    assert api.get("/tiers", key=tenant.key).status_code == 403


def test_budget_that_counts_nothing_is_told_with_its_place(api: Api, tenant: Tenant) -> None:
    sent = {"name": "b", "limit": {"tokens": 1}, "period": "day", "scope": {"user": "nobody"}}
    budget = api.create(f"{tenant.url}/budgets", sent)
    [found] = warnings_of(api, tenant, tenant.key)["warnings"]
    assert (found["rule_id"], found["pointer"]) == (None, f"/budgets/{budget['id']}/scope/user")
