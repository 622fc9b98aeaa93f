"""Versions: of a tenant in its tab History, and of the platform on a page of their own."""

import re
from typing import Any

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_all_pages import NAUGHTY, findings
from tests.support.browser import DESKTOP, PHONE, Dashboard
from tests.support.gateway import TenantInUse

TARGET, OTHER = "http://127.0.0.1:9/old", "http://127.0.0.1:9/new"


def change(tenant: TenantInUse, method: str, path: str, body: Any, reason: str = "", key: str = "") -> Any:
    """Make a change, with a reason and by a key of the tenant if they are given."""
    headers = {"X-Gateway-Message": reason.encode()} if reason else {}
    made = tenant.gateway.call(
        method, f"/tenants/{tenant.id}{path}", key=key or None, headers=headers, json=body
    )
    assert made.ok, made.text
    return made.json()


@pytest.fixture
def changed(tenant: TenantInUse) -> TenantInUse:
    """A tenant with four versions: a rule added, moved by a key, and its credential stored again."""
    secrets = [{"Authorization": f"Bearer canary-{number}"} for number in range(2)]
    rule = change(tenant, "POST", "/rules", {"path": "/v1", "target": TARGET, "headers": secrets[0]})
    where = f"/rules/{rule['id']}"
    change(tenant, "PATCH", where, {"target": OTHER}, "Move to the new upstream. Größer!", tenant.key)
    change(tenant, "PATCH", where, {"headers": secrets[1], "methods": ["GET"]})
    return tenant


def opened(dashboard: Dashboard, tenant: TenantInUse, version: int | None = None) -> Page:
    query = "" if version is None else f"&version={version}"
    return dashboard.open(f"/ui/tenants/{tenant.id}?tab=history{query}")


def lines(page: Page) -> Locator:
    return page.get_by_role("dialog").locator(".differences li")


def test_versions_tell_author_and_reason_and_one_is_opened_with_its_differences(
    dashboard: Dashboard, changed: TenantInUse
) -> None:
    page = opened(dashboard, changed)
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.nth(0)).to_contain_text("Present")
    expect(rows.nth(1)).to_contain_text("first key")
    expect(rows.nth(1)).to_contain_text("Move to the new upstream. Größer!")
    expect(rows.nth(2)).to_contain_text("Platform")
    page.get_by_role("button", name="3", exact=True).click()
    panel = page.get_by_role("dialog", name="Version 3")
    expect(panel.get_by_role("heading", name="Rule /v1")).to_be_visible()
    expect(lines(page)).to_have_count(1)
    expect(lines(page)).to_contain_text("Changedtarget")
    expect(lines(page).locator("del")).to_contain_text(TARGET)
    expect(lines(page).locator("ins")).to_contain_text(OTHER)
    expect(page).to_have_url(re.compile("version=3$"))
    panel.get_by_role("button", name="Compare with the present").click()
    expect(panel.get_by_role("heading", name="From version 3 to version 4")).to_be_visible()
    expect(lines(page).filter(has_text="Authorization")).to_contain_text("Stored again")
    expect(lines(page).filter(has_text="methods").locator("ins")).to_contain_text("GET")
    assert "canary" not in page.content()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="3", exact=True)).to_be_focused()
    expect(page).to_have_url(re.compile(r"\?tab=history$"))


def test_pinned_version_is_marked_in_the_list(dashboard: Dashboard, changed: TenantInUse) -> None:
    page = opened(dashboard, changed, 2)
    page.get_by_role("button", name="Pin", exact=True).click()
    page.get_by_role("button", name="Unpin").click()
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.get_by_role("button", name="Unpin")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("tbody tr").filter(has_text="Pinned")).to_contain_text("rule /v1 added")
    expect(page.get_by_text("Pinned", exact=True)).to_have_count(1)
    stored = changed.gateway.call("GET", f"/tenants/{changed.id}/versions/2").json()
    assert stored["pinned"] is True


def test_rollback_shows_what_will_change_and_makes_a_new_version_with_its_reason(
    dashboard: Dashboard, changed: TenantInUse
) -> None:
    page = opened(dashboard, changed, 2)
    page.get_by_role("button", name="Roll back…").click()
    panel = page.get_by_role("dialog", name="Roll back to version 2?")
    expect(panel.locator("li").filter(has_text="target").locator("del")).to_contain_text(OTHER)
    expect(panel.locator("li").filter(has_text="target").locator("ins")).to_contain_text(TARGET)
    panel.get_by_label("Reason").fill("The new upstream was slow.")
    panel.get_by_role("button", name="Roll back").click()
    expect(page.locator(".toast")).to_have_text("Version 5 has the content of version 2.")
    expect(page.get_by_role("dialog")).to_have_count(0)
    newest = page.locator("tbody tr").first
    for text in ("5", "Present", "Back to 2", "The new upstream was slow.", "Rollback"):
        expect(newest).to_contain_text(text)
    [rule] = changed.gateway.call("GET", f"/tenants/{changed.id}/rules").json()["rules"]
    assert rule["target"] == TARGET


