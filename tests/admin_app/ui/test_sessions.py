"""Sessions of browsers: log-in, log-out, their end, and calls that other sites make."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.http import parse_cookie
from werkzeug.test import TestResponse

from admin_app.auth.failed_logins import MAX_FAILURES
from admin_app.ui.session import LIFETIME
from tests.admin_app.test_access import METHODS, operations
from tests.admin_app.world import TOKEN, Api, Tenant, World, app_of, error_of, make_world

OWN = {"Sec-Fetch-Site": "same-origin"}
PLAIN, SECURE = "ai_gateway_session", "__Host-ai_gateway_session"
#: The headers of a browser when another site makes the call, or of one without them.
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:8081"},
    {"Origin": "https://localhost"},
    {"Origin": "null"},
    {},
]


class Browser:
    """A browser at the dashboard, without a key of its own."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()

    def call(
        self, method: str, path: str, json: Any = None, headers: Mapping[str, str] = OWN, **more: Any
    ) -> TestResponse:
        return self.client.open(path, method=method, json=json, headers=dict(headers), **more)

    def log_in(self, key: str = TOKEN, **more: Any) -> TestResponse:
        return self.call("POST", "/ui/session", {"key": key}, **more)

    def me(self) -> TestResponse:
        return self.call("GET", "/api/v1/me", headers={})

    @property
    def cookie(self) -> str:
        cookie = self.client.get_cookie(PLAIN)
        return "" if cookie is None else cookie.value

    @cookie.setter
    def cookie(self, value: str) -> None:
        self.client.set_cookie(PLAIN, value)


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app)


def test_platform_that_logs_in_is_the_platform_from_then_on(browser: Browser) -> None:
    response = browser.log_in()
    assert (response.status_code, response.data) == (204, b"")
    assert browser.me().get_json() == {
        "is_platform": True, "actor": "platform", "scopes": [], "tenant": None, "session": True,
    }  # fmt: skip
    assert browser.call("POST", "/api/v1/tenants", {"name": "A", "subdomain": "a"}).status_code == 201


def test_tenant_that_logs_in_sees_itself_only(browser: Browser, api: Api, tenant: Tenant) -> None:
    other, key = api.tenant("globex"), api.created_key(tenant, scopes=["read"])
    assert browser.log_in(key).status_code == 204
    me: Any = browser.me().get_json()
    assert (me["is_platform"], me["scopes"], me["session"]) == (False, ["read"], True)
    assert me["tenant"] == {"id": tenant.id, "subdomain": "acme", "name": "Acme"}
    assert browser.call("GET", f"/api/v1{tenant.url}").status_code == 200
    assert browser.call("GET", f"/api/v1{other.url}").status_code == 404
    assert error_of(browser.call("PATCH", f"/api/v1{tenant.url}", {"name": "B"})) == (403, "forbidden")


def test_cookie_can_be_read_by_no_script_and_goes_to_no_other_site(browser: Browser) -> None:
    cookie = browser.log_in().headers["Set-Cookie"]
    parts = {part.strip() for part in cookie.split(";")[1:]}
    assert parts == {
        f"Max-Age={LIFETIME}",
        "HttpOnly",
        "Path=/",
        "SameSite=Strict",
        *parts & {p for p in parts if p.startswith("Expires=")},
    }
    assert cookie.startswith(f"{PLAIN}=")
    assert TOKEN not in cookie


def test_cookie_over_tls_is_secure_and_of_this_host_only(app: Flask) -> None:
    browser = Browser(app)
    cookie = browser.log_in(base_url="https://gateway.example").headers["Set-Cookie"]
    assert cookie.startswith(f"{SECURE}=")
    assert "; Secure" in cookie
    assert "Domain" not in cookie


@pytest.fixture
def behind_a_proxy(tmp_path: Path) -> Browser:
    """The dashboard behind a proxy that ends TLS."""
    world = make_world(tmp_path, admin__token=TOKEN, trusted_proxies="127.0.0.0/8")
    return Browser(app_of(world))


FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "admin.example"}


def test_trusted_proxy_says_by_which_origin_the_browser_came(behind_a_proxy: Browser) -> None:
    own = {**FORWARDED, "Origin": "https://admin.example"}
    response = behind_a_proxy.log_in(headers=own)
    assert response.headers["Set-Cookie"].startswith(f"{SECURE}=")
    for origin in ("http://admin.example", "https://localhost", "https://admin.example:8443"):
        assert behind_a_proxy.log_in(headers={**FORWARDED, "Origin": origin}).status_code == 403


def test_client_cannot_say_by_which_origin_it_came(browser: Browser) -> None:
    headers = {**FORWARDED, "Origin": "https://admin.example"}
    assert error_of(browser.log_in(headers=headers)) == (403, "foreign_page")
    assert browser.log_in(headers={**FORWARDED, **OWN}).headers["Set-Cookie"].startswith(f"{PLAIN}=")


