"""The seed's limits on real traffic and a real store."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
import requests

from shared.redis_server.embedded import Embedded
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream
from tests.support.wait import until

GATEWAY = {"limits": {"global": {"limit": 5, "window": "1m"}}}
RULE = {"limit": 3, "window": "10s"}
# The seed's block, as it stands in its document.
SEED = {
    "gateway": {"enabled": True, "limits": {"global": {"limit": 5, "window": "1m"}}},
    "rule": {"enabled": True, "limits": {"global": {"limit": 3, "window": "10s"}}},
}


def limiter(settings: dict[str, Any]) -> dict[str, Any]:
    return {"name": "rate_limiter", "settings": settings}


def tenant_with(gateway: RunningGateway, upstream: Upstream, on_tenant: Any, on_rule: Any) -> TenantInUse:
    tenant = gateway.create_tenant(plugin_chain=[limiter(on_tenant)] if on_tenant else [])
    tenant.create_rule("/v1", upstream.url, plugin_chain=[limiter(on_rule)] if on_rule else [])
    return tenant


def statuses(tenant: TenantInUse, count: int) -> list[int]:
    return [tenant.request("GET", "/v1/x").status_code for _ in range(count)]


@pytest.mark.parametrize(("on_tenant", "on_rule", "limit"), [(GATEWAY, None, 5), (None, RULE, 3)])
def test_call_above_the_limit_is_rejected(
    gateway: RunningGateway, upstream: Upstream, on_tenant: Any, on_rule: Any, limit: int
) -> None:
    tenant = tenant_with(gateway, upstream, on_tenant, on_rule)
    assert statuses(tenant, limit + 1) == [200] * limit + [429]
    assert len(upstream.received) == limit


@pytest.mark.parametrize(("on_tenant", "on_rule"), [(GATEWAY, RULE), (SEED, None), (None, SEED)])
def test_rejection_by_rule_and_tenant_limits_names_the_rule_limit(
    gateway: RunningGateway, upstream: Upstream, on_tenant: Any, on_rule: Any
) -> None:
    tenant = tenant_with(gateway, upstream, on_tenant, on_rule)
    assert statuses(tenant, 3) == [200] * 3
    rejected = tenant.request("GET", "/v1/x")
    assert rejected.status_code == 429
    body = rejected.json()
    assert body["error"]["code"] == "rate_limit_exceeded"
    assert body["rate_limit"]["scope"] == "rule"
    assert body["error"]["message"].startswith(
        "Rate limit reached for rule limit 'global': 3 requests per 10s."
    )
    assert 1 <= int(rejected.headers["retry-after"]) <= 11
    assert rejected.headers["ratelimit"].startswith('"rule-global";r=0')
    assert rejected.headers["x-gateway-error-source"] == "plugin:rate_limiter"


def test_an_admitted_response_tells_what_is_left_on_streams_too(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    tenant = tenant_with(gateway, upstream, None, RULE)
    left = [
        tenant.request("GET", f"/v1/{path}").headers["x-ratelimit-remaining-requests"]
        for path in ("x", "stream", "error")
    ]
    assert left == ["2", "1", "0"]


def test_a_rejected_call_costs_nothing_at_the_other_level(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    tenant = gateway.create_tenant(plugin_chain=[limiter(GATEWAY)])
    tenant.create_rule("/v1", upstream.url, plugin_chain=[limiter({"limit": 1, "window": "1m"})])
    tenant.create_rule("/v2", upstream.url)
    assert statuses(tenant, 4) == [200, 429, 429, 429]
    assert [tenant.request("GET", "/v2/x").status_code for _ in range(5)] == [200] * 4 + [429]


def test_two_tenants_never_share_a_bucket(gateway: RunningGateway, upstream: Upstream) -> None:
    one, two = (tenant_with(gateway, upstream, GATEWAY, None) for _ in range(2))
    assert statuses(one, 6)[-1] == 429
    assert statuses(two, 1) == [200]


def test_limit_is_not_evaded_by_spellings_of_the_path_or_headers(
    gateway: RunningGateway, upstream: Upstream
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


def test_limit_is_not_evaded_by_headers_methods_or_a_new_key_of_the_tenant(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    tenant = tenant_with(gateway, upstream, RULE, None)
    made = gateway.call("POST", f"/tenants/{tenant.id}/api-keys", json={"name": "another"}).json()["key"]
    tried = [
        tenant.request("GET", "/v1/x").status_code,
        tenant.request("DELETE", "/v1/x", headers={"X-HTTP-Method-Override": "GET"}).status_code,
        tenant.request("POST", "/v1/x", json={"model": "another"}, headers={"X-Team": "a"}).status_code,
    ]
    assert tried == [200] * 3
    for more in ({"Authorization": f"Bearer {made}"}, {"X-Team": "b"}, {"X-Request-ID": "other"}):
        assert tenant.request("PUT", "/v1/x", headers=more).status_code == 429


def test_limits_by_model_and_header_count_each_value_apart(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    once = {"limit": 1, "window": "1m"}
    limits = {"per_model": {"gpt-4o*": once}, "per_header": {"X-Team": {**once, "on_missing": "skip"}}}
    tenant = tenant_with(gateway, upstream, None, {"limits": limits, "match": {"methods": ["POST"]}})

    def post(model: str, **headers: str) -> int:
        return tenant.request("POST", "/v1/x", json={"model": model}, headers=headers).status_code

    assert [post("gpt-4o"), post("gpt-4o"), post("gpt-4o-mini"), post("claude")] == [200, 429, 200, 200]
    assert [post("claude", X_Team="a"), post("claude", **{"X-Team": "a"})] == [200, 200]
    assert [post("claude", **{"x-team": "a"}), post("claude", **{"X-Team": "b"})] == [429, 200]
    assert tenant.request("GET", "/v1/x", json={"model": "gpt-4o"}).status_code == 200


def usage(tenant: TenantInUse) -> dict[tuple[str, str], tuple[int, int]]:
    response = tenant.gateway.call("GET", f"/tenants/{tenant.id}/rate-limits", tenant.key)
    assert response.status_code == 200, response.text
    rows = response.json()["limits"]
    return {(row["scope"], row["name"]): (row["used"], row["remaining"]) for row in rows if row["window"]}


def test_the_admin_api_shows_the_usage_that_the_proxy_counted(
    gateway: RunningGateway, upstream: Upstream
) -> None:
    tenant = tenant_with(gateway, upstream, SEED, None)
    assert statuses(tenant, 4)[-1] == 429
    for _ in range(2):
        assert usage(tenant) == {("gateway", "global"): (3, 2), ("rule", "global"): (3, 0)}


def test_editing_the_number_keeps_what_is_used(gateway: RunningGateway, upstream: Upstream) -> None:
    tenant = gateway.create_tenant()
    rule = tenant.create_rule("/v1", upstream.url, plugin_chain=[limiter({"limit": 3, "window": "1h"})])
    assert statuses(tenant, 3) == [200] * 3
    raised = {"plugin_chain": [limiter({"limit": 5, "window": "1h"})]}
    assert gateway.call("PATCH", f"/tenants/{tenant.id}/rules/{rule['id']}", json=raised).status_code == 200
    for _ in until(2.0):
        if tenant.request("GET", "/v1/x").status_code == 200:
            break
    assert statuses(tenant, 2) == [200, 429]


def test_deleted_tenant_leaves_no_counter(gateway: RunningGateway, upstream: Upstream) -> None:
    tenant = tenant_with(gateway, upstream, SEED, {"limits": {"streams": {"limit": 5}}})
    statuses(tenant, 2)
    with redis.Redis(unix_socket_path=str(Embedded(gateway.folder).socket)) as store:
        assert list(store.scan_iter(f"rl:{{{tenant.id}}}:*"))
        assert gateway.call("DELETE", f"/tenants/{tenant.id}").status_code == 204
        assert not list(store.scan_iter(f"rl:{{{tenant.id}}}:*"))


@pytest.mark.slow
def test_two_proxies_on_one_store_admit_no_more_than_one(gateway: RunningGateway, upstream: Upstream) -> None:
    second = RunningGateway(gateway.folder, admin_port=gateway.admin_port)
    second.start_proxy()
    try:
        responses, there = asked_in_time(gateway, second, upstream)
        statuses = [response.status_code for response in responses]
        assert [statuses.count(status) for status in (200, 429)] == [40, 40]
        by_proxy = [sum(status == 200 for status in statuses[i::2]) for i in (0, 1)]
        assert all(by_proxy), "one of the proxies admitted nothing"
        assert [one.request("GET", "/v1/x").status_code for one in there] == [429, 429]
    finally:
        second.stop()


def asked_in_time(
    gateway: RunningGateway, second: RunningGateway, upstream: Upstream
) -> tuple[list[requests.Response], list[TenantInUse]]:
    """80 calls of a tenant with a limit of 40, by turns through two proxies, while Redis answers in time.

    On a machine that is too busy for that each proxy counts alone, and says so; then another tenant asks.
    """
    for _ in range(5):
        here = tenant_with(gateway, upstream, None, {"limit": 40, "window": "1h"})
        there = TenantInUse(second, here.id, here.subdomain, here.key)
        there.await_rule("/v1")
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(one.request, "GET", "/v1/x") for one in [here, there] * 40]
            responses = [one.result() for one in asked]
        if not any("x-gateway-ratelimit-mode" in response.headers for response in responses):
            return responses, [here, there]
    raise AssertionError("Redis never answered in time.")


@pytest.mark.slow
def test_a_tiers_own_limit_holds(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`basic` ships with 600 a minute; its headers say so although no plugin was configured."""
    with RunningGateway(tmp_path_factory.mktemp("tier") / "data") as gateway:
        tenant = gateway.create_tenant(tier="basic")
        tenant.create_rule("/v1", upstream.url)
        response = tenant.request("GET", "/v1/x")
        assert response.headers["x-ratelimit-limit-requests"] == "600"
