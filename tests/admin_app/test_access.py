"""Each route admits the callers that it declares, and the fields of the platform are the platform's."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import Mock

import pytest
from flask import Flask

from admin_app.auth.access import Access, required_access, requires
from admin_app.ui.pages import MISSING, PAGES
from shared.documents import examples
from shared.documents.ai import examples as ai
from shared.documents.alerts.webhook import WEBHOOK
from shared.testing.memory_store import MemoryStore
from tests.admin_app.world import TOKEN, Api, Tenant, World, error_of, new_app

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def operations(app: Flask) -> Iterator[tuple[str, str, str]]:
    """(endpoint, method, rule) of everything that the app answers."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD"}):
            yield rule.endpoint, method, rule.rule


def test_every_view_declares_what_it_needs(app: Flask) -> None:
    with app.app_context():
        undeclared = [op for op in operations(app) if required_access(op[0], op[1]) is None]
    assert not undeclared


def test_access_without_a_key_is_open_for_probes_and_pages_only(app: Flask) -> None:
    with app.app_context():
        public = {
            rule
            for endpoint, method, rule in operations(app)
            if required_access(endpoint, method) is Access.PUBLIC
        }
    pages = {"/docs", "/docs/<name>", "/openapi.json"}
    probes = {"/__/health", "/__/ready", "/livez", "/readyz", "/health"}
    schemas = {"/schemas/gateway-1.json", "/schemas/config-1.json"}
    dashboard = {page.path for page in (*PAGES, MISSING)} | {
        "/",
        "/ui/files/<version>/<path:name>",
        "/ui/session",
    }
    assert public == schemas | pages | probes | dashboard | {"/version"}


def test_a_view_that_declares_nothing_is_closed(world: World) -> None:
    app = new_app(world)
    app.add_url_rule("/forgotten", "forgotten", lambda: "open")
    api = Api(app, TOKEN)
    assert api.client.get("/forgotten", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 403
    assert api.client.get("/forgotten").status_code == 401


def test_a_declaration_is_seen_through_other_decorators(world: World) -> None:
    app = new_app(world)

    @requires(Access.PUBLIC)
    def view() -> str:
        return "open"

    app.add_url_rule("/open", "open", view)
    assert app.test_client().get("/open").text == "open"


@dataclass
class Scene:
    """All kinds of keys, and the ids of a tenant that has everything."""

    keys: dict[str, str | None]
    urls: dict[str, str]


def _of_ai(base: str, provider: Any, model: Any) -> dict[tuple[str, str], Any]:
    """The bodies about providers and models of one owner."""
    one, named = f"{base}/providers/<provider_id>", f"{base}/models/<path:model_name>"
    return {
        ("POST", f"{base}/providers"): provider,
        ("PUT", one): provider,
        ("PATCH", one): {"enabled": False},
        ("POST", f"{one}/keys"): ai.PROVIDER_KEY,
        ("POST", f"{one}/keys/<provider_key_id>/rotate"): ai.ROTATE_KEY,
        ("POST", f"{one}/test"): ai.PROVIDER_TEST,
        ("POST", f"{one}/health/<path:target>/open"): ai.OPEN_TARGET,
        ("POST", f"{one}/health/<path:target>/close"): {},
        ("POST", f"{base}/models"): model,
        ("PUT", named): model,
        ("PATCH", named): {"visible": False},
    }


_BUDGET = "/tenants/<tenant_id>/budgets/<budget_id>"
#: The paths that any tenant may read.
OPEN_TO_ALL = ("/plugins", "/providers/kinds", "/me", "/audit", "/document")
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/tenants"): {"name": "Evil", "subdomain": "evil"},
    ("PUT", "/tenants/<tenant_id>"): {"name": "Evil", "subdomain": "evil"},
    ("PATCH", "/tenants/<tenant_id>"): {"name": "Evil"},
    ("POST", "/tenants/<tenant_id>/api-keys"): {"scopes": ["admin"]},
    ("POST", "/tenants/<tenant_id>/api-keys/<key_id>/rotate"): {},
    ("POST", "/tenants/<tenant_id>/explain"): examples.EXPLAIN,
    ("POST", "/tenants/<tenant_id>/rate-limits/what-if"): ai.WHAT_IF_INPUT,
    ("POST", "/tenants/<tenant_id>/versions/<version>/pin"): {},
    ("POST", "/tenants/<tenant_id>/versions/<version>/rollback"): {},
    ("POST", "/plan"): {"document": {"_format_version": "1", "platform": {}}},
    ("POST", "/plan/<plan_id>/apply"): {},
    ("POST", "/platform/versions/<version>/pin"): {},
    ("POST", "/platform/tokens"): {"name": "evil", "scopes": ["admin"]},
    ("POST", "/platform/tokens/<token_id>/rotate"): {},
    ("POST", "/platform/versions/<version>/rollback"): {},
    ("POST", "/tenants/<tenant_id>/rules"): examples.RULE | {"path": "/evil"},
    ("PUT", "/tenants/<tenant_id>/rules/<rule_id>"): examples.RULE | {"path": "/evil"},
    ("PATCH", "/tenants/<tenant_id>/rules/<rule_id>"): {"active": False},
    ("POST", "/tenants/<tenant_id>/budgets"): ai.BUDGET | {"name": "evil"},
    ("PUT", _BUDGET): ai.BUDGET,
    ("PATCH", _BUDGET): {"on_spent": "alert"},
    ("POST", f"{_BUDGET}/increase"): {"usd": "1"},
    ("POST", f"{_BUDGET}/reset"): {},
    **{(method, "/prices"): ai.PRICES for method in ("PUT", "PATCH")},
    **{
        (method, f"{owner}/webhooks{path}"): body
        for owner in ("", "/tenants/<tenant_id>")
        for method, path, body in (
            ("POST", "", WEBHOOK),
            ("PATCH", "/<webhook_id>", {"active": False}),
            ("POST", "/<webhook_id>/test", {}),
        )
    },
    **_of_ai("", ai.PLATFORM_PROVIDER, ai.PLATFORM_MODEL),
    **_of_ai("/tenants/<tenant_id>", ai.PROVIDER, ai.MODEL),
}
PLANNED = {"_format_version": "1", "tenants": {"planned": {"name": "Planned"}}}