@pytest.mark.parametrize(
    "body", [{}, {"key": ""}, {"key": 1}, {"key": "x" * 501}, {"key": TOKEN, "more": 1}, []]
)
def test_log_in_takes_a_key_only(browser: Browser, body: Any) -> None:
    assert browser.call("POST", "/ui/session", body).status_code == 422
    assert browser.cookie == ""


def test_log_in_by_a_form_is_rejected(browser: Browser) -> None:
    response = browser.client.post("/ui/session", data={"key": TOKEN}, headers=OWN)
    assert response.status_code == 415


def test_log_in_checks_the_key_and_counts_failures(browser: Browser, api: Api) -> None:
    for _ in range(MAX_FAILURES):
        assert error_of(browser.log_in("wrong")) == (401, "invalid_api_key")
    assert error_of(browser.log_in()) == (429, "too_many_failed_logins")
    assert browser.cookie == ""
    assert error_of(browser.me()) == (401, "missing_api_key")


@pytest.mark.parametrize("spaces", [" {}", "{}\n", "\t{} \r\n"])
def test_key_that_was_pasted_with_spaces_around_it_logs_in(
    browser: Browser, tenant: Tenant, spaces: str
) -> None:
    for key in (TOKEN, tenant.key):
        assert browser.log_in(spaces.format(key)).status_code == 204
        assert browser.me().status_code == 200


def test_key_that_only_calls_the_proxy_cannot_log_in(browser: Browser, api: Api, tenant: Tenant) -> None:
    key = api.created_key(tenant, scopes=["proxy"])
    assert error_of(browser.log_in(key)) == (403, "forbidden")
    assert browser.cookie == ""


def test_log_out_forgets_the_cookie(browser: Browser) -> None:
    browser.log_in()
    assert browser.call("DELETE", "/ui/session").status_code == 204
    assert browser.cookie == ""
    assert error_of(browser.me()) == (401, "missing_api_key")


def test_session_ends_after_eight_hours(browser: Browser, world: World) -> None:
    browser.log_in()
    sealed = browser.cookie
    world.clock.time += LIFETIME - 1
    browser.cookie = sealed
    assert browser.me().status_code == 200
    world.clock.time += 1
    assert error_of(browser.me()) == (401, "missing_api_key")


def test_session_ends_with_its_key(browser: Browser, api: Api, tenant: Tenant) -> None:
    made = api.create(f"{tenant.url}/api-keys", {"scopes": ["admin"]})
    browser.log_in(made["key"])
    assert browser.me().status_code == 200
    api.delete(f"{tenant.url}/api-keys/{made['id']}")
    assert error_of(browser.me()) == (401, "api_key_revoked")


def test_session_of_the_platform_ends_when_its_token_changes(tmp_path: Path) -> None:
    world = make_world(tmp_path, admin__token=TOKEN)
    browser = Browser(app_of(world))
    browser.log_in()
    changed = make_world(tmp_path, admin__token="another-token-of-the-platform")
    changed.sealer = world.sealer
    app_of(changed)
    for _ in range(MAX_FAILURES + 1):  # no attempt to guess a token
        assert error_of(browser.me()) == (401, "invalid_api_key")
    assert browser.log_in("another-token-of-the-platform").status_code == 204


def test_cookie_that_was_not_sealed_here_is_none(browser: Browser, world: World) -> None:
    browser.log_in()
    good = browser.cookie
    flipped = good[:-6] + ("A" if good[-6] != "A" else "B") + good[-5:]
    elsewhere = world.sealer.seal(f'[{world.clock.time + 60},"{TOKEN}"]', "another-context")
    for value in (flipped, good[:-1], good + "A", "", "x", TOKEN, elsewhere):
        browser.cookie = value
        assert error_of(browser.me()) == (401, "missing_api_key"), value


@pytest.mark.parametrize("other", ["", "junk", "v1.x.y"])
def test_cookie_of_the_same_name_that_is_no_session_is_passed_over(browser: Browser, other: str) -> None:
    """A program at another port of this host can set one for a path, which browsers send first."""
    browser.log_in()
    headers = {"Cookie": f"{PLAIN}={other}; {PLAIN}={browser.cookie}"}
    client = browser.client.application.test_client(use_cookies=False)
    assert client.get("/api/v1/me", headers=headers).status_code == 200


def test_cookie_that_another_set_before_the_log_in_is_replaced(
    browser: Browser, api: Api, tenant: Tenant
) -> None:
    """Session fixation: who knows the cookie from before the log-in has nothing."""
    attacker = Browser(browser.client.application)
    attacker.log_in(tenant.key)
    browser.cookie = attacker.cookie
    assert browser.log_in().status_code == 204
    assert browser.cookie != attacker.cookie
    assert attacker.me().get_json()["is_platform"] is False
    assert browser.me().get_json()["is_platform"] is True


