"""A file that gives stored things other names: they keep what belongs to their ids."""

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.admin_app.file.test_plans import RULE, acme, applied, ops, planned
from tests.admin_app.file.test_random_files import a_world, dump
from tests.admin_app.world import Api, Tenant, error_of, pointers
from tests.documents.file.files import FILES

SECRET = "sk-0123456789abcdef012345"
PROVIDER = {"kind": "openai", "keys": [{"name": "a", "secret": SECRET}], "models": [{"id": "m"}]}
BUDGET = {"limit": {"usd": "250"}, "period": "month"}
WEBHOOK = {"url": "https://checks.example/hook", "events": ["budget.reached"], "secret": "s" * 16}
KEPT = {"keys": [{"name": "a", "secret": {"set": True}}]}
THINGS = {
    "rules": RULE,
    "providers": PROVIDER,
    "budgets": BUDGET,
    "webhooks": WEBHOOK,
    "api_keys": {"scopes": ["proxy"]},
}
PATHS = {"api_keys": "api-keys"}


def ids(api: Api, tenant_url: str, kind: str) -> dict[str, str]:
    listed = api.get(f"{tenant_url}/{PATHS.get(kind, kind)}").get_json()[kind]
    return {one["name"]: one["id"] for one in listed}


@pytest.mark.parametrize("kind", THINGS)
def test_thing_with_another_name_keeps_its_id(api: Api, tenant: Tenant, kind: str) -> None:
    applied(api, acme(**{kind: {"old": THINGS[kind]}}))
    before = ids(api, tenant.url, kind)
    document = acme(**{kind: {"new": THINGS[kind]}}, moved={kind: {"old": "new"}})
    plan = planned(api, document, prune=True)
    assert (ops(plan)[f"/tenants/acme/{kind}/new"], plan["warnings"]) == ("update", [])
    [change] = [one for one in plan["changes"] if one["path"].endswith("/new")]
    assert change["differences"] == [{"op": "change", "path": "/name", "before": "old", "after": "new"}]
    applied(api, document, prune=True)
    assert ids(api, tenant.url, kind)["new"] == before["old"]
    assert planned(api, document, prune=True)["changes"] == []


@pytest.mark.parametrize("prune", [False, True])
def test_names_that_refer_to_a_moved_thing_are_the_new_ones(api: Api, tenant: Tenant, prune: bool) -> None:
    ai = {"path": "/v1", "ai": {"providers": ["main"]}}
    scope = {"rule": "chat", "key": "ci", "provider": "main"}
    things: Any = {
        "rules": {"chat": ai},
        "providers": {"main": PROVIDER},
        "api_keys": {"ci": {}},
        "budgets": {"monthly": {**BUDGET, "scope": scope}},
    }
    applied(api, acme(**things))
    [stored] = api.get(f"{tenant.url}/budgets").get_json()["budgets"]
    document = acme(
        rules={"talk": {**ai, "ai": {"providers": ["first"]}}},
        providers={"first": {**PROVIDER, **KEPT}},
        api_keys={"build": {}},
        budgets={"monthly": {**BUDGET, "scope": {"rule": "talk", "key": "build", "provider": "first"}}},
        moved={"rules": {"chat": "talk"}, "providers": {"main": "first"}, "api_keys": {"ci": "build"}},
    )
    plan = planned(api, document, prune=prune)
    assert plan["summary"]["create"] == plan["summary"]["delete"] == 0
    applied(api, document, prune=prune)
    [after] = api.get(f"{tenant.url}/budgets").get_json()["budgets"]
    assert after["scope"] == {**stored["scope"], "provider": "first"}
    assert planned(api, document, prune=prune)["changes"] == []


def test_platforms_provider_keeps_its_keys_and_its_id(api: Api) -> None:
    applied(api, {"_format_version": "1", "platform": {"providers": {"old": PROVIDER}}})
    [before] = api.get("/providers").get_json()["providers"]
    platform = {"providers": {"new": {**PROVIDER, **KEPT}}}
    unmoved = planned(api, {"_format_version": "1", "platform": {"providers": {"new": PROVIDER}}}, prune=True)
    [warning] = unmoved["warnings"]
    assert warning["detail"].endswith("moved: {providers: {old: new}} keeps them.")
    moved = {"_format_version": "1", "platform": {**platform, "moved": {"providers": {"old": "new"}}}}
    applied(api, moved, prune=True)
    [after] = api.get("/providers").get_json()["providers"]
    assert (after["id"], after["name"], after["keys"]) == (before["id"], "new", before["keys"])


