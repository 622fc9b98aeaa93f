"""All that can be judged in a body is told in one response, in words of our own."""

import json
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import pytest
from marshmallow import Schema, ValidationError

from shared.core.errors import Problem
from shared.core.fields import problems_of
from shared.documents.ai.model import ModelInput
from shared.documents.ai.provider import ProviderInput
from shared.documents.api_key import ApiKeyInput
from shared.documents.rule import RuleInput
from shared.documents.tenant import TenantInput
from tests.admin_app.world import Api, Tenant, error_of, pointers

NO_LIMIT = [{"name": "rate_limiter", "settings": {"limit": -1, "window": "1m"}}]
PRIVATE = "http://10.0.0.1"
PLAIN_RULE = {"target": "https://api.openai.com"}
AI = {"target": None, "path": "/ai"}
#: Of each kind: a good body, and faults of all layers. Each fault is at fields of its own.
FAULTS: Mapping[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "tenants": (
        {"name": "New", "subdomain": "new"},
        [
            *({"name": 3}, {"subdomain": "www"}, {"subdomain": "acme"}, {"tier": "gold"}, {"status": "off"}),
            *({"enabled_plugins": ["nothing"]}, {"required_plugins": [3]}, {"cors": {"origins": ["x"]}}),
            *({"plugin_chain": NO_LIMIT}, {"plugin_chain": [{"name": "nothing"}]}, {"colour": 1}),
        ],
    ),
    "rules": (
        {"path": "/new", **PLAIN_RULE},
        [
            *({"path": "new"}, {"path": "/taken"}, {"target": PRIVATE}, {"target": "nowhere"}),
            *({"methods": ["BREW"]}, {"headers": {"X-A": {"set": True}}}, {"limits": {"request_body": "x"}}),
            *({"timeouts": {"connect": 0}}, {"plugin_chain": NO_LIMIT}, {"credential": 1}, {"colour": 1}),
        ],
    ),
    "rules for AI": (
        {"path": "/new", "ai": {}},
        [
            *({"path": "new"}, {"path": "/taken"}, {"ai": {"providers": ["nothing"]}}, {"public": True}),
            *({"ai": {"models": ["a"], "default_model": "b"}}, {"strip_path": True}, {"active": 1}),
        ],
    ),
    "providers": (
        {"name": "new", "kind": "openai"},
        [
            *({"name": "N W"}, {"name": "taken"}, {"kind": "none"}, {"base_url": PRIVATE}, {"base_url": "x"}),
            *({"keys": [{"secret": {"set": True}}]}, {"params": {"a": "b"}}, {"discover": "1m"}),
            *({"models": [{"id": "a"}, {"id": "a"}]}, {"enabled": 1}, {"ca": "x"}),
        ],
    ),
    "models": (
        {"name": "new", "targets": [{"provider": "taken", "model": "a"}]},
        [
            *({"name": " "}, {"name": "taken"}, {"targets": []}, {"retry": {"attempts": 99}}),
            *({"targets": [{"provider": "nothing", "model": "a"}]}, {"colour": 1}),
        ],
    ),
    "api-keys": (
        {},
        [
            *({"name": 3}, {"scopes": []}, {"expires_at": "2001-01-01T00:00:00Z"}, {"expires_at": "soon"}),
            *({"models": ["a\n"]}, {"user": "x" * 200}, {"metadata": {"a": 3}}),
        ],
    ),
}
SCHEMAS = (TenantInput, RuleInput, ProviderInput, ModelInput, ApiKeyInput)
LIBRARY_WORDS = ("Missing data", "Not a valid", "Invalid", "may not be", "Shorter", "Longer", "greater than")


@pytest.fixture
def tenant(api: Api) -> Tenant:
    """A tenant with one of each kind."""
    tenant = api.tenant()
    api.rule(tenant, "/taken")
    api.create(f"{tenant.url}/providers", {"name": "taken", "kind": "openai"})
    target = {"provider": "taken", "model": "a"}
    api.create(f"{tenant.url}/models", {"name": "taken", "targets": [target]})
    return tenant


def faults_of(api: Api, url: str, body: dict[str, Any]) -> set[str]:
    response = api.post(url, body)
    assert response.status_code in (409, 422), response.text
    return {problem["pointer"] for problem in response.get_json()["errors"]}


