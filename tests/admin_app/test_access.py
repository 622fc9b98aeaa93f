"""Who may do what: every route with every kind of caller, and the fields that are the platform's."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from flask import Flask
from werkzeug.datastructures import Headers

from admin_app.auth.access import Access, required_access, requires
from admin_app.auth.failed_logins import MAX_FAILURES
from admin_app.ui.pages import MISSING, PAGES
from shared.documents import examples
from shared.documents.ai import examples as ai
from shared.documents.alerts.webhook import WEBHOOK
from shared.secrets.api_keys import PepperedHasher
from shared.testing.memory_store import MemoryStore
from tests.admin_app.world import TOKEN, Api, Tenant, World, app_of, error_of, make_world, new_app

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
#: What any tenant may read.
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


class TestWithoutToken:
    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        return make_world(tmp_path)

    @pytest.fixture
    def api(self, app: Flask) -> Api:
        return Api(app)

    @pytest.mark.parametrize(
        "host", ["localhost", "localhost:8080", "LOCALHOST.", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"]
    )
    def test_caller_on_this_machine_is_the_platform(self, api: Api, host: str) -> None:
        assert api.get("/tenants", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            *("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "localhost@evil.example"),
            *("", "10.0.0.1", "127.0.0.1:8080:1", "2130706433", "localhost:x"),
            *("[::1].evil.example", "[::ffff:10.0.0.1]"),
        ],
    )
    def test_a_page_that_rebinds_its_name_is_rejected(self, api: Api, host: str) -> None:
        response = api.get("/tenants", headers={"Host": host})
        assert error_of(response) == (403, "host_not_allowed")
        assert "http://localhost:8080" in response.get_json()["detail"]
        assert "send a key" in response.get_json()["detail"]
        # What needs no key tells nothing, whoever reads it.
        assert api.get("/docs", headers={"Host": host}).status_code == 200
        assert error_of(api.get("/nothing", headers={"Host": host})) == (404, "not_found")

    @pytest.mark.parametrize("peer", ["10.0.0.5", "203.0.113.7", "::ffff:10.0.0.5", "2001:db8::1", ""])
    def test_caller_on_another_machine_needs_a_key(self, api: Api, peer: str) -> None:
        forged = {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
        response = api.get("/tenants", headers=forged, environ_base={"REMOTE_ADDR": peer})
        assert response.status_code == 401

    @pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.3.2.1"])
    def test_caller_with_any_form_of_loopback_address_is_this_machine(self, api: Api, peer: str) -> None:
        assert api.get("/tenants", environ_base={"REMOTE_ADDR": peer}).status_code == 200

    @pytest.mark.parametrize(
        "name",
        [
            *("Forwarded", "Via", "X-Real-IP"),
            *(f"X-Forwarded-{part}" for part in ("For", "Host", "Port", "Prefix", "Server", "Ssl")),
            *("x-forwarded-proto", "X-Forwarded"),
        ],
    )
    def test_a_proxy_on_this_machine_speaks_for_others(self, api: Api, name: str) -> None:
        response = api.get("/tenants", headers={name: "127.0.0.1"})
        assert error_of(response) == (401, "missing_api_key")

    def test_proxy_that_adds_no_header_speaks_http_1_0(self, api: Api) -> None:
        response = api.get("/tenants", environ_overrides={"SERVER_PROTOCOL": "HTTP/1.0"})
        assert error_of(response) == (401, "missing_api_key")

    def test_a_key_counts_as_itself_even_from_here(self, api: Api) -> None:
        tenant = api.tenant()
        assert api.get("/tenants", key=tenant.key).status_code == 403
        assert api.get("/tenants", key="garbage").status_code == 401

    def test_a_tenants_key_works_under_any_host(self, api: Api) -> None:
        tenant = api.tenant()
        response = api.get(tenant.url, key=tenant.key, headers={"Host": "admin.example"})
        assert response.status_code == 200


class TestWithToken:
    def test_the_token_is_the_platform(self, api: Api) -> None:
        assert api.get("/tenants").status_code == 200
        assert api.get("/tenants", headers={"Host": "admin.example"}).status_code == 200
        assert api.get("/tenants", key=None).status_code == 401

    @pytest.mark.parametrize(
        "header",
        [
            *("", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"),
            *(f"Bearer {TOKEN[:-1]}", "Bearer é"),
        ],
    )
    def test_caller_with_any_other_credential_is_not_the_platform(self, api: Api, header: str) -> None:
        response = api.get("/tenants", key=None, headers={"Authorization": header})
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"

    def test_two_credentials_are_rejected_by_name(self, api: Api, tenant: Tenant) -> None:
        """WSGI joins headers of one name by commas. Neither of two keys is preferred."""
        bearers = [f"Bearer {key}" for key in (TOKEN, tenant.key)]
        for sent in (bearers, bearers[::-1], [bearers[0]] * 2, ["Basic YTpi", bearers[1]]):
            headers = Headers([("Authorization", one) for one in sent])
            response = api.client.get("/api/v1/tenants", headers=headers)
            assert error_of(response) == (400, "bad_request")
            assert "Send Authorization once" in response.get_json()["detail"]

    def test_two_credentials_count_as_a_failed_login(self, api: Api) -> None:
        """A list must not be a way to guess the token without being counted."""
        for _ in range(MAX_FAILURES):
            assert api.get("/tenants", key="a,Bearer b").status_code == 400
        assert error_of(api.get("/tenants", key="a,Bearer b")) == (429, "too_many_failed_logins")

    def test_token_may_have_a_comma(self, tmp_path: Path) -> None:
        api = Api(app_of(make_world(tmp_path, admin__token="one,two")), "one,two")
        assert api.get("/tenants").status_code == 200

    def test_bound_to_the_outside_pages_respond_under_every_host(self, tmp_path: Path) -> None:
        world = make_world(tmp_path, admin__token=TOKEN, server__admin_host="0.0.0.0")
        api = Api(app_of(world))
        assert api.get("/docs", headers={"Host": "10.1.2.3:8080"}).status_code == 200
        assert api.get("/tenants", headers={"Host": "10.1.2.3:8080"}).status_code == 401


def test_key_and_token_of_an_older_pepper_stay_valid_and_ended_ones_ended(world: World) -> None:
    platform = Api(new_app(world), TOKEN)
    tenant, ended = platform.tenant("acme"), platform.tenant("ended")
    token = platform.create("/platform/tokens", {"name": "ci", "scopes": ["read"]})["token"]
    [key] = platform.get(f"/tenants/{ended.id}/api-keys").get_json()["api_keys"]
    assert platform.delete(f"/tenants/{ended.id}/api-keys/{key['id']}").status_code == 200
    world.hasher = PepperedHasher(b"n" * 32, b"p" * 32)
    app = new_app(world)
    url = f"/tenants/{tenant.id}"
    assert [Api(app, one).get(url).status_code for one in (tenant.key, token)] == [200, 200]
    assert Api(app, ended.key).get(f"/tenants/{ended.id}").status_code == 401
    world.hasher = PepperedHasher(b"n" * 32)
    app = new_app(world)
    assert [Api(app, one).get(url).status_code for one in (tenant.key, token)] == [401, 401]
