"""The pages Test a request and Plugins."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.support.browser import Dashboard
from tests.support.gateway import TenantInUse

TARGET = "http://127.0.0.1:9/base"
LIMITER = {"name": "rate_limiter", "settings": {"limit": 5, "window": "1m"}}


def new_rule(tenant: TenantInUse, path: str, **fields: object) -> None:
    document = {"path": path, "target": TARGET, **fields}
    made = tenant.gateway.call("POST", f"/tenants/{tenant.id}/rules", json=document)
    assert made.status_code == 201, made.text


@pytest.mark.slow
def test_request_is_explained_step_by_step_and_kept_in_the_address(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    dashboard.allow("422: .*/explain")
    new_rule(tenant, "/v1", plugin_chain=[LIMITER])
    new_rule(tenant, "/other", methods=["GET"])
    page = dashboard.open(f"/ui/test?tenant={tenant.id}")
    page.get_by_label("Fill in for the rule").select_option(label="/v1")
    expect(page.get_by_label("Path")).to_have_value("/v1/chat/completions")
    page.get_by_role("button", name="Run").click()
    result = page.locator("#result")
    expect(result).to_contain_text("The request reaches the upstream.")
    expect(result.get_by_role("region", name="Rules")).to_contain_text("The path is not below /other.")
    expect(result.get_by_role("region", name="Plugins")).to_contain_text("Rate limiter rulePasses")
    expect(result.get_by_role("region", name="Limits")).to_contain_text("5 / 1m54—Allows")
    expect(result).to_contain_text(f"POST {TARGET}/v1/chat/completions")
    page.get_by_label("Path").fill("v1")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_label("Path")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Path").fill("/other")
    page.get_by_role("button", name="Run").click()
    expect(result).to_contain_text("Rejected: 405 method_not_allowed, by gateway.")
    page.reload()
    dashboard.await_ready()
    expect(page.get_by_label("Path")).to_have_value("/other")
    dashboard.open(f"/ui/test?tenant={tenant.id}&path=/v1/x&model=m%2F1")
    expect(page.get_by_label("Path")).to_have_value("/v1/x")
    expect(page.get_by_role("textbox", name="Body")).to_have_value(re.compile('"model": "m/1"'))


@pytest.mark.slow
def test_plugins_are_found_by_a_word_and_shown_with_settings_and_example(dashboard: Dashboard) -> None:
    page = dashboard.open("/ui/plugins")
    page.get_by_label("Filter plugins").fill("429")
    cards = page.locator("#page section.card")
    expect(cards).to_have_count(1)
    expect(cards).to_contain_text("All its entries are one step")
    page.get_by_text(re.compile(r"^\d+ settings$")).click()
    expect(page.get_by_role("row", name="window duration")).to_be_visible()
    page.get_by_text("An entry to copy").click()
    assert json.loads(page.locator("pre").inner_text())["name"] == "rate_limiter"
    page.get_by_label("Filter plugins").fill("no such plugin")
    expect(page.get_by_text("No plugin matches.")).to_be_visible()