@pytest.mark.slow
def test_rollback_overwrites_no_change_of_somebody_else(dashboard: Dashboard, changed: TenantInUse) -> None:
    dashboard.allow("412: .*/rollback")
    page = opened(dashboard, changed, 2)
    page.get_by_role("button", name="Roll back…").click()
    panel = page.get_by_role("dialog", name="Roll back to version 2?")
    expect(panel).to_be_visible()
    change(changed, "PATCH", "", {"name": "Meanwhile"})
    panel.get_by_role("button", name="Roll back").click()
    expect(panel.get_by_role("alert")).to_contain_text("Somebody has changed this")
    panel.get_by_role("button", name="Load the newest").click()
    expect(page.locator("tbody tr")).to_have_count(5)
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.slow
def test_versions_of_many_pages_are_read_on_demand(dashboard: Dashboard, tenant: TenantInUse) -> None:
    for number in range(60):
        change(tenant, "PATCH", "", {"name": f"Name {number}"})
    page = opened(dashboard, tenant)
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("tbody tr")).to_have_count(61)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    page.get_by_role("button", name="1", exact=True).click()
    expect(page.get_by_role("heading", name="What it has")).to_be_visible()


@pytest.mark.slow
def test_key_that_may_only_read_compares_versions_but_pins_none(
    dashboard: Dashboard, changed: TenantInUse
) -> None:
    key = change(changed, "POST", "/api-keys", {"name": "Reader", "scopes": ["read"]})["key"]
    dashboard.log_in(key)
    page = opened(dashboard, changed, 3)
    expect(lines(page)).to_have_count(1)
    expect(page.get_by_role("button", name="Pin")).to_have_count(0)
    expect(page.get_by_role("button", name="Roll back…")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.get_by_text("Your key has the scope read.")).to_be_visible()


@pytest.mark.slow
def test_version_that_is_not_kept_is_told(dashboard: Dashboard, changed: TenantInUse) -> None:
    dashboard.allow("404: .*/versions/99")
    page = opened(dashboard, changed, 99)
    expect(page.get_by_text("The version does not exist.")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(4)


@pytest.mark.slow
def test_platform_has_a_history_of_its_own(dashboard: Dashboard, tenant: TenantInUse) -> None:
    provider = {"name": "main", "kind": "openai", "keys": [{"name": "a", "secret": "sk-canary"}]}
    made = tenant.gateway.create("/providers", **provider)
    tenant.gateway.call("PATCH", f"/providers/{made['id']}", json={"enabled": False})
    page = dashboard.open("/ui/audit")
    page.get_by_role("link", name="Versions of the platform").click()
    dashboard.await_ready()
    newest = page.locator("tbody tr").first
    expect(newest).to_contain_text("provider main changed (enabled)")
    newest.get_by_role("button").click()
    panel = page.get_by_role("dialog")
    expect(panel.get_by_role("heading", name="Provider main")).to_be_visible()
    expect(lines(page)).to_contain_text("enabled")
    dashboard.log_in(tenant.key)
    dashboard.open("/ui/history")
    expect(page.get_by_role("link", name="Open them")).to_have_attribute(
        "href", f"/ui/tenants/{tenant.id}?tab=history"
    )
    tenant.gateway.call("DELETE", f"/providers/{made['id']}")


@pytest.mark.slow
def test_reason_that_is_written_beside_save_is_kept(dashboard: Dashboard, tenant: TenantInUse) -> None:
    page = dashboard.open(f"/ui/tenants/{tenant.id}?tab=settings")
    page.get_by_label("Name", exact=True).fill("Renamed")
    page.get_by_label("Reason").fill("Größer geworden, 大")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Renamed")
    [newest, *_] = tenant.gateway.call("GET", f"/tenants/{tenant.id}/versions").json()["versions"]
    assert (newest["message"], newest["source"]) == ("Größer geworden, 大", "ui")


@pytest.mark.slow
def test_reason_of_a_rule_is_kept_and_is_no_change_of_the_rule(
    dashboard: Dashboard, changed: TenantInUse
) -> None:
    [rule] = changed.gateway.call("GET", f"/tenants/{changed.id}/rules").json()["rules"]
    page = dashboard.open(f"/ui/tenants/{changed.id}/rules/{rule['id']}")
    expect(page.get_by_label("Reason")).to_be_hidden()
    page.get_by_label("Path", exact=True).fill("/v2")
    page.get_by_label("Reason").fill("The second version.")
    page.get_by_label("Reason").press("Enter")
    expect(page.locator(".toast")).to_contain_text("Saved.")
    expect(page.get_by_label("Reason")).to_be_hidden()
    [newest, *_] = changed.gateway.call("GET", f"/tenants/{changed.id}/versions").json()["versions"]
    assert (newest["message"], newest["summary"]) == ("The second version.", "rule /v2 changed (path)")


@pytest.mark.slow
def test_open_version_is_accessible_and_what_others_typed_is_text(
    dashboard: Dashboard, changed: TenantInUse
) -> None:
    for text in NAUGHTY:
        change(changed, "PATCH", "", {"name": text}, text)
    chain = [
        {"name": "content_validator", "stage": "pre_request", "settings": {"blocked_patterns": NAUGHTY[:2]}}
    ]
    change(changed, "POST", "/rules", {"path": "/long", "target": TARGET, "plugin_chain": chain})
    page = opened(dashboard, changed, 4)
    page.evaluate(AXE_SCRIPT)
    page.get_by_role("button", name="Compare with the present").click()
    page.get_by_text("values").first.click()
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            assert findings(page) == []
        over = page.locator(".panel-body").evaluate("one => one.scrollWidth - one.clientWidth")
        assert over <= 0
    assert page.evaluate("window.naughty") is None
    expect(page.get_by_role("dialog")).to_contain_text(NAUGHTY[-1])
