"""The parts of all pages: the log-in, the menu, the theme, the log-out."""

import pytest
from playwright.sync_api import expect

from admin_app.ui.pages import PAGES
from tests.support.browser import PHONE, TOKEN, Dashboard
from tests.support.gateway import TenantInUse


def path_for(path: str, tenant: TenantInUse) -> str:
    return (
        path.replace("<tenant_id>", tenant.id)
        .replace("<rule_id>", "new")
        .replace("<path:request_id>", "req-1")
    )


def test_pages_of_a_new_tenant_open_without_an_error(dashboard: Dashboard, tenant: TenantInUse) -> None:
    dashboard.allow("404: .*/requests/req-1")
    for page in PAGES:
        opened = dashboard.open(path_for(page.path, tenant))
        expect(opened.get_by_role("heading", level=1), page.name).to_have_count(1)


def test_first_page_without_a_session_leads_to_the_login_without_an_error(dashboard: Dashboard) -> None:
    dashboard.context.clear_cookies()
    dashboard.allow("401: ")
    dashboard.page.goto(f"{dashboard.url}/")
    dashboard.page.wait_for_url("**/ui/login?next=%2Fui%2F")
    expect(dashboard.page.get_by_label("Platform token or tenant API key")).to_be_focused()


def test_log_in_with_a_wrong_key_says_so_and_with_the_right_one_leads_back(dashboard: Dashboard) -> None:
    dashboard.context.clear_cookies()
    dashboard.allow("401: ")
    page = dashboard.page
    page.goto(f"{dashboard.url}/ui/limits")
    page.wait_for_url("**/ui/login?next=%2Fui%2Flimits")
    page.get_by_label("Platform token or tenant API key").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("The API key is invalid. Check the key.")
    page.get_by_label("Platform token or tenant API key").fill(TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_url("**/ui/limits")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/ui/login")
    assert dashboard.context.cookies() == []


@pytest.mark.parametrize(
    "next_page", ["https://evil.example/", "//evil.example/", "/docs", "/ui/../docs", "http://[", ""]
)
def test_log_in_leads_to_pages_of_the_dashboard_only(dashboard: Dashboard, next_page: str) -> None:
    page = dashboard.open(f"/ui/login?next={next_page}")
    page.get_by_label("Platform token or tenant API key").fill(TOKEN)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{dashboard.url}/ui/")
    dashboard.await_ready()


def test_key_of_a_tenant_lands_on_its_tenant_and_sees_no_page_of_the_platform(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    dashboard.log_in(tenant.key)
    page = dashboard.page
    page.goto(f"{dashboard.url}/ui/")
    page.wait_for_url(f"**/ui/tenants/{tenant.id}")
    menu = page.get_by_role("navigation", name="Main")
    expect(menu.get_by_role("link", name="Tenant", exact=True)).to_have_attribute("aria-current", "page")
    for name in ("Overview", "Tenants", "System"):
        expect(menu.get_by_role("link", name=name, exact=True)).to_have_count(0)


def test_menu_of_a_phone_opens_closes_and_gives_the_focus_back(dashboard: Dashboard) -> None:
    dashboard.page.set_viewport_size(PHONE)
    page = dashboard.open("/ui/")
    link = page.get_by_role("link", name="Tenants", exact=True)
    expect(link).not_to_be_visible()
    page.get_by_role("button", name="Menu").click()
    expect(link).to_be_visible()
    page.keyboard.press("Escape")
    expect(link).not_to_be_visible()
    expect(page.get_by_role("button", name="Menu")).to_be_focused()


def test_theme_stays_when_the_page_is_loaded_again(dashboard: Dashboard) -> None:
    page = dashboard.open("/ui/")
    page.get_by_role("radio", name="Dark").check(force=True)
    page.reload()
    expect(page.locator("html[data-theme=dark]")).to_be_attached()
    expect(page.get_by_role("radio", name="Dark")).to_be_checked()


@pytest.mark.slow
def test_page_keeps_its_data_while_the_gateway_is_away_and_recovers(dashboard: Dashboard) -> None:
    dashboard.allow("failed: ", "console: ")
    page = dashboard.open("/ui/")
    page.route("**/api/v1/overview*", lambda route: route.abort())
    page.get_by_role("radio", name="15 min").check(force=True)
    expect(page.get_by_role("alert")).to_contain_text("The gateway cannot be reached")
    expect(page.locator("#tiles .tile")).to_have_count(5)
    page.unroute("**/api/v1/overview*")
    # The next poll may be as late as the timeout of other expectations.
    expect(page.get_by_role("alert")).to_have_count(0, timeout=15_000)


@pytest.mark.parametrize(
    ("most", "steps"), [(0, ["0", "1"]), (3, ["0", "1", "2", "3"]), (10, ["0", "5", "10"])]
)
def test_axis_of_requests_has_whole_numbers_only(dashboard: Dashboard, most: int, steps: list[str]) -> None:
    found = dashboard.context.request.get(f"{dashboard.url}/api/v1/overview").json()
    found["minutes"] = [{**one, "requests": 0, "rejected": 0} for one in found["minutes"]]
    found["minutes"][-1]["requests"] = most
    dashboard.page.route("**/api/v1/overview*", lambda route: route.fulfill(json=found))
    page = dashboard.open("/ui/")
    labels = page.locator("#chart svg text[text-anchor=end]")
    expect(labels).to_have_text(steps)
