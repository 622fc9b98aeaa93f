"""The limits while Redis does not respond, on real traffic."""

import pytest
import redis

from shared.redis_server.embedded import Embedded
from tests.support.cases import slow
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream
from tests.support.wait import until

SETTINGS = {"limit": 5, "window": "1h"}


@pytest.fixture(scope="module")
def tenant(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    made = gateway.create_tenant()
    for on_error in ("local", "open", "closed"):
        chain = [{"name": "rate_limiter", "settings": SETTINGS, "on_error": on_error}]
        made.create_rule(f"/{on_error}", everlasting_upstream.url, plugin_chain=chain)
    return made


@pytest.mark.parametrize("engine", ["express", *slow("mitmproxy")], indirect=True)
def test_limits_without_redis_hold_as_each_entry_says_and_responses_show_it(
    tenant: TenantInUse, upstream: Upstream
) -> None:
    before = tenant.request("GET", "/local/x")
    assert "x-gateway-ratelimit-mode" not in before.headers
    with redis.Redis(unix_socket_path=str(Embedded(tenant.gateway.folder).socket)) as store:
        store.client_pause(3000)
        local, free, closed = (tenant.request("GET", f"/{name}/x") for name in ("local", "open", "closed"))
        admitted = sum(tenant.request("GET", "/local/x").status_code == 200 for _ in range(9))
        store.client_unpause()
    assert (local.status_code, local.headers["x-gateway-ratelimit-mode"]) == (200, "local")
    assert (free.status_code, free.headers["x-gateway-ratelimit-mode"]) == (200, "open")
    assert closed.status_code == 503
    assert closed.json()["error"]["code"] == "limits_unavailable"
    assert "limit 'global' cannot be counted now" in closed.json()["error"]["message"]
    assert admitted <= 3, "an outage is no free refill"
    for _ in until(5.0):
        if "x-gateway-ratelimit-mode" not in tenant.request("GET", "/open/x").headers:
            break
    assert "x-gateway-ratelimit-mode" not in tenant.request("GET", "/open/x").headers