@pytest.fixture
def scene(api: Api, tenant: Tenant, world: World) -> Scene:
    other = api.tenant("other")
    rule = api.create(f"{tenant.url}/rules", examples.RULE)["id"]
    key = api.first_key(tenant)
    revoked = api.create(f"{tenant.url}/api-keys", {"scopes": ["admin"]})
    api.delete(f"{tenant.url}/api-keys/{revoked['id']}")
    expired = api.created_key(tenant, scopes=["admin"], expires_at="2027-01-15T08:00:01Z")
    world.clock.time += 1
    keys = {
        "none": None,
        "garbage": "gwk_garbage",
        "well-formed garbage": revoked["key"][:-1] + ("A" if revoked["key"][-1] != "A" else "B"),
        "the hash": world.hasher(tenant.key),
        "proxy": api.created_key(tenant, scopes=["proxy"]),
        "other admin": other.key,
        "other read": api.created_key(other, scopes=["read"]),
        "expired": expired,
        "revoked": revoked["key"],
    }
    provider = api.create(f"{tenant.url}/providers", ai.PROVIDER)
    api.create(f"{tenant.url}/models", ai.MODEL)
    urls = {
        "<tenant_id>": tenant.id,
        "<rule_id>": rule,
        "<key_id>": key,
        "<name>": "rate_limiter",
        "<version>": "1",
        "<plan_id>": api.post("/plan", {"document": PLANNED}).get_json()["plan_id"],
        "<provider_id>": provider["id"],
        "<provider_key_id>": provider["keys"][0]["id"],
        "<path:model_name>": ai.MODEL["name"],
        "<budget_id>": api.create(f"{tenant.url}/budgets", ai.BUDGET)["id"],
        "<path:target>": f"{provider['id']}/m",
        "<webhook_id>": api.create(f"{tenant.url}/webhooks", WEBHOOK)["id"],
        "<token_id>": api.create("/platform/tokens", {"name": "ci", "scopes": ["admin"]})["id"],
    }
    return Scene(keys, urls)


def stored(store: MemoryStore) -> tuple[Any, ...]:
    """All that callers can change. The audit log notes failed log-ins."""
    return store._snapshots, store.read_platform(), store.tokens.all(), store.changed_at


KINDS = ["none", "garbage", "well-formed garbage", "the hash", "proxy", "other admin", "other read"]


@pytest.mark.parametrize("kind", [*KINDS, "expired", "revoked"])
def test_wrong_caller_is_denied_by_every_route(app: Flask, world: World, scene: Scene, kind: str) -> None:
    assert isinstance(world.store, MemoryStore)
    before, api = copy.deepcopy(stored(world.store)), Api(app)
    asked = 0
    for _, method, rule in operations(app):
        is_open = rule.removeprefix("/api/v1").startswith(OPEN_TO_ALL)
        if not rule.startswith("/api/v1/") or (is_open and kind.startswith("other")):
            continue
        path = rule.removeprefix("/api/v1")
        body = BODIES.get((method, path))
        assert (body is not None) == (method in ("POST", "PUT", "PATCH")), path
        url = path
        for name, value in scene.urls.items():
            url = url.replace(name, value)
        world.clock.time += 10  # one failed login in ten seconds is not too many
        response = api.call(method, url, body, key=scene.keys[kind])
        assert response.status_code in (401, 403, 404), (method, path, response.text)
        assert response.headers["Content-Type"] == "application/problem+json"
        asked += 1
    assert asked >= 15 - 2
    assert stored(world.store) == before


