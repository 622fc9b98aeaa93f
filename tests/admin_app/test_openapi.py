"""The description of the API, and the API held against it."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from marshmallow import Schema, validate
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from admin_app.views.explain import ExplainInput
from shared.core.fields import Duration
from shared.documents import examples, platform_token
from shared.documents.ai import examples as ai
from shared.documents.ai.model import ModelInput
from shared.documents.ai.provider import PlatformProviderInput, ProviderInput
from shared.documents.ai.provider_key import ProviderKeyInput, RotateKeyInput
from shared.documents.alerts import webhook
from shared.documents.api_key import ApiKeyInput, RotateInput
from shared.documents.plugin_config import PluginConfigInput
from shared.documents.rule import RuleInput
from shared.documents.tenant import TenantInput, TenantReplacement
from tests.admin_app.world import TOKEN, Api
from tests.support.cases import slow

#: Operations that are described: the rows of their page.
_PAGE = Path(__file__).parents[2] / "docs" / "reference" / "admin-api.md"
OPERATIONS = 133
# Cases of an operation, each called with and without a key. EXAMPLES=76 makes about 20,000 calls.
EXAMPLES = int(os.environ.get("EXAMPLES", "15"))

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


BUDGET = settings(
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def described(app: Flask) -> BaseSchema:
    return schemathesis.openapi.from_wsgi("/openapi.json", app)


@pytest.fixture
def document(api: Api) -> Any:
    return api.get("/openapi.json", key=None).get_json()


@pytest.fixture
def there(api: Api) -> dict[str, str]:
    """Path parameters that lead to things that are there."""
    tenant = api.tenant(tier="enterprise")
    rule = api.post(f"{tenant.url}/rules", examples.RULE).get_json()["id"]
    key = api.first_key(tenant)
    provider = api.create(f"{tenant.url}/providers", ai.PROVIDER)
    api.create(f"{tenant.url}/models", ai.MODEL)
    return {
        "tenant_id": tenant.id,
        "rule_id": rule,
        "key_id": key,
        "name": "rate_limiter",
        "provider_id": provider["id"],
        "provider_key_id": provider["keys"][0]["id"],
        "model_name": ai.MODEL["name"],
        "budget_id": api.create(f"{tenant.url}/budgets", ai.BUDGET)["id"],
        "target": f"{provider['id']}/m",
        "request_id": "req-1",
        "version": "1",
        "token_id": api.create("/platform/tokens", platform_token.TOKEN)["id"],
        "plan_id": "plan_1",
        "webhook_id": api.create(f"{tenant.url}/webhooks", webhook.WEBHOOK)["id"],
    }


def try_all(described: BaseSchema, budget: settings, check: Callable[[Case], None]) -> int:
    """`check` generated calls of every operation. Returns how many operations there are."""
    operations = [result.ok() for result in described.get_all_operations()]
    for operation in operations:

        def once(case: Case) -> None:
            check(case)

        # Half of the calls keep to the description, half break it somewhere.
        both = operation.as_strategy() | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
        given(both)(budget(once))()
    return len(operations)


@pytest.mark.parametrize("examples", [2, *slow(EXAMPLES)])
def test_calls_of_the_platform_never_fail_and_respond_401_without_a_key(
    described: BaseSchema, there: dict[str, str], examples: int
) -> None:
    def check(case: Case) -> None:
        case.headers = {k: v for k, v in (case.headers or {}).items() if k.lower() != "authorization"}
        response = case.call_and_validate(checks=CHECKS)
        if case.path.startswith("/api/v1"):
            assert response.status_code in (401, 404), response.text
        if case.method != "DELETE":
            case.path_parameters = {name: there[name] for name in case.path_parameters or {}}
        case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, checks=CHECKS)

    assert try_all(described, settings(BUDGET, max_examples=examples), check) == OPERATIONS


def test_openapi_document_is_version_3_1_and_complete(document: Any, app: Flask) -> None:
    assert document["openapi"].startswith("3.1.")
    described = {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    }
    served = {
        (method, rule.rule.replace("<path:", "<").replace("<", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
        if not rule.rule.startswith(("/docs", "/openapi", "/schemas", "/ui")) and rule.rule != "/"
    }
    assert described == served


def test_every_operation_and_every_field_is_explained(document: Any) -> None:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                assert operation["summary"], (method, path)
    for name, component in document["components"]["schemas"].items():
        if name.endswith(("Input", "Patch")):
            for field, kind in component["properties"].items():
                assert "description" in kind or "type" in kind or "$ref" in kind, (name, field)


def test_example_of_a_body_is_in_its_media_type_object(document: Any) -> None:
    body = document["paths"]["/api/v1/tenants"]["post"]["requestBody"]["content"]["application/json"]
    assert body["example"] == examples.TENANT


def operations_of(document: Any) -> Iterator[tuple[str, Any]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield f"{method} {path}", operation


def test_every_operation_has_a_name_of_its_own(document: Any) -> None:
    names = [operation["operationId"] for _, operation in operations_of(document)]
    assert len(set(names)) == len(names) == OPERATIONS
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name) for name in names), names
    assert {"createTenant", "listRules", "updateRule", "rotateApiKey", "explainRequest"} <= set(names)


def test_document_names_its_server(document: Any) -> None:
    assert document["servers"] == [{"url": "/"}]


def test_every_body_has_an_example_that_its_schema_accepts(document: Any) -> None:
    """Those of requests, of responses and of errors."""
    checked = 0
    # The schemas are read once: most bodies name one of them.
    registry = jsonschema_rs.Registry([("urn:api", {"components": document["components"]})])
    for name, operation in operations_of(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            body = resolved(document, body)
            for content in body.get("content", {}).values():
                schema = absolute(content["schema"])
                try:
                    jsonschema_rs.validate(schema, content["example"], registry=registry)
                except jsonschema_rs.ValidationError as error:
                    pytest.fail(f"{name}: {error.message}")
                checked += 1
    assert checked > 100


def absolute(schema: Any) -> Any:
    """The schema with references that a registry resolves."""
    if isinstance(schema, dict):
        return {
            name: f"urn:api{value}" if name == "$ref" else absolute(value) for name, value in schema.items()
        }
    return [absolute(value) for value in schema] if isinstance(schema, list) else schema


def resolved(document: Any, value: Any) -> Any:
    if "$ref" not in value:
        return value
    for step in value["$ref"].removeprefix("#/").split("/"):
        document = document[step]
    return document


def shape(value: Any) -> Any:
    """The members of a document, and the kinds of their values."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value)