def test_key_that_was_rotated_gets_the_name_with_the_new_one(api: Api, tenant: Tenant) -> None:
    [made] = applied(api, acme(api_keys={"ci": {}}))["api_keys"]
    api.post(f"{tenant.url}/api-keys/{made['id']}/rotate", {"overlap": "1h"})
    document = acme(api_keys={"build": {}}, moved={"api_keys": {"ci": "build"}})
    applied(api, document)
    names = [one["name"] for one in api.get(f"{tenant.url}/api-keys").get_json()["api_keys"]]
    assert sorted(names) == ["build", "build", "first key"]
    assert planned(api, document)["changes"] == []


def test_both_names_are_stored_and_the_plan_is_rejected(api: Api, tenant: Tenant) -> None:
    applied(api, acme(rules={"chat": RULE, "talk": {**RULE, "path": "/talk"}}))
    document = acme(rules={"talk": {**RULE, "path": "/talk"}}, moved={"rules": {"chat": "talk"}})
    rejected = api.post("/plan", {"document": document})
    assert pointers(rejected) == ["/document/tenants/acme/moved/rules/chat"]
    assert "are both stored" in rejected.text


def test_name_that_nothing_has_is_told(api: Api, tenant: Tenant) -> None:
    plan = planned(api, acme(rules={"talk": RULE}, moved={"rules": {"chatt": "talk"}}))
    assert ops(plan) == {"/tenants/acme/rules/talk": "create"}
    assert plan["warnings"] == [
        {
            "pointer": "/document/tenants/acme/moved/rules/chatt",
            "detail": "There is no chatt, so talk is a new one. Correct the old name.",
        }
    ]


def test_problem_of_a_moved_thing_has_its_place_in_the_file(api: Api, tenant: Tenant) -> None:
    applied(api, acme(rules={"chat": RULE}))
    wrong = {**RULE, "ai": {"providers": ["nobody"]}}
    rejected = api.post("/plan", {"document": acme(rules={"talk": wrong}, moved={"rules": {"chat": "talk"}})})
    assert {one.split("/")[5] for one in pointers(rejected)} == {"talk"}


@pytest.mark.parametrize("prune", [False, True])
def test_tenant_cannot_rename_a_budget_of_the_platform(api: Api, tenant: Tenant, prune: bool) -> None:
    applied(api, acme(budgets={"monthly": BUDGET}))
    own = Api(api.client.application, tenant.key)
    document = acme(budgets={"mine": BUDGET}, moved={"budgets": {"monthly": "mine"}})
    assert error_of(own.post("/plan", {"document": document, "prune": prune})) == (403, "forbidden")


@pytest.mark.slow
@given(document=FILES, data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_things_get_other_names_and_nothing_else_changes(
    tmp_path_factory: pytest.TempPathFactory, document: Any, data: st.DataObject
) -> None:
    _, api = a_world(tmp_path_factory.getbasetemp())
    applied(api, document)
    before = dump(api)
    renamed = copy.deepcopy(before)
    for tenant in renamed["tenants"].values():
        for kind in ("rules", "webhooks", "api_keys"):
            section = tenant.get(kind, {})
            chosen = data.draw(st.lists(st.sampled_from(sorted(section)), unique=True)) if section else []
            for name in chosen:
                section[f"{name}-2"] = section.pop(name)
                tenant.setdefault("moved", {}).setdefault(kind, {})[name] = f"{name}-2"
    for tenant in renamed["tenants"].values():
        rules = tenant.get("moved", {}).get("rules", {})
        keys = tenant.get("moved", {}).get("api_keys", {})
        for budget in tenant.get("budgets", {}).values():
            scope = budget.get("scope", {})
            for member, names in (("rule", rules), ("key", keys)):
                if member in scope:
                    scope[member] = names.get(scope[member], scope[member])
    plan = planned(api, renamed, prune=True)
    assert {op for op in ops(plan).values()} <= {"update"}
    assert all([one["path"] for one in change["differences"]] == ["/name"] for change in plan["changes"])
    applied(api, renamed, prune=True)
    for tenant in renamed["tenants"].values():
        tenant.pop("moved", None)
    assert dump(api) == renamed
