"""A draft of a rule in /tenants/{id}/explain: tried before it is saved."""

from typing import Any

import pytest

from tests.admin_app.world import Api, Tenant, World, error_of, pointers

BLOCKING = {"name": "security_validator", "settings": {"allowed_methods": ["GET"]}}
ASKING = {
    "name": "external_validator",
    "settings": {
        "endpoint": "https://checks.example/ask",
        "headers": {"Authorization": "Bearer validator-secret"},
        "conditions": [{"field": "bad", "operator": "exists", "message": "It is bad."}],
    },
}
KEPT = {"Authorization": {"set": True}}


def saved_rule(api: Api, tenant: Tenant, **fields: Any) -> Any:
    """A new rule as it is read."""
    return api.get(f"{tenant.url}/rules/{api.rule(tenant, **fields)['id']}").get_json()


def explain(api: Api, tenant: Tenant, rule: Any, **more: Any) -> Any:
    sent = {"method": "POST", "path": "/v1/chat", "key_id": api.first_key(tenant), "rule": rule, **more}
    return api.post(f"{tenant.url}/explain", sent)


def explained(api: Api, tenant: Tenant, rule: Any, **more: Any) -> Any:
    response = explain(api, tenant, rule, **more)
    assert response.status_code == 200, response.text
    return response.get_json()


def test_draft_takes_the_place_of_its_rule_and_is_not_stored(api: Api, tenant: Tenant) -> None:
    rule = saved_rule(api, tenant)
    draft = {**rule, "plugin_chain": [BLOCKING]}
    found = explained(api, tenant, draft)
    assert (found["outcome"], found["rule_id"]) == ("rejected", rule["id"])
    assert found["response"]["source"] == "plugin:security_validator"
    assert [one["id"] for one in found["rules"]] == [rule["id"]]
    assert api.get(f"{tenant.url}/rules/{rule['id']}").get_json() == rule
    assert explained(api, tenant, None)["outcome"] == "forwarded"


def test_draft_without_id_is_a_further_rule(api: Api, tenant: Tenant) -> None:
    api.rule(tenant, "/v1")
    found = explained(api, tenant, {"path": "/v1/chat", "target": "https://api.openai.com/new", "id": None})
    assert found["rule_id"] == "draft"
    assert found["upstream"]["url"] == "https://api.openai.com/new/v1/chat"
    assert api.get(f"{tenant.url}/rules").get_json()["count"] == 1


def test_draft_keeps_the_stored_secrets_that_it_says(api: Api, tenant: Tenant, world: World) -> None:
    rule = saved_rule(api, tenant, headers={"X-Up": "s3cret-of-rule"}, plugin_chain=[ASKING])
    world.outside = b'{"bad": 1}'
    found = explained(api, tenant, {**rule, "strip_path": True}, call_outside=True, body="{}")
    assert found["response"]["message"] == "It is bad."
    assert world.called[0][1] == "https://checks.example/ask"
    assert "s3cret" not in str(found)


def test_draft_that_moves_kept_secrets_to_another_origin_is_rejected(api: Api, tenant: Tenant) -> None:
    rule = saved_rule(api, tenant, headers={"X-Up": "s3cret-of-rule"}, plugin_chain=[ASKING])
    settings = {**ASKING["settings"], "endpoint": "https://other.checks.example/", "headers": KEPT}  # type: ignore[dict-item]
    moved = {**rule, "target": "https://other.test", "plugin_chain": [{**ASKING, "settings": settings}]}
    assert pointers(explain(api, tenant, moved)) == [
        "/rule/headers/X-Up",
        "/rule/plugin_chain/0/settings/headers/Authorization",
    ]


@pytest.mark.parametrize(
    "draft",
    [
        {"path": "/v1", "target": "https://api.openai.com", "plugin_chain": [{"name": "rate_limiter"}]},
        {"path": "v1", "target": "http://127.0.0.1", "methods": ["?"], "plugin_chain": [{"priority": "x"}]},
        {"path": "/v1", "plugin_chain": [{"name": "nobody"}, 5], "streams": "?"},
        {"target": "https://api.openai.com", "ai": {"providers": ["none"]}},
        {"path": "/%2F", "targets": [], "headers": {"Host": "x", "X": {"set": True}}},
    ],
)
def test_errors_of_a_draft_are_those_of_the_saved_rule(api: Api, tenant: Tenant, draft: Any) -> None:
    saved = api.post(f"{tenant.url}/rules", draft).get_json()["errors"]
    problems = explain(api, tenant, draft).get_json()["errors"]
    assert saved
    assert problems == [{**one, "pointer": f"/rule{one['pointer']}"} for one in saved]


def test_draft_that_is_no_object_is_rejected(api: Api, tenant: Tenant) -> None:
    assert pointers(explain(api, tenant, "rule")) == ["/rule"]
    assert explain(api, tenant, {"id": "nobody", "path": "/"}).status_code == 404
    assert explain(api, tenant, {"id": 5, "path": "/"}).status_code == 404


def test_draft_of_a_path_that_another_rule_has_is_a_conflict(api: Api, tenant: Tenant) -> None:
    api.rule(tenant)
    response = explain(api, tenant, {"path": "/v1", "target": "https://api.openai.com"})
    assert error_of(response) == (409, "rule_exists")
    assert [one["pointer"] for one in response.get_json()["errors"]] == ["/rule/path"]


def test_warnings_of_a_draft_are_told(api: Api, tenant: Tenant) -> None:
    draft = {"path": "/v1", "target": "https://unknown.test"}
    assert explained(api, tenant, draft)["warnings"] == [
        {"pointer": "/rule/target", "detail": "The name cannot be resolved at the moment."}
    ]
    assert explained(api, tenant, None)["warnings"] == []


def test_draft_requires_the_scope_admin(api: Api, tenant: Tenant) -> None:
    keys = {scope: api.created_key(tenant, name=scope, scopes=[scope]) for scope in ("read", "admin")}
    for draft in ({}, {"path": "/v1", "target": "https://api.openai.com"}):
        sent = {"path": "/v1", "rule": draft}
        assert error_of(api.post(f"{tenant.url}/explain", sent, key=keys["read"])) == (403, "forbidden")
        assert api.post(f"{tenant.url}/explain", sent, key=keys["admin"]).status_code != 403


def test_tenant_may_not_write_fields_of_the_platform_in_a_draft(api: Api, tenant: Tenant) -> None:
    draft = {"path": "/v1", "target": "https://api.openai.com", "limits": {"request_body": "60MB"}}
    response = api.post(f"{tenant.url}/explain", {"path": "/v1", "rule": draft}, key=tenant.key)
    assert error_of(response) == (403, "forbidden")
    assert response.get_json()["errors"][0]["pointer"] == "/rule/limits/request_body"