def test_examples_of_responses_are_what_the_api_responds(api: Api) -> None:
    made = api.create("/tenants", examples.TENANT)
    url = f"/tenants/{made['id']}"
    key = api.create(f"{url}/api-keys", examples.API_KEY)
    rule = api.create(f"{url}/rules", examples.RULE)
    assert shape(made) == shape(examples.TENANT_CREATED)
    assert shape(key) == shape(examples.API_KEY_CREATED)
    assert shape(rule) == shape(examples.changed(examples.RULE_READ))
    for shown, expected in ((made, examples.TENANT_READ), (rule, examples.RULE_READ)):
        varying = {"id", "created_at", "updated_at", "warnings", "key", "api_key"}
        assert {name: value for name, value in shown.items() if name not in varying} == {
            name: value for name, value in expected.items() if name not in varying
        }
    explained = api.post(f"{url}/explain", {**examples.EXPLAIN, "key_id": key["id"]}).get_json()
    names = {header["name"] for header in examples.EXPLANATION["upstream"]["headers"]}
    headers = explained["upstream"]["headers"]
    explained["upstream"]["headers"] = [header for header in headers if header["name"] in names]
    assert shape(explained) == shape(examples.EXPLANATION)
    listed = api.get(f"{url}/rate-limits").get_json()["limits"]
    assert set(listed[-1]) == set(examples.RATE_LIMITS["limits"][0])
    assert set(api.get("/plugins/rate_limiter").get_json()) == set(examples.PLUGIN)


