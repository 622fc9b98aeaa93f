"""The gateway on real sockets, as an application developer sees it."""

import json

import pytest

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream


@pytest.fixture(scope="module")
def open_tenant(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    tenant = gateway.create_tenant()
    tenant.create_rule("/v1", everlasting_upstream.url)
    tenant.create_rule("/buffered", everlasting_upstream.url, streams="buffer")
    tenant.create_rule("/stripped", everlasting_upstream.url + "/base", strip_path=True)
    tenant.create_rule(
        "/named", everlasting_upstream.url, headers={"Authorization": "Bearer upstream-secret"}
    )
    return tenant


def test_request_reaches_the_upstream_unchanged(open_tenant: TenantInUse, upstream: Upstream) -> None:
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


def test_error_of_the_upstream_is_forwarded_with_its_source(
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


def test_a_buffered_stream_comes_whole(open_tenant: TenantInUse, upstream: Upstream) -> None:
    response = open_tenant.request("GET", "/buffered/stream")
    assert "transfer-encoding" not in response.headers
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.text.count("data:") == 4
