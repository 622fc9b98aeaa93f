"""Large request bodies: which rules let them flow, which hold them, and the limits of a rule."""

import json

import pytest

from tests.support.client import RawClient
from tests.support.gateway import RunningGateway
from tests.support.upstream import Upstream
from tests.support.wait import until

MIB = 1024 * 1024
PER_MODEL = {"limits": {"per_model": {"*": {"limit": 99, "window": "1m"}}}}
SIZE = {"max_size": "1MB"}

FLOWS = {
    "no plugin": [],
    "plugins that read heads": [
        {"name": "security_validator", "settings": {"blocked_headers": ["X-Debug"]}},
        {"name": "rate_limiter", "settings": {"limit": 99, "window": "1m"}},
    ],
    "a switched off plugin": [{"name": "content_validator", "enabled": False, "settings": SIZE}],
}
WAITS = {
    "a plugin that reads requests": [{"name": "content_validator", "settings": SIZE}],
    "a plugin that reads responses": [
        {"name": "content_validator", "stage": "pre_response", "settings": {"blocked_patterns": ["secret"]}}
    ],
    "a limit per model": [{"name": "rate_limiter", "settings": PER_MODEL}],
    "a shadow entry": [{"name": "content_validator", "mode": "shadow", "settings": SIZE}],
}


@pytest.mark.parametrize("name", [*FLOWS, *WAITS])
def test_body_flows_unless_an_entry_of_the_plan_reads_bodies(
    gateway: RunningGateway, upstream: Upstream, name: str
) -> None:
    owner = gateway.create_tenant()
    owner.create_rule("/v1", upstream.url, plugin_chain={**FLOWS, **WAITS}[name])
    body = json.dumps({"model": "m"}).encode()
    head = f"POST /v1/x HTTP/1.1\r\nHost: {owner.host}\r\nAuthorization: Bearer {owner.key}\r\n"
    head += (
        f"X-Request-ID: {owner.id}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with RawClient(gateway.proxy_port) as client:
        client.send(head.encode(), body[:5])
        flows = any(upstream.received for _ in until(0.3))
        client.send(body[5:])
        assert client.response().status == 200
    assert upstream.await_requests(1)[0].body == body
    assert flows == (name in FLOWS and gateway.engine == "express")
    assert gateway.access_line(owner.id)["bytes_in"] == len(body)


@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_rule_has_limits_of_its_own(gateway: RunningGateway, upstream: Upstream, framing: str) -> None:
    def send(path: str, size: int) -> int:
        body = bytes(size)
        status: int = owner.request(
            "POST", path, data=body if framing == "sized" else iter([body])
        ).status_code
        return status

    owner = gateway.create_tenant()
    owner.create_rule("/small", upstream.url, limits={"request_body": "1KB"})
    owner.create_rule("/large", upstream.url, limits={"request_body": "60MB"})
    owner.create_rule("/usual", upstream.url)
    assert [send("/small/x", size) for size in (1024, 1025)] == [200, 413]
    if gateway.engine == "express" and framing == "sized":
        assert send("/usual/x", 51 * MIB) == 413
        assert send("/large/x", 51 * MIB) == 200


def test_response_above_the_limit_of_its_rule_is_a_502_only_if_it_is_checked(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    owner = gateway.create_tenant()
    reader = {
        "name": "content_validator",
        "stage": "pre_response",
        "settings": {"blocked_patterns": ["secret"]},
    }
    owner.create_rule("/plain", upstream.url, limits={"response_body": 4})
    owner.create_rule("/checked", upstream.url, limits={"response_body": 4}, plugin_chain=[reader])
    assert owner.request("GET", "/plain/x").status_code == 200
    response = owner.request("GET", "/checked/x")
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (502, "response_too_large")
    assert response.headers["X-Gateway-Error-Source"] == "gateway"
    assert response.headers["x-should-retry"] == "false"
    assert "larger than 4 bytes" in error["message"]
    assert "limits.response_body" in error["message"]