def test_log_ins_with_one_key_have_different_cookies(browser: Browser) -> None:
    browser.log_in()
    first = browser.cookie
    browser.log_in()
    assert browser.cookie != first


def test_key_of_a_call_counts_and_not_the_cookie(browser: Browser, tenant: Tenant) -> None:
    browser.log_in()
    as_tenant = browser.call("GET", "/api/v1/me", headers={"Authorization": f"Bearer {tenant.key}"})
    assert (as_tenant.get_json()["is_platform"], as_tenant.get_json()["session"]) == (False, False)
    wrong = browser.call("GET", "/api/v1/me", headers={"Authorization": "Bearer wrong"})
    assert error_of(wrong) == (401, "invalid_api_key")
    # With a key, no page of another site can make the call.
    changed = browser.call(
        "PATCH", f"/api/v1{tenant.url}", {"name": "B"}, {"Authorization": f"Bearer {TOKEN}"}
    )
    assert changed.status_code == 200


@pytest.mark.parametrize("said", FOREIGN, ids=str)
def test_change_by_a_page_of_another_site_is_rejected_on_every_route(
    app: Flask, browser: Browser, said: Mapping[str, str]
) -> None:
    browser.log_in()
    asked = 0
    for _, method, rule in operations(app):
        if method == "GET":
            continue
        path = rule.replace("<path:", "<").replace("<", "").replace(">", "")
        body = {"key": TOKEN} if method in ("POST", "PUT", "PATCH") else None
        response = browser.call(method, path, body, said)
        assert error_of(response) == (403, "foreign_page"), (method, path)
        asked += 1
    assert asked >= 30


@pytest.mark.parametrize(
    "said", [OWN, {"Origin": "http://localhost"}, {"Origin": "http://localhost", **OWN}], ids=str
)
def test_change_by_a_page_of_the_dashboard_is_made(browser: Browser, said: Mapping[str, str]) -> None:
    browser.log_in()
    response = browser.call("POST", "/api/v1/tenants", {"name": "A", "subdomain": "a"}, said)
    assert response.status_code == 201


def test_change_in_a_session_is_noted_as_one_of_the_dashboard(
    browser: Browser, api: Api, tenant: Tenant
) -> None:
    api.patch(tenant.url, {"name": "By a client"})
    browser.log_in(tenant.key)
    browser.call("PATCH", f"/api/v1{tenant.url}", {"name": "By a browser"})
    found = api.get("/audit?operation=updateTenant").get_json()["entries"]
    assert [(one["source"], one["changes"][0]["after"]) for one in found] == [
        ("ui", "By a browser"),
        ("api", "By a client"),
    ]
    noted = api.get(f"{tenant.url}/versions").get_json()["versions"]
    assert [one["source"] for one in noted[:2]] == ["ui", "api"]


@pytest.mark.parametrize("said", FOREIGN, ids=str)
def test_pages_of_other_sites_may_read_nothing_by_cors(browser: Browser, said: Mapping[str, str]) -> None:
    """A read without a side effect is answered, but its page cannot see the response."""
    browser.log_in()
    response = browser.call("GET", "/api/v1/me", headers=said)
    assert response.status_code == 200
    assert not [name for name, _ in response.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("method", sorted({*METHODS} - {"GET"}))
def test_page_of_another_site_makes_no_change_where_no_key_is_needed(tmp_path: Path, method: str) -> None:
    """Without a token, calls of this machine have all rights, and pages of other sites can make them."""
    browser = Browser(app_of(make_world(tmp_path)))
    path = "/api/v1/tenants" if method == "POST" else "/api/v1/tenants/tenant_1"
    body = None if method == "DELETE" else {}
    assert error_of(browser.call(method, path, body, {"Sec-Fetch-Site": "cross-site"})) == (
        403,
        "foreign_page",
    )
    assert error_of(browser.call(method, path, body, {"Origin": "https://evil.example"})) == (
        403,
        "foreign_page",
    )
    for said in ({}, OWN):  # curl, and the dashboard
        assert browser.call(method, path, body, said).status_code in (404, 422)


def test_readiness_shows_the_store_to_the_platforms_session(browser: Browser, tenant: Tenant) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9"}
    assert "store" not in browser.call("GET", "/readyz", headers=headers).get_json()
    browser.log_in(tenant.key)
    assert "store" not in browser.call("GET", "/readyz", headers=headers).get_json()
    browser.log_in()
    assert "store" in browser.call("GET", "/readyz", headers=headers).get_json()


def test_cookie_is_sealed_with_the_key_of_the_deployment(browser: Browser, world: World) -> None:
    value = parse_cookie(browser.log_in().headers["Set-Cookie"])[PLAIN]
    until = f"{world.clock.time + LIFETIME}"
    assert world.sealer.open(value, "ui-session") == f'[{until},"{TOKEN}"]'
