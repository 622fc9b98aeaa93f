"""What all pages share: the log-in, the menu, the theme, the log-out."""

import pytest
from playwright.sync_api import expect

from admin_app.ui.pages import PAGES
from tests.support.browser import TOKEN, Dashboard
from tests.support.gateway import TenantInUse

PATHS = [page.path for page in PAGES]


def path_for(path: str, tenant: TenantInUse) -> str:
    return (
        path.replace("<tenant_id>", tenant.id)
        .replace("<rule_id>", "new")
        .replace("<path:request_id>", "req-1")
    )


@pytest.mark.parametrize("path", PATHS)
def test_page_opens_without_an_error(dashboard: Dashboard, tenant: TenantInUse, path: str) -> None:
    dashboard.allow("404: .*/requests/req-1")
    page = dashboard.open(path_for(path, tenant))
    expect(page.get_by_role("heading", level=1)).to_have_count(1)


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
