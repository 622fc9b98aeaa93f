"""The headers about the caller for the upstream, and about the upstream for the client."""

import pytest

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream, sized

IDENTITY = ("x-tenant-id", "x-consumer-id", "x-forwarded-for", "x-request-id")
OPENAI = sized(b"{}", "200 OK", "x-request-id: req_up", "x-ratelimit-remaining-requests: 7")
ANTHROPIC = sized(b"{}", "529 Overloaded", "request-id: req_an", "anthropic-ratelimit-tokens-remaining: 5")


@pytest.fixture(scope="module")
def tenant(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    tenant, url = gateway.create_tenant(), everlasting_upstream.url
    tenant.create_rule("/v1", url)
    tenant.create_rule("/quiet", url, identity_headers=False)
    tenant.create_rule("/pass", url, upstream_headers="pass")
    tenant.create_rule("/prefix", url, upstream_headers="prefix")
    limit = {"name": "rate_limiter", "settings": {"limit": 1000, "window": "1h"}}
    tenant.create_rule("/limited", url, upstream_headers="pass", plugin_chain=[limit])
    judge = {"name": "content_validator", "stage": "pre_response", "settings": {"blocked_patterns": ["bad"]}}
    tenant.create_rule("/judged", url, plugin_chain=[judge])
    return tenant


def test_upstream_in_an_allowed_network_is_told_who_calls(tenant: TenantInUse, upstream: Upstream) -> None:
    tenant.request("GET", "/v1/x")
    assert all(upstream.received[0].get(name) for name in IDENTITY)


def test_upstream_is_told_nothing_but_the_loop_mark_by_choice(
    tenant: TenantInUse, upstream: Upstream
) -> None:
    response = tenant.request("GET", "/quiet/x")
    (seen,) = upstream.received
    assert [name for name in IDENTITY if seen.get(name)] == []
    assert (seen.get("via") or "").startswith("1.1 ai-gateway-")
    assert response.headers["x-request-id"]
    tenant.request("GET", "/quiet/x", headers={"X-Request-ID": "mine", "X-Forwarded-For": "203.0.113.9"})
    assert upstream.received[1].get("x-request-id") == "mine"
    assert upstream.received[1].get("x-forwarded-for") is None


@pytest.mark.parametrize(("raw", "identity"), [(OPENAI, "req_up"), (ANTHROPIC, "req_an")])
def test_request_id_of_the_upstream_is_on_the_response_and_in_the_log(
    tenant: TenantInUse, upstream: Upstream, raw: bytes, identity: str
) -> None:
    upstream.responds(raw)
    response = tenant.request("GET", "/v1/x", headers={"X-Request-ID": f"mine-{identity}"})
    assert response.headers["x-request-id"] == f"mine-{identity}"
    assert response.headers["x-upstream-request-id"] == identity
    assert tenant.gateway.access_line(f"mine-{identity}")["upstream_request_id"] == identity


def test_request_id_of_the_upstream_is_on_a_rejected_response(
    tenant: TenantInUse, upstream: Upstream
) -> None:
    upstream.responds(sized(b"bad", "200 OK", "Content-Type: text/plain", "x-request-id: req_bad"))
    response = tenant.request("GET", "/judged/x")
    assert (response.status_code, response.headers["x-upstream-request-id"]) == (422, "req_bad")


def test_response_without_an_upstream_names_no_upstream_id(tenant: TenantInUse) -> None:
    assert "x-upstream-request-id" not in tenant.request("GET", "/nowhere").headers


def test_rate_limits_of_the_upstream_are_dropped_passed_or_renamed(
    tenant: TenantInUse, upstream: Upstream
) -> None:
    name, found = "x-ratelimit-remaining-requests", []
    for path in ("/v1/x", "/pass/x", "/prefix/x"):
        upstream.responds(OPENAI)
        headers = tenant.request("GET", path).headers
        found.append((headers.get(name), headers.get(f"x-upstream-{name}")))
    assert found == [(None, None), ("7", None), (None, "7")]


def test_limit_of_the_gateway_precedes_the_upstreams_of_the_same_name(
    tenant: TenantInUse, upstream: Upstream
) -> None:
    upstream.responds(OPENAI)
    response = tenant.request("GET", "/limited/x")
    assert response.headers["x-ratelimit-remaining-requests"].startswith("99")