@pytest.mark.parametrize("method", [*METHODS, "OPTIONS", "TRACE", "FOO"])
def test_access_without_a_key_is_denied_by_every_path_under_api(app: Flask, method: str) -> None:
    api = Api(app)
    for url in ("/tenants", "/tenants/x", "/tenants/x/rules/y", "/plugins", "/nothing", ""):
        response = api.call(method, url, {} if method in ("POST", "PUT", "PATCH") else None)
        assert response.status_code in (401, 404, 405), response.text


def test_rule_of_another_tenant_looks_like_an_unknown_rule(api: Api, tenant: Tenant, scene: Scene) -> None:
    other = scene.keys["other admin"]
    foreign = api.get(f"{tenant.url}/rules/{scene.urls['<rule_id>']}", key=other).get_json()
    absent = api.get("/tenants/tenant_0/rules/rule_0", key=other).get_json()
    assert {**foreign, "request_id": ""} == {**absent, "request_id": ""}


def test_a_rule_is_not_found_under_another_tenants_path(api: Api, scene: Scene) -> None:
    mine = api.tenant("third")
    assert api.get(f"{mine.url}/rules/{scene.urls['<rule_id>']}", key=mine.key).status_code == 404
    assert api.delete(f"{mine.url}/rules/{scene.urls['<rule_id>']}", key=mine.key).status_code == 404


class TestScopes:
    def test_read_reads_and_changes_nothing(self, api: Api, tenant: Tenant, scene: Scene) -> None:
        key = api.created_key(tenant, scopes=["read"])
        for url in ("", "/rules", "/api-keys", f"/rules/{scene.urls['<rule_id>']}"):
            assert api.get(tenant.url + url, key=key).status_code == 200
        assert api.get("/plugins", key=key).status_code == 200
        assert api.patch(tenant.url, {"name": "x"}, key=key).status_code == 403
        assert api.post(f"{tenant.url}/api-keys", {"scopes": ["admin"]}, key=key).status_code == 403

    def test_admin_manages_its_own_tenant(self, api: Api, tenant: Tenant) -> None:
        mine = {"key": tenant.key}
        assert api.patch(tenant.url, {"name": "Mine", "plugin_chain": []}, **mine).status_code == 200
        assert api.post(f"{tenant.url}/rules", examples.RULE, **mine).status_code == 201
        assert api.post(f"{tenant.url}/api-keys", {"scopes": ["admin", "read"]}, **mine).status_code == 201

    def test_the_platforms_calls_are_not_a_tenants(self, api: Api, tenant: Tenant) -> None:
        assert api.get("/tenants", key=tenant.key).status_code == 403
        assert api.post("/tenants", {"name": "x", "subdomain": "x"}, key=tenant.key).status_code == 403
        assert api.delete(tenant.url, key=tenant.key).status_code == 403

    def test_a_disabled_tenants_keys_are_rejected(self, api: Api, tenant: Tenant) -> None:
        api.patch(tenant.url, {"status": "disabled"})
        rejected = api.get(tenant.url, key=tenant.key)
        assert error_of(rejected) == (403, "tenant_disabled")

    def test_write_records_its_actor(self, api: Api, tenant: Tenant, world: World) -> None:
        world.store.write = write = Mock(wraps=world.store.write)  # type: ignore[method-assign]
        api.patch(tenant.url, {"name": "x"})
        api.patch(tenant.url, {"name": "y"}, key=tenant.key)
        actors = [call.kwargs["edit"].actor for call in write.call_args_list]
        assert actors == ["platform", f"key:{api.first_key(tenant)}"]


class TestMassAssignment:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            *(("tier", "enterprise"), ("status", "disabled"), ("subdomain", "other")),
            *(("enabled_plugins", []), ("required_plugins", {"content_validator": {}})),
        ],
    )
    def test_the_platforms_fields_are_rejected(
        self, api: Api, tenant: Tenant, field: str, value: Any
    ) -> None:
        before = api.get(tenant.url).get_json()
        response = api.patch(tenant.url, {"name": "x", field: value}, key=tenant.key)
        assert response.status_code == 403
        assert response.get_json()["errors"][0]["pointer"] == f"/{field}"
        assert api.get(tenant.url).get_json() == before

    @pytest.mark.parametrize(
        "field", ["id", "tenant_id", "version", "created_at", "api_key", "keys", "rules", "hash", "scopes"]
    )
    def test_read_only_fields_are_rejected(self, api: Api, tenant: Tenant, field: str) -> None:
        assert api.patch(tenant.url, {field: "x"}, key=tenant.key).status_code == 422

    def test_a_put_must_leave_them_as_they_are(self, api: Api) -> None:
        required = {"security_validator": {"settings": {"required_headers": ["X-A"]}}}
        tenant = api.tenant(tier="pro", required_plugins=required)
        whole = {"name": "x", "subdomain": "acme", "tier": "pro"}
        lifted = api.put(tenant.url, whole, key=tenant.key)
        assert lifted.status_code == 403
        assert [p["pointer"] for p in lifted.get_json()["errors"]] == ["/required_plugins"]
        kept = api.put(tenant.url, whole | {"required_plugins": required}, key=tenant.key)
        assert kept.status_code == 200, kept.text
