"""The models of providers: declared and listed ones, their prices and where these are from, and what uses them."""

from typing import Any

from shared.documents.ai.known_models import MAX_SHOWN
from shared.model.providers import Discovered
from shared.providers.shipped.model_table import shipped_models
from tests.admin_app.world import NOW, Api, Tenant, World

OPENAI = {"name": "openai", "kind": "openai", "keys": [{"secret": "sk-canary-0123456789abcdef"}]}


def models(api: Api, path: str = "", query: str = "", key: str = "") -> dict[str, Any]:
    """The entries by the names of their providers."""
    found = api.get(f"{path}/provider-models{query}", key=key)
    assert found.status_code == 200, found.text
    document = found.get_json()
    assert (document["prices_source"], document["prices_date"]) == (
        shipped_models().source,
        shipped_models().date,
    )
    return {one["provider"]: one for one in document["providers"]}


def test_price_of_each_unit_says_whether_the_provider_the_platform_or_the_release_has_set_it(
    api: Api,
) -> None:
    declared = [{"id": "gpt-4o-mini", "prices": {"output": "0.5"}}, {"id": "no-such-model"}]
    api.create("/providers", {**OPENAI, "models": declared})
    api.patch("/prices", {"prices": {"openai/gpt-4o-mini": {"input": "0.1", "output": "9"}}})
    known, unknown = models(api)["openai"]["models"]
    assert (known["prices"]["input"], known["prices"]["output"]) == ("0.1", "0.5")
    assert known["prices_from"] == {
        "input": "platform",
        "input_cached": "shipped",
        "output": "provider",
    } | {unit: "shipped" for unit in known["prices"] if unit not in ("input", "output")}
    assert known["caps"]["context"] > 100_000
    assert (unknown["prices"], unknown["prices_from"]) == ({}, {})


def test_listed_models_follow_the_declared_ones_and_can_be_searched(world: World, api: Api) -> None:
    made = api.create(
        "/providers", {**OPENAI, "discover": "10m", "models": [{"id": "z", "aliases": ["Fast"]}]}
    )
    names = ("a", "z", *(f"many-{number:03}" for number in range(MAX_SHOWN)))
    world.store.write_discovered("platform", made["id"], Discovered(names, NOW))
    entry = models(api)["openai"]
    assert (entry["count"], len(entry["models"])) == (MAX_SHOWN + 2, MAX_SHOWN)
    assert entry["checked_at"] == "2027-01-15T08:00:00.000Z"
    shown = [(one["model"], one["declared"], one["listed"]) for one in entry["models"][:2]]
    assert shown == [("z", True, True), ("a", False, True)]
    assert [one["model"] for one in models(api, query="?text=MANY-19")["openai"]["models"]][:2] == [
        "many-190",
        "many-191",
    ]
    assert [one["model"] for one in models(api, query="?text=fast")["openai"]["models"]] == ["z"]
    assert api.get("/provider-models?text=" + 257 * "x").status_code == 422


def test_provider_shows_the_models_rules_and_tenants_that_use_it(api: Api, tenant: Tenant) -> None:
    api.create("/providers", {**OPENAI, "shared": "all"})
    target = {"provider": "openai", "model": "gpt-4o"}
    api.create("/models", {"name": "best", "targets": [target], "shared": "all"})
    api.create(f"{tenant.url}/providers", {**OPENAI, "name": "own"})
    api.create(f"{tenant.url}/models", {"name": "mine", "targets": [target]})
    rule = api.create(f"{tenant.url}/rules", {"path": "/ai", "ai": {"providers": ["openai"]}})
    every = api.create(f"{tenant.url}/rules", {"path": "/all", "ai": {}})
    seen = models(api)["openai"]
    assert (seen["used_by_models"], seen["used_by_rules"], seen["used_by_tenants"]) == (
        ["best"],
        [],
        [tenant.id],
    )
    of_tenant = models(api, tenant.url, key=tenant.key)
    assert {name: one["shared"] for name, one in of_tenant.items()} == {"openai": True, "own": False}
    assert of_tenant["openai"]["used_by_models"] == ["mine"]
    both = [{"id": one["id"], "path": one["path"]} for one in (rule, every)]
    assert of_tenant["openai"]["used_by_rules"] == both
    assert of_tenant["own"]["used_by_rules"] == both[1:]
    assert of_tenant["openai"]["used_by_tenants"] == []
    assert api.get("/provider-models", key=tenant.key).status_code == 403
