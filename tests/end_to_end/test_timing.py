"""`X-Gateway-Trace: 1` shows how long the plugins took, to who manages the tenant."""

import re
from typing import Any

import pytest

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream

CHAIN: list[Any] = [
    {"name": "security_validator", "priority": 1},
    {"name": "rate_limiter", "priority": 2, "settings": {"limit": 1, "window": "1m"}},
    {"name": "content_validator", "priority": 3, "parallel": True, "settings": {"max_size": "1KB"}},
    {"name": "security_validator", "priority": 3, "parallel": True},
]
ENTRY = re.compile(r'(\w+-\d+);dur=\d+\.\d{3};desc="([^"]*)"')
TRACE = {"X-Gateway-Trace": "1"}


@pytest.fixture
def owner(gateway: RunningGateway, upstream: Upstream) -> TenantInUse:
    tenant = gateway.create_tenant()
    tenant.create_rule("/v1", upstream.url, plugin_chain=CHAIN)
    return tenant


def test_the_response_has_one_entry_a_group(owner: TenantInUse, upstream: Upstream) -> None:
    response = owner.request("POST", "/v1/stream", headers=TRACE, data=b"{}")
    assert response.status_code == 200
    assert ENTRY.findall(response.headers["server-timing"]) == [
        ("pre_request-1", "security_validator"),
        ("pre_request-2", "rate_limiter"),
        ("pre_request-3", "content_validator, security_validator"),
    ]
    assert upstream.received[-1].all("x-gateway-trace") == []
    rejected = owner.request("POST", "/v1/x", headers=TRACE, data=b"{}")
    assert rejected.status_code == 429
    assert [name for name, _ in ENTRY.findall(rejected.headers["server-timing"])] == [
        "pre_request-1",
        "pre_request-2",
    ]


@pytest.mark.parametrize("headers", [{}, {"X-Gateway-Trace": "0"}])
def test_timing_is_sent_only_to_callers_that_ask_for_it(owner: TenantInUse, headers: dict[str, str]) -> None:
    assert "server-timing" not in owner.request("POST", "/v1/x", headers=headers, data=b"{}").headers


def test_proxy_key_gets_no_server_timing_header(
    gateway: RunningGateway, owner: TenantInUse, upstream: Upstream
) -> None:
    made = gateway.call("POST", f"/tenants/{owner.id}/api-keys", json={"scopes": ["proxy"]}).json()
    headers = {**TRACE, "Authorization": f"Bearer {made['key']}"}
    response = owner.request("POST", "/v1/x", headers=headers, data=b"{}")
    assert response.status_code == 200
    assert "server-timing" not in response.headers
    assert upstream.received[-1].all("x-gateway-trace") == []
