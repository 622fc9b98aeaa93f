"""The seed's limits on real traffic and a real store."""

from typing import Any

import pytest

from tests.end_to_end.recording_upstream import RecordingUpstream
from tests.end_to_end.running_gateway import RunningGateway, TenantInUse

GATEWAY = {"limits": {"global": {"limit": 5, "window": "1m"}}}
RULE = {"limit": 3, "window": "10s"}
# The seed's block, as it stands in its document.
SEED = {
    "gateway": {"enabled": True, "limits": {"global": {"limit": 5, "window": "1m"}}},
    "rule": {"enabled": True, "limits": {"global": {"limit": 3, "window": "10s"}}},
}


def limiter(settings: dict[str, Any]) -> dict[str, Any]:
    return {"name": "rate_limiter", "settings": settings}


def tenant_with(
    gateway: RunningGateway, upstream: RecordingUpstream, on_tenant: Any, on_rule: Any
) -> TenantInUse:
    tenant = gateway.create_tenant(plugin_chain=[limiter(on_tenant)] if on_tenant else [])
    tenant.create_rule("/v1", upstream.url, plugin_chain=[limiter(on_rule)] if on_rule else [])
    return tenant


def statuses(tenant: TenantInUse, count: int) -> list[int]:
    return [tenant.request("GET", "/v1/x").status_code for _ in range(count)]


def test_the_sixth_call_in_a_minute_is_refused(gateway: RunningGateway, upstream: RecordingUpstream) -> None:
    tenant = tenant_with(gateway, upstream, GATEWAY, None)
    assert statuses(tenant, 6) == [200] * 5 + [429]
    assert len(upstream.seen) == 5


def test_the_fourth_call_in_ten_seconds_is_refused(
    gateway: RunningGateway, upstream: RecordingUpstream
) -> None:
    assert statuses(tenant_with(gateway, upstream, None, RULE), 4) == [200] * 3 + [429]


@pytest.mark.parametrize(("on_tenant", "on_rule"), [(GATEWAY, RULE), (SEED, None), (None, SEED)])
def test_with_both_the_rule_is_named_first(
    gateway: RunningGateway, upstream: RecordingUpstream, on_tenant: Any, on_rule: Any
) -> None:
    tenant = tenant_with(gateway, upstream, on_tenant, on_rule)
    assert statuses(tenant, 3) == [200] * 3
    refused = tenant.request("GET", "/v1/x")
    assert refused.status_code == 429
    body = refused.json()
    assert body["error"]["code"] == "rate_limit_exceeded"
    assert body["rate_limit"]["scope"] == "rule"
    assert body["error"]["message"].startswith(
        "Rate limit reached for rule limit 'global': 3 requests per 10s."
    )
    assert 1 <= int(refused.headers["retry-after"]) <= 11
    assert refused.headers["ratelimit"].startswith('"rule-global";r=0')
    assert refused.headers["x-gateway-error-source"] == "plugin:rate_limiter"


def test_when_both_are_spent_the_longer_wait_is_told(
    gateway: RunningGateway, upstream: RecordingUpstream
) -> None:
    tenant = tenant_with(gateway, upstream, {"limit": 3, "window": "1m"}, RULE)
    assert statuses(tenant, 3) == [200] * 3
    refused = tenant.request("GET", "/v1/x")
    assert refused.json()["rate_limit"]["scope"] == "rule"
    assert 50 <= int(refused.headers["retry-after"]) <= 61


def test_an_admitted_answer_tells_what_is_left_on_streams_too(
    gateway: RunningGateway, upstream: RecordingUpstream
) -> None:
    tenant = tenant_with(gateway, upstream, None, RULE)
    left = [
        tenant.request("GET", f"/v1/{path}").headers["x-ratelimit-remaining-requests"]
        for path in ("x", "stream", "error")
    ]
    assert left == ["2", "1", "0"]


def test_a_refused_call_costs_nothing_at_the_other_level(
    gateway: RunningGateway, upstream: RecordingUpstream
) -> None:
    tenant = gateway.create_tenant(plugin_chain=[limiter(GATEWAY)])
    tenant.create_rule("/v1", upstream.url, plugin_chain=[limiter({"limit": 1, "window": "1m"})])
    tenant.create_rule("/v2", upstream.url)
    assert statuses(tenant, 4) == [200, 429, 429, 429]
    assert [tenant.request("GET", "/v2/x").status_code for _ in range(5)] == [200] * 4 + [429]


def test_two_tenants_never_share_a_bucket(gateway: RunningGateway, upstream: RecordingUpstream) -> None:
    one, two = (tenant_with(gateway, upstream, GATEWAY, None) for _ in range(2))
    assert statuses(one, 6)[-1] == 429
    assert statuses(two, 1) == [200]


def test_no_spelling_of_the_path_and_no_header_buys_a_new_bucket(
    gateway: RunningGateway, upstream: RecordingUpstream
) -> None:
    tenant = tenant_with(gateway, upstream, None, {"limits": {"global": RULE, "per_ip": RULE}})
    spellings = ("/v1/x", "//v1//x", "/v1/%78")
    tried = [
        tenant.request(
            "GET", path, headers={"X-Forwarded-For": f"9.9.9.{i}", "X-Real-IP": f"8.8.8.{i}"}
        ).status_code
        for i, path in enumerate(spellings * 2)
    ]
    assert tried == [200] * 3 + [429] * 3


def test_a_tiers_own_limit_holds(
    upstream: RecordingUpstream, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """`basic` ships with 600 a minute; its headers say so although no plugin was configured."""
    with RunningGateway(tmp_path_factory.mktemp("tier") / "data") as gateway:
        tenant = gateway.create_tenant(tier="basic")
        tenant.create_rule("/v1", upstream.url)
        answer = tenant.request("GET", "/v1/x")
        assert answer.headers["x-ratelimit-limit-requests"] == "600"
