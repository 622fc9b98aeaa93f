"""What an application developer gets through the gateway, on real sockets."""

import json

import pytest

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream


@pytest.fixture(scope="module")
def open_tenant(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    tenant = gateway.create_tenant()
    tenant.create_rule("/v1", everlasting_upstream.url)
    tenant.create_rule("/stripped", everlasting_upstream.url + "/base", strip_path=True)
    tenant.create_rule(
        "/named", everlasting_upstream.url, headers={"Authorization": "Bearer upstream-secret"}
    )
    return tenant


def test_a_request_reaches_the_upstream_as_it_was_sent(open_tenant: TenantInUse, upstream: Upstream) -> None:
    response = open_tenant.request("POST", "/v1/chat?a=b%20c&a=d", json={"x": 1}, headers={"X-Mine": "yes"})
    assert response.status_code == 200
    assert response.json() == {"ok": True}
    (seen,) = upstream.received
    assert (seen.method, seen.target, json.loads(seen.body)) == ("POST", "/v1/chat?a=b%20c&a=d", {"x": 1})
    assert seen.get("x-mine") == "yes"
    assert seen.get("host") == f"127.0.0.1:{upstream.port}"


def test_forwarded_request_carries_no_key_of_the_gateway(
    open_tenant: TenantInUse, upstream: Upstream
) -> None:
    open_tenant.request("GET", "/v1/x", headers={"x-api-key": open_tenant.key})
    assert open_tenant.key not in str(upstream.received[0].headers)
    open_tenant.request("GET", "/named/x")
    assert upstream.received[1].all("authorization") == ["Bearer upstream-secret"]


@pytest.mark.parametrize(
    "name", ["X-Tenant-Id", "X_Tenant_Id", "x.tenant.id", "X-Consumer-Id", "X-Gateway-Admin"]
)
def test_identity_header_of_a_client_is_replaced(
    open_tenant: TenantInUse, upstream: Upstream, name: str
) -> None:
    open_tenant.request("GET", "/v1/x", headers={name: "somebody-else"})
    assert "somebody-else" not in str(upstream.received[0].headers)
    assert upstream.received[0].all("x-tenant-id") == [open_tenant.id]


def test_strip_path_joins_with_one_slash(open_tenant: TenantInUse, upstream: Upstream) -> None:
    for path, target in (("/stripped/a/b", "/base/a/b"), ("/stripped", "/base"), ("/stripped/", "/base/")):
        open_tenant.request("GET", path)
        assert upstream.received[-1].target == target


def test_repeated_headers_stay_repeated_and_foreign_limits_go(
    open_tenant: TenantInUse, upstream: Upstream
) -> None:
    response = open_tenant.request("GET", "/v1/cookies")
    assert (response.status_code, response.reason) == (201, "Made Up")
    assert response.raw.headers.getlist("set-cookie") == ["a=1", "b=2"]
    assert "x-ratelimit-limit-requests" not in response.headers
    assert "x-gateway-error-source" not in response.headers


def test_an_error_of_the_upstream_passes_and_says_whose_it_is(
    open_tenant: TenantInUse, upstream: Upstream
) -> None:
    response = open_tenant.request("GET", "/v1/error", headers={"X-Request-ID": "mine-1"})
    assert response.status_code == 500
    assert response.json() == {"error": "upstream"}
    assert response.headers["x-gateway-error-source"] == "upstream"
    assert response.headers["x-request-id"] == "mine-1" == upstream.received[0].get("x-request-id")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_passes(open_tenant: TenantInUse, upstream: Upstream, method: str) -> None:
    assert open_tenant.request(method, "/v1/x").status_code == 200
    assert upstream.received[0].method == method


@pytest.mark.parametrize("path", ["half", "silent", "garbage"])
def test_a_broken_upstream_never_looks_complete(
    open_tenant: TenantInUse, upstream: Upstream, path: str
) -> None:
    from requests.exceptions import ChunkedEncodingError, ConnectionError

    try:
        response = open_tenant.request("GET", f"/v1/{path}")
    except (ChunkedEncodingError, ConnectionError):
        assert path == "half"
        return
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "upstream_protocol_error"
    assert "127.0.0.1" not in response.text


def test_interim_responses_of_the_upstream_stay_here(open_tenant: TenantInUse, engine: str) -> None:
    """mitmproxy's own core takes them for the answer (docs/engine.md)."""
    response = open_tenant.request("GET", "/v1/early")
    assert response.status_code == {"express": 200, "mitmproxy": 502}[engine]
    assert "link" not in response.headers


def test_an_upstream_that_is_not_there_is_502(open_tenant: TenantInUse) -> None:
    open_tenant.create_rule("/dead", "http://127.0.0.1:1")
    response = open_tenant.request("GET", "/dead")
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_unreachable")
    assert response.headers["x-gateway-error-source"] == "gateway"
    assert "server" not in response.headers
