"""The page Audit: all changes with their authors, filters in the address, and an entry with its differences."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import expect

from tests.browser.test_all_pages import findings
from tests.support.browser import PHONE, Dashboard
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream
from tests.support.wait import until


def changed(tenant: TenantInUse, name: str, key: str | None = None, **headers: str) -> None:
    """Give the tenant another name."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    made = tenant.gateway.call("PATCH", f"/tenants/{tenant.id}", key=key, headers=sent, json={"name": name})
    assert made.ok, made.text


def test_changes_are_listed_with_author_and_reason_and_filters_stand_in_the_address(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    changed(tenant, "By the platform")
    changed(tenant, "By a key", key=tenant.key, X_Gateway_Message="We were renamed.")
    page = dashboard.open(f"/ui/audit?tenant={tenant.id}")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    for text in ("first key", "Tenant changed", "name changed", "By a key", "We were renamed.", "127.0.0.1"):
        expect(rows.first).to_contain_text(text)
    expect(rows.nth(1)).to_contain_text("Platform")
    page.get_by_label("Author").select_option("first key")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile("actor=key%3A"))
    page.get_by_label("Author").select_option("Any author")
    page.get_by_label("Operation").select_option("Tenant added")
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile(rf"\?tenant={tenant.id}&operation=createTenant$"))
    page.get_by_label("Operation").select_option("Rule deleted")
    expect(page.get_by_text("No change matches.")).to_be_visible()


def test_entry_is_opened_with_its_differences(dashboard: Dashboard, tenant: TenantInUse) -> None:
    rules = f"/tenants/{tenant.id}/rules"
    rule = tenant.gateway.create(rules, path="/v1", target="http://127.0.0.1:9")
    where = f"{rules}/{rule['id']}"
    tenant.gateway.call("PATCH", where, headers={"X-Request-ID": "change-1"}, json={"methods": ["GET"]})
    page = dashboard.open(f"/ui/audit?tenant={tenant.id}")
    page.locator("tbody tr").first.get_by_role("button").click()
    panel = page.get_by_role("dialog", name="Rule changed")
    expect(panel.get_by_role("heading", name="Rule /v1")).to_be_visible()
    expect(panel.locator(".differences li")).to_contain_text("methods")
    for text in ("updateRule", "change-1", "API"):
        expect(panel).to_contain_text(text)
    expect(panel.get_by_role("link", name="Open the request")).to_have_count(0)
    panel.get_by_role("link", name="Version 3").click()
    expect(page.get_by_role("dialog", name="Version 3")).to_be_visible()


@pytest.mark.slow
def test_times_select_changes(dashboard: Dashboard, tenant: TenantInUse) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:00:00.000Z")
    page = dashboard.open(f"/ui/audit?tenant={tenant.id}&until={soon}")
    rows = page.locator("tbody tr")
    expect(rows).to_contain_text("Tenant added")
    local = page.get_by_label("Until").input_value()
    assert page.evaluate("text => new Date(text).toISOString()", local) == soon
    page.get_by_label("Since").fill(local)
    expect(page.get_by_text("No change matches.")).to_be_visible()
    expect(page).to_have_url(re.compile(f"since={soon.replace(':', '%3A')}"))
    page.get_by_role("link", name="Clear the filters").click()
    expect(rows.first).to_be_visible()
    expect(page).to_have_url(re.compile("/ui/audit$"))


@pytest.mark.slow
def test_changes_of_the_platform_are_selected_like_those_of_a_tenant(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    made = tenant.gateway.create("/providers", name="audited", kind="openai")
    tenant.gateway.call("DELETE", f"/providers/{made['id']}")
    page = dashboard.open("/ui/audit")
    page.get_by_label("Tenant", exact=True).fill("Platform")
    page.get_by_label("Tenant", exact=True).press("Enter")
    expect(page).to_have_url(re.compile("tenant=platform$"))
    rows = page.locator("tbody tr")
    expect(rows.first).to_contain_text("Shared provider deleted")
    expect(rows.filter(has_text=tenant.id)).to_have_count(0)
    rows.first.get_by_role("button").click()
    expect(page.get_by_role("heading", name="Provider audited")).to_contain_text("Removed")


@pytest.mark.slow
def test_many_changes_come_page_by_page(dashboard: Dashboard, tenant: TenantInUse) -> None:
    for number in range(55):
        changed(tenant, f"Name {number}")
    page = dashboard.open(f"/ui/audit?tenant={tenant.id}")
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("tbody tr")).to_have_count(56)


@pytest.mark.slow
def test_admin_key_of_a_tenant_sees_its_own_changes_and_a_reader_the_reason_why_not(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    tenant.gateway.create_tenant()
    path = f"/tenants/{tenant.id}/api-keys"
    reader = tenant.gateway.create(path, name="Reader", scopes=["read"])["key"]
    dashboard.log_in(tenant.key)
    page = dashboard.open("/ui/audit")
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.get_by_role("columnheader", name="Tenant")).to_have_count(0)
    expect(page.get_by_label("Tenant", exact=True)).to_be_hidden()
    expect(page.get_by_role("link", name="Versions of the platform")).to_have_count(0)
    page.locator("tbody tr").first.get_by_role("button").click()
    expect(page.get_by_role("dialog").get_by_role("heading", name="API key Reader")).to_be_visible()
    dashboard.log_in(reader)
    dashboard.open("/ui/audit")
    expect(page.get_by_text("The audit log needs a key with the scope admin.")).to_be_visible()


@pytest.mark.slow
def test_change_with_the_id_of_a_request_leads_to_it(
    dashboard: Dashboard, proxy: RunningGateway, tenant: TenantInUse, upstream: Upstream
) -> None:
    tenant.create_rule("/called", upstream.url)
    tenant.await_rule("/called")
    sent = {"X-Request-ID": "both-1"}
    called = tenant.request("GET", "/called", headers=sent)
    changed(tenant, "Renamed", X_Request_ID=called.headers["X-Request-ID"])
    listed = f"/tenants/{tenant.id}/requests?q={called.headers['X-Request-ID']}"
    for _ in until(5.0):
        if tenant.gateway.call("GET", listed).json()["requests"]:
            break
    page = dashboard.open(f"/ui/audit?tenant={tenant.id}")
    page.locator("tbody tr").first.get_by_role("button").click()
    page.get_by_role("link", name="Open the request").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("GET /called")


@pytest.mark.slow
def test_open_entry_is_accessible_on_phones(dashboard: Dashboard, tenant: TenantInUse) -> None:
    page = dashboard.open(f"/ui/audit?tenant={tenant.id}")
    page.evaluate(AXE_SCRIPT)
    page.set_viewport_size(PHONE)
    page.locator("tbody tr").first.get_by_role("button").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        assert findings(page) == []
