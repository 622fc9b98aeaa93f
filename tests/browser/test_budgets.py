"""The tab Budgets of a tenant: added, changed, increased, reset and deleted; and what others may not change."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.support.browser import Dashboard
from tests.support.gateway import TenantInUse

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=window.naughty=1>"
MONTHLY = {"name": "monthly", "limit": {"usd": "250.00"}, "period": "month", "timezone": "Europe/Berlin"}


def opened(dashboard: Dashboard, tenant: TenantInUse) -> Page:
    return dashboard.open(f"/ui/tenants/{tenant.id}?tab=budgets")


def create(tenant: TenantInUse, key: str | None = None, **members: Any) -> dict[str, Any]:
    path = f"/tenants/{tenant.id}/budgets"
    made = tenant.gateway.call("POST", path, key=key, json={**MONTHLY, **members})
    assert made.status_code == 201, made.text
    document: dict[str, Any] = made.json()
    return document


def stored(tenant: TenantInUse) -> list[dict[str, Any]]:
    response = tenant.gateway.call("GET", f"/tenants/{tenant.id}/budgets")
    found: list[dict[str, Any]] = response.json()["budgets"]
    return found


def line_of(page: Page, name: str) -> Locator:
    return page.locator(".budget").filter(has_text=name)


def test_budget_with_wrong_fields_is_corrected_and_added(dashboard: Dashboard, tenant: TenantInUse) -> None:
    dashboard.allow("422: .*/budgets")
    dashboard.log_in(tenant.key)
    page = opened(dashboard, tenant)
    expect(page.get_by_text("No budgets.")).to_be_visible()
    page.get_by_role("button", name="Add a budget").first.click()
    panel = page.locator("dialog.panel")
    panel.get_by_label("Limit").fill("a lot")
    panel.get_by_label("Time zone").fill("Europe/Bern")
    panel.get_by_label("When it is spent").select_option("downgrade")
    panel.get_by_text("More: alerts").click()
    panel.get_by_label("Alerts at percent").fill("90, 120")
    panel.get_by_role("button", name="Add the budget").click()
    for pointer in ("/name", "/limit", "/timezone", "/at"):
        expect(panel.locator(f"[data-pointer='{pointer}'] > .error")).not_to_be_empty()
    panel.get_by_label("Name").fill(HOSTILE)
    panel.get_by_label("Limit").fill("5000000")
    panel.get_by_label("Unit").select_option("tokens")
    expect(panel.get_by_label("Calls without a known price")).to_be_hidden()
    panel.get_by_label("Per", exact=True).select_option("days")
    panel.get_by_label("Days").fill("30")
    panel.get_by_label("Begins on").fill("2026-01-01")
    panel.get_by_label("Time zone").fill("Europe/Berlin")
    panel.get_by_label("When it is spent").select_option("alert")
    panel.get_by_label("Alerts at percent").fill("50 90")
    panel.get_by_text("Count some calls only").click()
    panel.get_by_label("API key").select_option("first key")
    panel.get_by_label("Model", exact=True).fill("gpt-*")
    panel.get_by_role("button", name="Add the budget").click()
    expect(line_of(page, HOSTILE)).to_contain_text("0 of 5,000,000 tokens used · 5,000,000 left")
    expect(line_of(page, HOSTILE)).to_contain_text("Calls of key first key, model gpt-*, each 30 days")
    expect(line_of(page, HOSTILE)).to_contain_text("00:00 (Europe/Berlin)")
    assert page.evaluate("window.naughty") is None
    [budget] = stored(tenant)
    assert (budget["limit"], budget["period"]) == ({"tokens": 5_000_000}, "30d")
    assert budget["starts"] == "2026-01-01"
    assert (budget["on_spent"], budget["at"], budget["owner"]) == ("alert", [50, 90], "tenant")
    assert budget["scope"] == {"key": budget["scope"]["key"], "model": "gpt-*"}


def test_budget_is_increased_changed_reset_and_deleted(dashboard: Dashboard, tenant: TenantInUse) -> None:
    dashboard.allow("422: .*/increase")
    create(tenant)
    page = opened(dashboard, tenant)
    line = line_of(page, "monthly")
    line.get_by_role("button", name="Increase monthly").click()
    panel = page.locator("dialog.panel")
    panel.get_by_role("button", name="Increase the budget").click()
    expect(panel.locator("[data-pointer='/usd'] > .error")).not_to_be_empty()
    panel.get_by_label("US dollars").fill("50.00")
    panel.get_by_label("Reason").fill("A launch.")
    panel.get_by_role("button", name="Increase the budget").click()
    expect(line).to_contain_text("$0.00 of $300.00 used")
    expect(line).to_contain_text("Increased by $50.00 until")
    line.get_by_role("button", name="monthly", exact=True).click()
    expect(panel.get_by_label("Unit")).to_be_disabled()
    panel.get_by_label("Limit").fill("200")
    panel.get_by_role("button", name="End").click()
    panel.get_by_role("button", name="Save").click()
    expect(line).to_contain_text("$0.00 of $200.00 used")
    line.get_by_role("button", name="Reset monthly").click()
    panel.get_by_label("Reason").fill("A test ran wild.")
    panel.get_by_role("button", name="Reset the budget").click()
    expect(page.locator(".toast").last).to_contain_text("monthly begins again.")
    told = tenant.gateway.call("GET", f"/audit?tenant={tenant.id}").json()["entries"]
    assert [one["message"] for one in told[:3]] == ["A test ran wild.", None, "A launch."]
    line.get_by_role("button", name="Delete monthly").click()
    page.get_by_role("button", name="Delete the budget").click()
    expect(page.get_by_text("No budgets.")).to_be_visible()
    assert stored(tenant) == []


def test_budget_that_was_changed_meanwhile_is_not_overwritten(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    dashboard.allow("412: .*/budgets")
    budget = create(tenant)
    page = opened(dashboard, tenant)
    page.get_by_role("button", name="monthly", exact=True).click()
    panel = page.locator("dialog.panel")
    panel.get_by_label("Name").fill("mine")
    path = f"/tenants/{tenant.id}/budgets/{budget['id']}"
    assert tenant.gateway.call("PATCH", path, json={"name": "theirs"}).ok
    panel.get_by_role("button", name="Save").click()
    expect(panel.get_by_role("alert")).to_contain_text("Somebody has changed this since you opened it.")
    assert stored(tenant)[0]["name"] == "theirs"


def test_budgets_of_the_platform_are_shown_to_a_tenant_and_locked(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    create(tenant, name="contract")
    create(tenant, tenant.key, name="ours")
    dashboard.log_in(tenant.key)
    page = opened(dashboard, tenant)
    expect(line_of(page, "contract")).to_contain_text("Platform")
    expect(line_of(page, "contract").locator(".row-actions button")).to_have_count(0)
    expect(line_of(page, "ours").locator(".row-actions button")).to_have_count(3)
    page.get_by_role("button", name="contract", exact=True).press("Enter")
    panel = page.locator("dialog.panel")
    expect(panel).to_contain_text("The platform")
    expect(panel.get_by_role("button", name="Save")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="contract", exact=True)).to_be_focused()


def test_key_that_only_reads_changes_no_budget(dashboard: Dashboard, tenant: TenantInUse) -> None:
    create(tenant, tenant.key, name="ours")
    key = tenant.gateway.call("POST", f"/tenants/{tenant.id}/api-keys", json={"scopes": ["read"]}).json()
    dashboard.log_in(key["key"])
    page = opened(dashboard, tenant)
    expect(page.get_by_role("button", name="Add a budget")).to_be_disabled()
    expect(line_of(page, "ours").locator(".row-actions button")).to_have_count(0)


def test_overview_names_budgets_that_are_spent_or_nearly(dashboard: Dashboard, tenant: TenantInUse) -> None:
    shared = {"tenant_id": tenant.id, "tenant_name": "Acme", "unit": "usd", "limit": "10", "resets_at": None}
    many = [
        {**shared, "id": f"m{at}", "name": f"m{at}", "on_spent": "reject", "used": "10", "held": "0"}
        for at in range(5)
    ]
    budgets = [
        *many,
        {**shared, "id": "b1", "name": HOSTILE, "on_spent": "reject", "used": "9.5", "held": "0.5"},
        {**shared, "id": "b2", "name": "trial", "on_spent": "alert", "used": "9.6", "held": "0"},
    ]

    def with_budgets(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "budgets": budgets})

    dashboard.page.route("**/api/v1/overview?*", with_budgets)
    page = dashboard.open("/ui/")
    expect(page.locator("#attention li")).to_have_count(5)
    page.locator("#attention").get_by_role("button", name=re.compile("more$")).press("Enter")
    spent = page.locator("#attention li").filter(has_text=f"Acme: the budget {HOSTILE} is spent")
    expect(spent).to_contain_text("$9.50 of $10.00 used, $0.50 held. Calls are rejected.")
    expect(page.locator("#attention")).to_contain_text("Acme: the budget trial is used to 96%")
    expect(spent.get_by_role("link")).to_have_attribute("href", f"/ui/tenants/{tenant.id}?tab=budgets")


def test_key_and_usage_show_the_budgets_that_concern_them(dashboard: Dashboard, tenant: TenantInUse) -> None:
    [key] = tenant.gateway.call("GET", f"/tenants/{tenant.id}/api-keys").json()["api_keys"]
    create(tenant, name="of the key", scope={"key": key["id"]})
    create(tenant, name="of all")
    create(tenant, name="of others", scope={"user": "somebody"})
    made = tenant.gateway.call("POST", f"/tenants/{tenant.id}/api-keys/{key['id']}/rotate", json={})
    page = dashboard.open(f"/ui/tenants/{tenant.id}?tab=keys")
    page.get_by_role("row").filter(has_text=made.json()["prefix"]).get_by_role("button").first.click()
    facts = page.locator("dialog.panel dd").filter(has=page.get_by_role("link"))
    expect(facts).to_have_text("of the key $0.00 of $250.00 per month")
    page = dashboard.open(f"/ui/tenants/{tenant.id}?tab=usage")
    card = page.get_by_role("region", name="Budgets")
    expect(card.locator("li")).to_have_count(3)
    expect(card).to_contain_text("$0.00 of $250.00 per month")
