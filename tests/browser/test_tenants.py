"""The page Tenants: how tenants are added and found."""

from itertools import count

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.support.browser import PHONE, Dashboard
from tests.support.gateway import TenantInUse

HOSTILE = "<img src=x onerror=alert(1)>"
number = count()


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until the focus is where `wanted` is."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if wanted.evaluate("node => node === document.activeElement"):
            return
    raise AssertionError("The keyboard does not reach it.")


def named(dashboard: Dashboard, **document: str) -> TenantInUse:
    return dashboard.gateway.create_tenant(**document)


@pytest.mark.slow
def test_newcomer_gets_from_a_tenant_to_a_rule_and_a_key_with_the_keyboard_alone(
    dashboard: Dashboard,
) -> None:
    page, keys = dashboard.open("/ui/tenants"), dashboard.page.keyboard
    tab_to(page, page.get_by_role("button", name="Add a tenant").first)
    keys.press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    keys.type("Newcomer & Söhne")
    expect(page.get_by_label("Subdomain")).to_have_value("newcomer-sohne")
    keys.press("Enter")
    once = page.get_by_role("dialog", name="Newcomer & Söhne is added")
    expect(once.locator("code")).to_contain_text("gwk_")
    keys.press("Escape")  # it must not close the only sight of the key
    expect(once).to_be_visible()
    tab_to(page, once.get_by_role("button", name="I have stored it"))
    keys.press("Enter")
    page.wait_for_url("**/ui/tenants/tenant_*")
    dashboard.await_ready()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Newcomer & Söhne")

    tab_to(page, page.get_by_role("button", name="Add a rule").first)
    keys.press("Enter")
    path = page.get_by_label("Path", exact=True)
    expect(path).to_be_visible()
    tab_to(page, path)
    keys.type("/search")
    tab_to(page, page.get_by_label("Target", exact=True))
    keys.type("https://1.1.1.1")
    keys.press("Enter")
    page.wait_for_url("**/rules/rule_*")
    page.go_back()
    dashboard.await_ready()
    expect(page.get_by_role("link", name="/search")).to_be_visible()

    tab_to(page, page.get_by_role("navigation", name="Tenant").get_by_role("link", name="Keys"))
    keys.press("Enter")
    tab_to(page, page.get_by_role("button", name="Create a key"))
    keys.press("Enter")
    keys.type("production")
    keys.press("Enter")
    secret = page.get_by_role("dialog").locator("code").inner_text()
    tab_to(page, page.get_by_role("button", name="I have stored it"))
    keys.press("Enter")
    row = page.get_by_role("row").filter(has_text="production")
    expect(row).to_contain_text(secret[:8])
    assert secret not in page.content()


def test_faults_of_a_new_tenant_stand_at_their_fields_until_they_are_corrected(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    dashboard.allow("422: .*/tenants")
    page = dashboard.open("/ui/tenants")
    page.get_by_role("button", name="Add a tenant").first.click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Subdomain").fill(tenant.subdomain)
    save = panel.get_by_role("button", name="Add the tenant")
    save.click()
    expect(panel.get_by_role("alert")).to_contain_text("2 fields are wrong.")
    expect(panel.get_by_role("alert")).to_be_focused()
    name, subdomain = panel.get_by_label("Name", exact=True), panel.get_by_label("Subdomain")
    expect(name).to_have_attribute("aria-invalid", "true")
    expect(panel.locator('[data-pointer="/subdomain"] .error')).to_contain_text("is in use")
    panel.get_by_role("button", name="Subdomain").click()
    expect(subdomain).to_be_focused()
    subdomain.fill(f"corrected-{next(number)}")
    name.fill("Corrected")
    save.click()
    expect(page.get_by_role("dialog", name="Corrected is added")).to_be_visible()


@pytest.mark.slow
def test_tenants_are_found_by_text_and_status_and_the_address_says_so(dashboard: Dashboard) -> None:
    wanted = named(dashboard, name="Wanted Zebra", subdomain="wanted-zebra", status="disabled")
    named(dashboard, name="Other Zebra", subdomain="other-zebra")
    page = dashboard.open("/ui/tenants")
    page.get_by_label("Filter tenants").fill("zebra")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(2)
    page.get_by_role("radio", name="Disabled").check()
    expect(rows).to_have_count(1)
    expect(rows.get_by_role("link")).to_have_attribute("href", f"/ui/tenants/{wanted.id}")
    assert page.url.endswith("?text=zebra&status=disabled")
    dashboard.open("/ui/tenants?text=nobody")
    expect(page.get_by_text("No tenant matches.")).to_be_visible()
    page.get_by_role("button", name="Clear the filter").click()
    expect(page.get_by_label("Filter tenants")).to_have_value("")
    expect(rows.first).to_be_visible()


@pytest.mark.slow
def test_names_are_shown_as_text(dashboard: Dashboard) -> None:
    named(dashboard, name=HOSTILE, subdomain="hostile")
    page = dashboard.open("/ui/tenants?text=hostile")
    expect(page.get_by_role("link", name=HOSTILE)).to_be_visible()
    assert page.locator("img").count() == 0


@pytest.mark.slow
def test_key_of_a_tenant_is_led_from_the_list_to_its_own_tenant(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    dashboard.log_in(tenant.key)
    dashboard.page.goto(f"{dashboard.url}/ui/tenants")
    dashboard.page.wait_for_url(f"**/ui/tenants/{tenant.id}")
    dashboard.await_ready()


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "none"])
def test_list_without_tenants_leads_on(dashboard: Dashboard, text: str) -> None:
    page = dashboard.page
    empty = '{"tenants": [], "count": 0, "next_cursor": null}'
    page.route(
        "**/api/v1/tenants?*", lambda route: route.fulfill(body=empty, content_type="application/json")
    )
    dashboard.open(f"/ui/tenants?text={text}")
    expect(page.get_by_text("No tenants yet." if not text else "No tenant matches.")).to_be_visible()
    next_step = "Add a tenant" if not text else "Clear the filter"
    expect(page.locator("tbody").get_by_role("button", name=next_step)).to_be_visible()


@pytest.mark.slow
def test_pages_fit_on_a_phone(dashboard: Dashboard, tenant: TenantInUse) -> None:
    dashboard.gateway.call("POST", f"/tenants/{tenant.id}/api-keys", json={"name": "x" * 120})
    dashboard.page.set_viewport_size(PHONE)
    tabs = ("rules", "keys", "limits", "plugins", "usage", "settings")
    for path in ("/ui/tenants", *(f"/ui/tenants/{tenant.id}?tab={tab}" for tab in tabs)):
        page = dashboard.open(path)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], path
