"""Webhooks in the pages System and Settings of a tenant: added, tested, changed and deleted."""

import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Dashboard
from tests.support.gateway import TenantInUse
from tests.support.upstream import Upstream, replying, sized

pytestmark = pytest.mark.slow

SECRET = "canary-of-a-webhook-that-signs"


@pytest.fixture
def receiver() -> Iterator[Upstream]:
    with Upstream(replying(lambda _: sized(b"", "204 No Content"))) as upstream:
        yield upstream


def add(page: Page, url: str, secret: str = SECRET) -> None:
    page.get_by_role("button", name="Add a webhook").click()
    panel = page.locator("dialog.panel")
    panel.get_by_label("Name").fill("on-call")
    panel.get_by_label("URL").fill(url)
    panel.get_by_label("Secret").fill(secret)
    panel.get_by_role("checkbox", name="Target not called").uncheck()
    panel.get_by_role("button", name="Add the webhook").click()


@pytest.mark.parametrize("is_platforms", [False, True], ids=["tenant", "platform"])
def test_webhook_is_added_tested_changed_and_deleted(
    dashboard: Dashboard, tenant: TenantInUse, receiver: Upstream, is_platforms: bool
) -> None:
    page = dashboard.open("/ui/system" if is_platforms else f"/ui/tenants/{tenant.id}?tab=settings")
    card = page.get_by_role("region", name="Webhooks", exact=True)
    expect(card).to_contain_text("No webhook.")
    add(page, f"{receiver.url}/hook")
    row = card.locator("tbody tr")
    expect(row).to_contain_text(f"{receiver.url}/hook")
    expect(row).to_contain_text("Budget reached")
    expect(row).not_to_contain_text("Target not called")
    expect(row).to_contain_text("Nothing yet")
    card.get_by_role("button", name="Test on-call").click()
    expect(card).to_contain_text("on-call: Status 204 after")
    if folder := os.environ.get("WEBHOOKS_PICTURES"):
        page.screenshot(path=f"{folder}/{is_platforms}.png", full_page=True)
    row.get_by_role("button", name="on-call", exact=True).click()
    panel = page.locator("dialog.panel")
    assert panel.get_by_label("Secret").input_value() == ""
    if folder:
        page.screenshot(path=f"{folder}/{is_platforms}-panel.png")
    panel.get_by_role("switch", name="Active").uncheck()
    panel.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("Off")
    assert SECRET not in page.content()
    card.get_by_role("button", name="Delete on-call").click()
    page.get_by_role("button", name="Delete the webhook").click()
    expect(card).to_contain_text("No webhook.")


def test_what_is_wrong_stands_at_its_field(dashboard: Dashboard, tenant: TenantInUse) -> None:
    dashboard.allow("422: .*/webhooks")
    page = dashboard.open(f"/ui/tenants/{tenant.id}?tab=settings")
    add(page, "https://169.254.169.254/", "too-short")
    panel = page.locator("dialog.panel")
    expect(panel.locator("[data-pointer='/url'] .error")).to_contain_text("169.254.169.254")
    expect(panel.locator("[data-pointer='/secret'] .error")).to_contain_text("at least 16 characters")


def test_key_that_only_reads_sees_webhooks_and_changes_none(
    dashboard: Dashboard, tenant: TenantInUse, receiver: Upstream
) -> None:
    hook = {"name": "on-call", "url": receiver.url, "events": ["key.rejected"], "secret": SECRET}
    made = tenant.gateway.call("POST", f"/tenants/{tenant.id}/webhooks", json=hook)
    assert made.status_code == 201
    key = tenant.gateway.call("POST", f"/tenants/{tenant.id}/api-keys", json={"scopes": ["read"]}).json()
    dashboard.log_in(key["key"])
    page = dashboard.open(f"/ui/tenants/{tenant.id}?tab=settings")
    card = page.get_by_role("region", name="Webhooks", exact=True)
    expect(card.locator("tbody tr")).to_contain_text("on-call")
    for name in ("Add a webhook", "Test on-call", "Delete on-call"):
        expect(card.get_by_role("button", name=name)).to_be_disabled()
