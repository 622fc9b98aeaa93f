"""The callers that are let in, and the response to a stranger (security.md, identity and tenancy)."""

import pytest

from tests.support.client import RawClient, Response
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream
from tests.support.wait import until


@pytest.fixture(scope="module")
def one(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    tenant = gateway.create_tenant()
    tenant.create_rule("/v1", everlasting_upstream.url)
    return tenant


@pytest.fixture(scope="module")
def other(gateway: RunningGateway) -> TenantInUse:
    return gateway.create_tenant()


def ask(gateway: RunningGateway, line: str, host: str, key: str) -> Response:
    """The response to exactly this request line and Host."""
    head = f"{line} HTTP/1.1\r\nHost: {host}\r\nx-api-key: {key}\r\n\r\n"
    with RawClient(gateway.proxy_port) as client:
        return client.ask(head.encode("latin-1"))


def test_every_wrong_key_gets_the_same_response(
    one: TenantInUse, other: TenantInUse, upstream: Upstream
) -> None:
    unknown_tenant = one.request("GET", "/v1/x", headers={"Host": "nobody.example.com"})
    responses = [unknown_tenant] + [
        one.request("GET", "/v1/x", headers={"Authorization": f"Bearer {key}"})
        for key in (
            other.key,
            "nonsense",
            one.key[:-1] + ("a" if one.key[-1] != "a" else "b"),
            "gwk_" + "0" * 57,
        )
    ]
    assert {response.status_code for response in responses} == {401}
    assert len({str(response.json() | {"request_id": ""}) for response in responses}) == 1
    assert responses[0].json()["error"]["code"] == "invalid_api_key"
    assert not upstream.received


def test_request_without_a_key_is_rejected_with_how_to_send_one(one: TenantInUse) -> None:
    response = one.request("GET", "/v1/x", headers={"Authorization": None})
    assert (response.status_code, response.json()["error"]["code"]) == (401, "missing_api_key")


@pytest.mark.parametrize("name", ["x-api-key", "api-key"])
def test_the_key_may_come_in_the_headers_that_sdks_use(one: TenantInUse, name: str) -> None:
    assert one.request("GET", "/v1/x", headers={"Authorization": None, name: one.key}).status_code == 200


@pytest.mark.parametrize("host", ["localhost:8081", "127.0.0.1", "[::1]:8081", "example.com"])
def test_tenant_under_a_shared_host_is_identified_by_the_key(one: TenantInUse, host: str) -> None:
    assert one.request("GET", "/v1/x", headers={"Host": host}).status_code == 200


def test_the_host_is_read_without_case_and_trailing_dot(one: TenantInUse) -> None:
    assert (
        one.request(
            "GET", "/v1/x", headers={"Host": f"{one.subdomain.upper()}.EXAMPLE.COM.:8081"}
        ).status_code
        == 200
    )
    assert one.request("GET", "/v1/x", headers={"Host": f"{one.subdomain}.localhost"}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evilexample.com",
        "a.t1.example.com",
        "mitm.it",
        "t1.example.com/?",
        "t1@t2.example.com",
        "-a.example.com",
        "",
    ],
)
def test_every_other_host_is_rejected(
    gateway: RunningGateway, one: TenantInUse, host: str, upstream: Upstream
) -> None:
    response = ask(gateway, "GET /v1/x", host, one.key)
    assert response.status == 400
    assert b'"invalid_host"' in response.body
    assert not upstream.received


@pytest.mark.parametrize("path", ["/v1/..;/admin", "/v1/a%2fb", "/v1/%zz", "/v1\\x"])
def test_a_path_that_could_be_read_in_two_ways_is_rejected(
    gateway: RunningGateway, one: TenantInUse, upstream: Upstream, path: str
) -> None:
    response = ask(gateway, f"GET {path}", one.host, one.key)
    assert (response.status, response.get("server")) == (400, None)
    assert b'"error"' in response.body
    assert not upstream.received


@pytest.mark.parametrize(
    ("path", "seen"),
    [("//v1//x", "/v1/x"), ("/v1/./a/../x", "/v1/x"), ("/v1/%7Ex", "/v1/~x"), ("/v1/a%c3%a9", "/v1/a%C3%A9")],
)
def test_the_path_that_was_matched_is_forwarded(
    one: TenantInUse, gateway: RunningGateway, upstream: Upstream, path: str, seen: str
) -> None:
    assert ask(gateway, f"GET {path}", one.host, one.key).status == 200
    assert upstream.received[0].target == seen


def test_method_without_a_rule_is_405_with_allow(one: TenantInUse, upstream: Upstream) -> None:
    one.create_rule("/posts", upstream.url, methods=["POST"])
    response = one.request("GET", "/posts/x")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert one.request("TRACE", "/v1/x").status_code == 405


def test_a_public_rule_needs_no_key(one: TenantInUse, upstream: Upstream) -> None:
    one.create_rule("/open", upstream.url, public=True)
    assert one.request("GET", "/open/x", headers={"Authorization": None}).status_code == 200
    big = one.request("POST", "/open/x", headers={"Authorization": None}, data=b"x" * 65537)
    assert (big.status_code, big.json()["error"]["code"]) == (413, "body_too_large")


def test_a_rule_that_leads_back_to_the_gateway_is_rejected_when_saved(
    one: TenantInUse, gateway: RunningGateway
) -> None:
    for url in (
        gateway.proxy,
        gateway.admin,
        "http://169.254.169.254/",
        "http://10.0.0.1/",
        "http://2130706433/",
    ):
        response = gateway.call("POST", f"/tenants/{one.id}/rules", json={"path": "/loop", "target": url})
        assert response.status_code == 422, url


def test_a_request_that_was_here_before_is_a_loop(one: TenantInUse, upstream: Upstream) -> None:
    one.request("GET", "/v1/x")
    via = upstream.received[0].get("via") or ""
    response = one.request("GET", "/v1/x", headers={"Via": via})
    assert (response.status_code, response.json()["error"]["code"]) == (508, "loop_detected")


def test_a_revoked_key_ends_within_two_seconds(gateway: RunningGateway, upstream: Upstream) -> None:
    tenant = gateway.create_tenant()
    tenant.create_rule("/v1", upstream.url)
    made = gateway.call("POST", f"/tenants/{tenant.id}/api-keys", json={"name": "second"}).json()
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert tenant.request("GET", "/v1/x", headers=headers).status_code == 200
    assert gateway.call("DELETE", f"/tenants/{tenant.id}/api-keys/{made['id']}").status_code == 204
    codes = []
    for _ in until(2.0):
        response = tenant.request("GET", "/v1/x", headers=headers)
        if response.status_code == 401:
            codes.append(response.json()["error"]["code"])
            break
    assert codes == ["api_key_revoked"]


def test_a_disabled_tenant_is_403_and_a_deleted_one_401(gateway: RunningGateway, upstream: Upstream) -> None:
    tenant = gateway.create_tenant()
    tenant.create_rule("/v1", upstream.url)
    assert gateway.call("PATCH", f"/tenants/{tenant.id}", json={"status": "disabled"}).status_code == 200
    assert any(tenant.request("GET", "/v1/x").status_code == 403 for _ in until(2.0))
    assert gateway.call("DELETE", f"/tenants/{tenant.id}").status_code == 204
    assert any(tenant.request("GET", "/v1/x").status_code == 401 for _ in until(2.0))
