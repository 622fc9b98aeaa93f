"""The problems and warnings about limits when they are saved."""

from typing import Any

import pytest

from tests.admin_app.world import Api, Tenant, pointers

QUOTA = {"limit": 5, "window": "1m"}


def chain(limits: Any, **more: Any) -> list[Any]:
    return [{"name": "rate_limiter", "settings": {"limits": limits, **more}}]


def saved_rule(api: Api, tenant: Tenant, plugin_chain: list[Any]) -> Any:
    return api.rule(tenant, plugin_chain=plugin_chain)["warnings"]


@pytest.mark.parametrize(
    "limits",
    [{"per_header": {"X-Team": QUOTA}}, {"per_path": QUOTA}, {"per_model": {"gpt-4o*": QUOTA, "*": QUOTA}}],
)
def test_limits_that_only_divide_are_saved_with_a_warning(api: Api, tenant: Tenant, limits: Any) -> None:
    warnings = saved_rule(api, tenant, chain(limits))
    assert warnings
    assert all("At the rule level nothing bounds per_" in warning["detail"] for warning in warnings)
    assert {warning["pointer"] for warning in warnings} == {"/plugin_chain"}
    stored = api.get(f"{tenant.url}/rules").get_json()["rules"][0]
    assert stored["plugin_chain"][0]["settings"]["limits"] == limits
    assert stored["plugin_chain"][0]["on_error"] == "local"
    assert "warnings" not in stored
    beside = {"path": "/v2", "plugin_chain": chain({"per_path": QUOTA, "per_ip": QUOTA})}
    assert api.rule(tenant, **beside)["warnings"] == []
    costly = {"path": "/v3", "plugin_chain": chain({"global": QUOTA}, cost=6)}
    assert "admits nothing" in api.rule(tenant, **costly)["warnings"][0]["detail"]


def test_a_tenant_is_warned_of_its_own_limits_and_its_rules_of_theirs_only(api: Api) -> None:
    sent = {"name": "A", "subdomain": "a", "plugin_chain": chain({"per_path": QUOTA})}
    made = api.create("/tenants", sent)
    # The tier "basic" bounds the level by a limit of its own.
    assert made["warnings"] == []
    tenant = Tenant(made["id"], made["api_key"], f"/tenants/{made['id']}")
    response = api.patch(tenant.url, {"tier": "pro"})
    assert "At the gateway level nothing bounds per_path" in response.get_json()["warnings"][0]["detail"]
    assert saved_rule(api, tenant, chain({"per_ip": QUOTA})) == []


def test_limits_without_redis_hold_as_one_of_three_choices(api: Api, tenant: Tenant) -> None:
    entry = {"name": "rate_limiter", "settings": QUOTA, "on_error": "maybe"}
    sent = {"path": "/v1", "target": "https://api.openai.com", "plugin_chain": [entry]}
    assert pointers(api.post(f"{tenant.url}/rules", sent)) == ["/plugin_chain/0/on_error"]
    for on_error in ("local", "open", "closed"):
        entry["on_error"] = on_error
        assert api.patch(tenant.url, {"plugin_chain": [entry]}).status_code == 200


def test_a_limit_of_tokens_is_saved_with_a_warning_where_there_are_none(api: Api) -> None:
    tokens = {"limit": 1_000, "unit": "tokens", "window": "1m"}
    made = api.create("/tenants", {"name": "A", "subdomain": "a", "plugin_chain": chain({"global": tokens})})
    assert made["warnings"] == []
    tenant = api.tenant()
    plain = {"path": "/plain", "plugin_chain": chain({"global": tokens})}
    (warning,) = api.rule(tenant, **plain)["warnings"]
    assert warning["detail"].startswith("The rule limit 'global' of tokens counts nothing on this rule")
    in_force = api.get(f"{tenant.url}/rate-limits").get_json()["limits"]
    assert not [one for one in in_force if one["rule_path"] == "/plain"]
    ai = {
        "path": "/ai",
        "ai": {},
        "plugin_chain": chain({"global": [tokens, {**tokens, "limit": "2.50", "unit": "usd"}]}),
    }
    response = api.post(f"{tenant.url}/rules", ai)
    assert response.status_code == 201, response.text
    assert not [one for one in response.get_json()["warnings"] if "counts nothing" in one["detail"]]
