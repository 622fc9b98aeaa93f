"""Limits: how full each is, of all tenants and of one."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.browser import Dashboard
from tests.support.gateway import RunningGateway
from tests.support.upstream import Upstream

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
    expect(page.get_by_label("Tenant", exact=True)).to_be_hidden()
