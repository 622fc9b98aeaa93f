"""The description of the API, and the API held against it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from shared.documents import examples
from tests.admin_app.world import TOKEN, Api
from tests.support.cases import slow

#: Operations that are described.
OPERATIONS = 25

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


BUDGET = settings(
    max_examples=5,
    deadline=None,
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
    return {"tenant_id": tenant.id, "rule_id": rule, "key_id": key, "name": "rate_limiter"}


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


@pytest.mark.parametrize("examples", [5, *slow(15)])
def test_calls_of_the_platform_never_fail(
    described: BaseSchema, there: dict[str, str], examples: int
) -> None:
    def check(case: Case) -> None:
        if case.method != "DELETE":
            case.path_parameters = {name: there[name] for name in case.path_parameters or {}}
        case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, checks=CHECKS)

    assert try_all(described, settings(BUDGET, max_examples=examples), check) == OPERATIONS


def test_api_called_without_a_key_responds_401(described: BaseSchema) -> None:
    def check(case: Case) -> None:
        case.headers = {k: v for k, v in (case.headers or {}).items() if k.lower() != "authorization"}
        response = case.call_and_validate(checks=CHECKS)
        if case.path.startswith("/api/v1"):
            assert response.status_code in (401, 404), response.text

    assert try_all(described, BUDGET, check) == OPERATIONS


def test_openapi_document_is_version_3_1_and_complete(document: Any, app: Flask) -> None:
    assert document["openapi"].startswith("3.1.")
    described = {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    }
    served = {
        (method, rule.rule.replace("<", "{").replace(">", "}"))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
        if not rule.rule.startswith(("/docs", "/openapi"))
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


def test_openapi_schema_names_are_unique(document: Any) -> None:
    assert not [name for name in document["components"]["schemas"] if name[-1].isdigit()]


def test_operations_without_a_key_declare_empty_security(document: Any) -> None:
    assert document["security"] == [{"key": []}]
    open_paths = [p for p, item in document["paths"].items() if item.get("get", {}).get("security") == []]
    assert sorted(open_paths) == ["/health", "/livez", "/readyz", "/version"]


def test_the_version_is_that_of_the_project(document: Any) -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert f'version = "{document["info"]["version"]}"' in project