def schemas_of(kind: Any, where: str) -> Iterator[tuple[str, Any]]:
    """A schema with all schemas in it, each with its place."""
    if isinstance(kind, dict):
        yield where, kind
        for name, inner in kind.items():
            yield from schemas_of(inner, f"{where}/{name}")
    elif isinstance(kind, list):
        for inner in kind:
            yield from schemas_of(inner, where)


def test_schemas_say_what_generators_need(document: Any) -> None:
    for where, kind in schemas_of(document["components"]["schemas"], ""):
        types = kind.get("type")
        types = {types} if isinstance(types, str) else set(types) if isinstance(types, list) else set()
        if "object" in types and "$ref" not in kind:
            assert not {"maxLength", "minLength"} & set(kind), where
            # Without them a map has no members for a generator.
            assert {"properties", "additionalProperties"} & set(kind), where
        if "array" in types:
            assert "items" in kind, where


@pytest.mark.parametrize(
    "kind",
    [
        *(
            TenantInput,
            TenantReplacement,
            RuleInput,
            ApiKeyInput,
            RotateInput,
            PluginConfigInput,
            ExplainInput,
        ),
        *(ProviderInput, PlatformProviderInput, ProviderKeyInput, RotateKeyInput, ModelInput),
    ],
)
def test_schema_has_the_bounds_that_the_server_has(document: Any, kind: type[Schema]) -> None:
    described = document["components"]["schemas"][kind.__name__]["properties"]
    for name, field in kind().fields.items():
        found = {key: value for _, part in schemas_of(described[name], name) for key, value in part.items()}
        for one in field.validators:
            if isinstance(one, validate.Length) and one.max is not None:
                assert one.max in (found.get("maxLength"), found.get("maxItems"), found.get("maxProperties"))
            if isinstance(one, validate.Range):
                assert (one.min, one.max) == (found["minimum"], found["maximum"])
            if isinstance(one, validate.OneOf):
                assert set(one.choices) <= set(found["enum"])
        if isinstance(field, Duration):
            assert (found["minimum"], found["maximum"]) == (field.minimum, field.maximum)


def test_maps_have_the_bounds_that_the_server_has(document: Any) -> None:
    schemas = document["components"]["schemas"]
    headers = schemas["RuleInput"]["properties"]["headers"]
    assert headers["maxProperties"] == 64
    assert headers["propertyNames"]["pattern"].startswith("^[")
    assert headers["additionalProperties"]["anyOf"][0] == {"type": "string", "maxLength": 8192}
    as_map, as_list, null = schemas["TenantInput"]["properties"]["required_plugins"]["anyOf"]
    assert (as_map["maxProperties"], as_list["maxItems"], null) == (32, 32, {"type": "null"})
    assert schemas["RequiredPluginInput"].get("required", []) == []


def test_openapi_schema_names_are_unique(document: Any) -> None:
    assert not [name for name in document["components"]["schemas"] if name[-1].isdigit()]


def test_every_schema_is_used(document: Any) -> None:
    text = json.dumps(document)
    unused = {n for n in document["components"]["schemas"] if f'"#/components/schemas/{n}"' not in text}
    assert not unused


def test_operations_without_a_key_declare_empty_security(document: Any) -> None:
    assert document["security"] == [{"key": []}]
    open_paths = [p for p, item in document["paths"].items() if item.get("get", {}).get("security") == []]
    assert sorted(open_paths) == ["/__/health", "/__/ready", "/health", "/livez", "/readyz", "/version"]


def test_the_version_is_that_of_the_project(document: Any) -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'version = "{document["info"]["version"]}"' in project