@pytest.mark.parametrize("kind", FAULTS)
def test_two_faults_of_any_layers_are_told_in_one_response(api: Api, tenant: Tenant, kind: str) -> None:
    good, faults = FAULTS[kind]
    url = "/tenants" if kind == "tenants" else f"{tenant.url}/{kind.partition(' ')[0]}"
    alone = [faults_of(api, url, {**good, **fault}) for fault in faults]
    assert all(alone)
    for (i, one), (j, other) in combinations(enumerate(faults), 2):
        if set(one).isdisjoint(other):
            found = faults_of(api, url, {**good, **one, **other})
            assert found >= alone[i] | alone[j], (one, other)


@pytest.mark.parametrize("member", [{"priority": 5000}, {"stage": "never"}, {"timeout": "soon"}])
def test_settings_of_an_entry_are_judged_beside_its_malformed_members(
    api: Api, tenant: Tenant, member: dict[str, Any]
) -> None:
    [name] = member
    entry = {**NO_LIMIT[0], **member}
    for url, body, place in (
        (f"{tenant.url}/rules", {"path": "/new", **PLAIN_RULE, "plugin_chain": [entry]}, "/plugin_chain/0"),
        (
            "/tenants",
            {"name": "New", "subdomain": "new", "required_plugins": {"rate_limiter": entry}},
            "/required_plugins/rate_limiter",
        ),
    ):
        assert faults_of(api, url, body) == {f"{place}/{name}", f"{place}/settings/limit"}


def test_conflict_keeps_its_status_while_nothing_else_is_wrong(api: Api, tenant: Tenant) -> None:
    taken = {"name": "Another", "subdomain": "acme"}
    assert error_of(api.post("/tenants", taken)) == (409, "subdomain_taken")
    assert error_of(api.post("/tenants", {**taken, "tier": "gold"})) == (422, "validation_failed")
    assert error_of(api.post(f"{tenant.url}/rules", {"path": "/taken", **PLAIN_RULE})) == (409, "rule_exists")
    named = {"name": "taken", "kind": "openai"}
    assert error_of(api.post(f"{tenant.url}/providers", named)) == (409, "name_taken")


def test_forbidden_field_keeps_its_status_while_nothing_else_is_wrong(api: Api, tenant: Tenant) -> None:
    sent = {"tier": "pro"}
    assert error_of(api.patch(tenant.url, sent, key=tenant.key)) == (403, "forbidden")
    both = api.patch(tenant.url, {**sent, "plugin_chain": NO_LIMIT}, key=tenant.key)
    assert both.status_code == 422
    assert {one["pointer"] for one in both.get_json()["errors"]} == {
        "/tier",
        "/plugin_chain/0/settings/limit",
    }
    assert api.get(tenant.url).get_json()["tier"] == "basic"


def wrong_bodies(schema: Schema) -> Iterator[dict[str, Any]]:
    """A body without anything, and one with a value of another type for each field."""
    yield {}
    for name in schema.load_fields:
        for value in (None, True, 3.5, -1, 10**30, "", "x" * 100_000, [], [3], ["", None], {}, {"": 3}):
            yield {name: value}


@pytest.mark.parametrize("kind", SCHEMAS)
def test_errors_are_sentences_of_our_own(kind: type[Schema]) -> None:
    schema = kind()
    found: set[Problem] = set()
    for body in wrong_bodies(schema):
        try:
            schema.load(body)
        except ValidationError as error:
            found.update(problems_of(error.messages))
    assert len(found) > 5
    for problem in found:
        assert problem.detail[0].isupper(), problem
        assert problem.detail.endswith((".", "?")), problem
        assert not any(word in problem.detail for word in LIBRARY_WORDS), problem


@pytest.mark.parametrize("body", [[], ["a"], "text", 5, None])
@pytest.mark.parametrize("path", ["", "/rules", "/providers", "/models", "/budgets", "/api-keys"])
def test_body_that_is_no_object_has_one_problem(api: Api, tenant: Tenant, path: str, body: Any) -> None:
    url = tenant.url + path if path else "/tenants"
    sent = {"data": json.dumps(body), "headers": {"Content-Type": "application/json"}}
    for response in (api.post(url, **sent), *([api.patch(tenant.url, **sent)] if not path else [])):
        assert pointers(response) == [""], response.text
