"""Limits: how full each is, of all tenants and of one."""

import re

import pytest
from playwright.sync_api import expect

from examples.demo_upstream.server import DemoUpstream
from tests.support.browser import Dashboard
from tests.support.commands import serving
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream
from tests.support.wait import until

LIMITS = {"global": {"limit": 4, "window": "1h"}, "per_ip": {"limit": 9, "window": "1h"}}


@pytest.mark.slow
def test_limits_are_listed_with_the_fullest_first_and_lead_to_their_rules(
    dashboard: Dashboard, proxy: RunningGateway, upstream: Upstream
) -> None:
    tenant = proxy.create_tenant(name="Full & Co")
    limiter = {"name": "rate_limiter", "settings": {"limits": LIMITS}}
    rule = tenant.create_rule("/filling", upstream.url, plugin_chain=[limiter])
    for _ in range(4):
        assert tenant.request("GET", "/filling").status_code == 200
    page = dashboard.open("/ui/limits")
    expect(page.get_by_role("link", name="Try limits on recorded calls")).to_have_count(0)
    rows = page.get_by_role("table").locator("tbody tr")
    expect(rows.first.locator(".full")).to_be_attached()
    expect(rows.filter(has_text="Full & Co").first).to_contain_text("4 / 4 per 1h")
    page.get_by_label("Tenant", exact=True).fill(tenant.subdomain)
    page.get_by_label("Tenant", exact=True).press("Enter")
    expect(page).to_have_url(re.compile(f"tenant={tenant.id}$"))
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("4 / 4 per 1h")
    expect(rows.filter(has_text="per_ip")).to_contain_text("9 per 1h, one counter per address")
    expect(rows.first.get_by_role("link", name="global")).to_have_attribute(
        "href", f"/ui/tenants/{tenant.id}/rules/{rule['id']}"
    )
    dashboard.log_in(tenant.key)
    dashboard.open("/ui/limits")
    expect(rows).to_have_count(3)
    page.get_by_role("link", name="Try limits on recorded calls").click()
    expect(page.get_by_role("region", name="Try limits")).to_be_in_viewport()
    dashboard.open("/ui/limits")
    expect(page.get_by_label("Tenant", exact=True)).to_be_hidden()


def make_calls(tenant: TenantInUse, count: int) -> None:
    """Calls of a model with a price, until the ledger has them."""
    with serving(DemoUpstream(0)) as port:
        provider = {
            "name": "demo",
            "kind": "custom",
            "base_url": f"http://127.0.0.1:{port}/v1",
            "apis": ["openai.chat"],
            "models": [{"id": "demo-small", "prices": {"input": "1000", "output": "1000"}}],
        }
        tenant.gateway.call("POST", f"/tenants/{tenant.id}/providers", json=provider)
        tenant.gateway.call("POST", f"/tenants/{tenant.id}/rules", json={"path": "/demo", "ai": {}})
        tenant.await_rule("/demo")
        body = {"model": "demo-small", "messages": [{"role": "user", "content": "hello"}]}
        for _ in range(count):
            assert tenant.request("POST", "/demo/v1/chat/completions", json=body).status_code == 200
    for _ in until(10.0):
        rows = tenant.gateway.call("GET", f"/tenants/{tenant.id}/usage/rows").json()["rows"]
        if len(rows) == count:
            return


@pytest.mark.slow
def test_limits_are_tried_on_recorded_calls_and_errors_stand_at_their_fields(
    dashboard: Dashboard, proxy: RunningGateway, tenant: TenantInUse
) -> None:
    dashboard.allow("422: .*/what-if")
    make_calls(tenant, 3)
    key = tenant.gateway.call("POST", f"/tenants/{tenant.id}/api-keys", json={"scopes": ["read"]}).json()
    dashboard.log_in(key["key"])
    page = dashboard.open(f"/ui/tenants/{tenant.id}?tab=limits")
    card = page.get_by_role("region", name="Try limits", exact=True)
    first, second = (card.get_by_role("group", name="A limit to try").nth(at) for at in range(2))
    first.get_by_label("Unit").select_option("requests")
    card.get_by_role("button", name="Add a limit").click()
    second.get_by_label("Counts").select_option("per_model")
    second.get_by_label("Model").fill("demo-*")
    second.get_by_label("Limit", exact=True).fill("0.000001")
    second.get_by_label("Unit").select_option("usd")
    second.get_by_label("Per").fill("soon")
    card.get_by_role("button", name="Try").click()
    expect(first.locator(".error").filter(has_text="It is missing.")).to_be_visible()
    expect(second.locator("[data-pointer$='/window'] .error")).not_to_be_empty()
    first.get_by_label("Limit", exact=True).fill("2")
    second.get_by_label("Per").fill("1h")
    card.get_by_role("button", name="Try").click()
    rows = card.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("Each API key2 per 1 min31 (33.3%)")
    expect(rows.first).to_contain_text("first key 1")
    expect(rows.last).to_contain_text("Model demo-*$0.000001 per 1 h33 (100.0%)")
