"""Web pages that call from a browser."""

import pytest
import requests

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream, sized

PAGE = "https://app.example"
FOREIGN = (
    "Access-Control-Allow-Origin: https://upstream.example",
    "Access-Control-Allow-Credentials: true",
    "X-Request-ID: up",
    "Vary: Accept",
)


@pytest.fixture(scope="module")
def tenant(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    tenant, url = gateway.create_tenant(), everlasting_upstream.url
    tenant.create_rule("/closed", url)
    spent = {"name": "rate_limiter", "settings": {"limit": 0, "window": "1m"}}
    tenant.create_rule("/v1", url, cors={"origins": [PAGE]})
    tenant.create_rule("/spent", url, cors={"origins": [PAGE]}, plugin_chain=[spent])
    tenant.create_rule("/dead", "http://127.0.0.1:1", cors={"origins": ["*"], "max_age": "1h"})
    return tenant


def preflight(
    tenant: TenantInUse, path: str, host: str | None = None, origin: str = PAGE
) -> requests.Response:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    headers = {"Host": host or tenant.host, "Origin": origin, **asked}
    return requests.options(tenant.gateway.proxy + path, headers=headers, timeout=15)


def allowed(response: requests.Response) -> str | None:
    return response.headers.get("access-control-allow-origin")


def test_preflight_is_answered_before_the_key_and_the_upstream(
    tenant: TenantInUse, upstream: Upstream
) -> None:
    response = preflight(tenant, "/v1/chat")
    assert (response.status_code, response.content, allowed(response)) == (204, b"", PAGE)
    assert response.headers["access-control-allow-methods"] == "POST"
    assert response.headers["access-control-allow-headers"] == "authorization"
    assert response.headers["access-control-max-age"] == "600"
    assert "access-control-allow-credentials" not in response.headers
    assert not upstream.received


def test_page_of_another_origin_is_not_allowed(tenant: TenantInUse) -> None:
    response = preflight(tenant, "/v1/chat", origin="https://evil.example")
    assert (response.status_code, allowed(response)) == (204, None)
    assert "Origin" in response.headers["vary"]


def test_cors_is_off_by_default(tenant: TenantInUse, upstream: Upstream) -> None:
    assert preflight(tenant, "/closed/x").status_code == 401
    assert allowed(tenant.request("GET", "/closed/x", headers={"Origin": PAGE})) is None
    # With a key it is an ordinary request, which the upstream answers.
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
    assert tenant.request("OPTIONS", "/closed/x", headers=asked).status_code == 200
    assert upstream.received[-1].method == "OPTIONS"


def test_preflight_under_a_shared_host_gets_no_cors_headers(tenant: TenantInUse) -> None:
    response = preflight(tenant, "/v1/chat", host="localhost")
    assert (response.status_code, allowed(response)) == (204, None)


def test_response_can_be_read_by_the_page_with_the_gateways_headers_only(
    tenant: TenantInUse, upstream: Upstream
) -> None:
    upstream.responds(sized(b"{}", "200 OK", *FOREIGN))
    response = tenant.request("GET", "/v1/x", headers={"Origin": PAGE})
    assert (response.status_code, allowed(response)) == (200, PAGE)
    assert "access-control-allow-credentials" not in response.headers
    exposed = response.headers["access-control-expose-headers"]
    assert exposed == "X-Request-ID, X-Upstream-Request-ID, X-Gateway-Config-Version"
    assert response.headers["vary"] == "Accept, Origin"


def test_streamed_response_can_be_read_by_the_page(tenant: TenantInUse, upstream: Upstream) -> None:
    response = tenant.request("GET", "/v1/events", headers={"Origin": PAGE})
    assert (response.text.count("data:"), allowed(response)) == (4, PAGE)


@pytest.mark.parametrize(
    ("path", "key", "status", "origin"),
    [
        ("/v1/x", None, 401, PAGE),
        ("/v1/x", "Bearer wrong", 401, PAGE),
        ("/v1/a%2fb", "", 400, PAGE),
        ("/spent/x", "", 429, PAGE),
    ],
)
def test_errors_of_the_gateway_can_be_read_by_the_page(
    tenant: TenantInUse, path: str, key: str | None, status: int, origin: str
) -> None:
    headers = {"Origin": PAGE} | ({} if key == "" else {"Authorization": key})
    response = tenant.request("GET", path, headers=headers)
    assert (response.status_code, allowed(response)) == (status, origin)
    exposed = response.headers["access-control-expose-headers"].split(", ")
    assert {"X-Request-ID", "X-Gateway-Error-Source"} <= set(exposed)
    if status == 429:
        assert {"Retry-After", "retry-after-ms"} <= set(exposed) or "x-should-retry" in exposed
        assert "RateLimit" in exposed


def test_failure_of_the_upstream_can_be_read_by_the_page(tenant: TenantInUse, engine: str) -> None:
    """The errors of mitmproxy's own core have no CORS headers (docs/reference/engines.md)."""
    response = tenant.request("GET", "/dead/x", headers={"Origin": PAGE})
    assert (response.status_code, allowed(response)) == (502, {"express": "*", "mitmproxy": None}[engine])


def test_cors_of_a_tenant_holds_for_its_rules_and_for_its_404(
    gateway: RunningGateway, everlasting_upstream: Upstream
) -> None:
    tenant = gateway.create_tenant(cors={"origins": [PAGE]})
    tenant.create_rule("/v1", everlasting_upstream.url)
    tenant.create_rule("/own", everlasting_upstream.url, cors={"origins": []})
    assert allowed(preflight(tenant, "/v1/x")) == allowed(preflight(tenant, "/none")) == PAGE
    assert allowed(preflight(tenant, "/own/x")) is None
    missing = tenant.request("GET", "/none", headers={"Origin": PAGE})
    assert (missing.status_code, allowed(missing)) == (404, PAGE)


def test_star_and_a_cookie_of_the_rule_are_rejected_together(tenant: TenantInUse) -> None:
    body = {
        "path": "/c",
        "target": "https://a.example",
        "cors": {"origins": ["*"]},
        "headers": {"Cookie": "a=1"},
    }
    response = tenant.gateway.call("POST", f"/tenants/{tenant.id}/rules", json=body)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["/cors/origins"]


def test_explain_shows_preflight_and_headers_as_the_proxy_sends_them(tenant: TenantInUse) -> None:
    asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    body = {"method": "OPTIONS", "path": "/v1/x", "headers": asked}
    shown = tenant.gateway.call("POST", f"/tenants/{tenant.id}/explain", json=body).json()
    headers = {one["name"]: one["value"] for one in shown["response"]["headers"]}
    assert (shown["outcome"], shown["response"]["status"], shown["response"]["source"]) == (
        "responded",
        204,
        "gateway",
    )
    assert headers["Access-Control-Allow-Origin"] == PAGE
    body = {"method": "GET", "path": "/v1/x", "headers": {"Origin": PAGE}}
    shown = tenant.gateway.call("POST", f"/tenants/{tenant.id}/explain", json=body).json()
    headers = {one["name"]: one["value"] for one in shown["response"]["headers"]}
    assert (shown["response"]["status"], headers["Access-Control-Allow-Origin"]) == (401, PAGE)
