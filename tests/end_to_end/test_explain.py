"""A dry run says beforehand what happens to a request, and leaves no trace."""

import http.client
import re
from typing import Any

import pytest
import redis

from shared.redis_server.embedded import socket_path
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Received, Upstream

CHAIN: list[Any] = [
    {"name": "rate_limiter", "priority": 1, "settings": {"limits": {
        "global": {"limit": 50, "window": "1h"}, "per_ip": {"limit": 40, "window": "1h"}, "streams": {"limit": 9}}}},
    {"name": "security_validator", "priority": 2, "settings": {"blocked_headers": ["X-Debug"]}},
    {"name": "content_validator", "priority": 3, "settings": {"fields": ["model"], "required_fields": ["model"]}},
]  # fmt: skip
RULE: dict[str, Any] = {"headers": {"X-Provider-Key": "s3cret"}, "plugin_chain": CHAIN, "methods": ["POST"]}
GOOD: dict[str, Any] = {
    "method": "POST",
    "path": "/v1/chat//x/../y?a=%20b&c",
    "headers": {
        "X-Request-ID": "the-id",
        "X-A": "1",
        "X-Tenant-Id": "somebody",
        "Connection": "x-a",
        "Content-Type": "application/json",
        "User-Agent": "test",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
    },
    "body": '{"model": "m", "more": 1}',
}


@pytest.fixture(scope="module")
def owner(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    tenant = gateway.create_tenant()
    tenant.create_rule("/v1", everlasting_upstream.url + "/base", **RULE)
    tenant.create_rule("/spent", everlasting_upstream.url, plugin_chain=[
        {"name": "rate_limiter", "settings": {"limit": 0, "window": "1m"}}])  # fmt: skip
    tenant.create_rule("/body", everlasting_upstream.url, streams="buffer", plugin_chain=[
        {"name": "body_needed", "stage": "pre_response"}])  # fmt: skip
    return tenant


def explained(owner: TenantInUse, sent: dict[str, Any]) -> Any:
    """The explanation of the admin API, with the key where a client has it."""
    headers = {"Authorization": f"Bearer {owner.key}", **sent.get("headers", {})}
    response = owner.gateway.call("POST", f"/tenants/{owner.id}/explain", json={**sent, "headers": headers})
    assert response.status_code == 200, response.text
    return response.json()


def really(owner: TenantInUse, sent: dict[str, Any]) -> Any:
    """The outcome in the proxy. The path goes out as it stands."""
    connection = http.client.HTTPConnection("127.0.0.1", owner.gateway.proxy_port, timeout=10)
    connection.putrequest(sent["method"], sent["path"], skip_host=True, skip_accept_encoding=True)
    headers = {"Host": owner.host, "Authorization": f"Bearer {owner.key}", **sent.get("headers", {})}
    body = sent.get("body", "").encode()
    for name, value in {**headers, **({"Content-Length": str(len(body))} if body else {})}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    found = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return found


def test_upstream_receives_the_request_that_explain_showed(owner: TenantInUse, upstream: Upstream) -> None:
    foretold = explained(owner, GOOD)
    assert upstream.received == []
    assert foretold["outcome"] == "forwarded"
    assert really(owner, GOOD)[0] == 200
    [seen] = upstream.received
    request = foretold["upstream"]
    assert request["url"] == f"{upstream.url}{seen.target}"
    assert (request["method"], request["body"]) == (seen.method, seen.body.decode())
    assert sorted(shown(seen)) == sorted((one["name"], one["value"]) for one in request["headers"])


def shown(seen: Received) -> list[tuple[str, str]]:
    return [(name, "[redacted]" if name == "X-Provider-Key" else value) for name, value in seen.headers]


@pytest.mark.parametrize(
    "changed",
    [
        {"headers": {"Authorization": "Bearer gwk_another"}},
        {"headers": {"Host": "a.b.example.com"}},
        {"headers": {"Host": "nobody.example.com"}},
        {"path": "/v1/..;/x"},
        {"path": "/other"},
        {"path": "/v1/%2f"},
        {"method": "GET", "body": ""},
        {"headers": {"X-Debug": "1"}},
        {"body": "{}"},
        {"body": "no json"},
        {"path": "/spent"},
    ],
)
def test_rejection_equals_the_one_that_explain_showed(
    owner: TenantInUse, upstream: Upstream, changed: dict[str, Any]
) -> None:
    sent = {**GOOD, **changed, "headers": {**GOOD["headers"], **changed.get("headers", {})}}
    foretold = explained(owner, sent)["response"]
    status, headers, body = really(owner, sent)
    assert (foretold["status"], foretold["source"]) == (status, headers["X-Gateway-Error-Source"])
    assert f'"message":"{foretold["message"]}"' in body.decode()
    assert f'"code":"{foretold["code"]}"' in body.decode()
    for header in foretold["headers"]:
        # How long the wait is after a charge, nobody knows beforehand.
        if "reset" not in header["name"].lower():
            real, said = (
                re.sub(r";t=\d+", "", value) for value in (headers[header["name"]], header["value"])
            )
            assert real == said
    assert upstream.received == []


def test_explain_spends_no_limit(gateway: RunningGateway, owner: TenantInUse, upstream: Upstream) -> None:
    assert really(owner, GOOD)[0] == 200
    with redis.Redis(unix_socket_path=str(socket_path(gateway.folder))) as store:

        def counters() -> dict[bytes, object]:
            return {key: (store.dump(key), store.pexpiretime(key)) for key in store.scan_iter("rl:*")}

        before = counters()
        assert before
        for _ in range(3):
            rows = explained(owner, GOOD)["limits"]
        assert counters() == before
    assert [(row["name"], row["before"]["remaining"] - row["after"]["remaining"]) for row in rows] == [
        ("global", 1),
        ("per_ip", 1),
        ("streams", 1),
    ]
    assert len(upstream.received) == 1


@pytest.mark.parametrize(
    ("method", "path", "status", "verdict"),
    [
        ("POST", "/body/x", 200, 200),
        ("HEAD", "/body/x", 200, 422),
        ("POST", "/body/empty", 204, 422),
        ("POST", "/body/unchanged", 304, 422),
    ],
)
def test_response_without_a_body_has_the_verdict_that_was_explained(
    owner: TenantInUse, upstream: Upstream, method: str, path: str, status: int, verdict: int
) -> None:
    """Responses to HEAD, and those of 204 and 304, have no body (RFC 9110, 6.4.1), whatever is sent along."""
    sent = {"method": method, "path": path, "headers": {}}
    response = explained(owner, {**sent, "response": {"status": status, "body": "a body"}})["response"]
    real, headers, body = really(owner, sent)
    assert (response["status"], real) == (verdict, verdict)
    assert len(upstream.received) == 1
    if verdict == 422:
        assert response["source"] == headers["X-Gateway-Error-Source"] == "plugin:body_needed"
        assert response["message"] == "The body is b''."
        assert method == "HEAD" or response["message"] in body.decode()
