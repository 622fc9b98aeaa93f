"""The page of a tenant: its rules, keys, limits, plugins, usage and settings."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from examples.demo_upstream.server import DemoUpstream
from tests.support.browser import Dashboard
from tests.support.commands import serving
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.wait import until

HOSTILE = "<img src=x onerror=alert(1)>"
NAUGHTY = (HOSTILE, "${7*7}{{7*7}}", "'; DROP TABLE --", "مرحبا ‮abc", "Ṱ̺̺̕o͞ ̷i̲̬n", "ﷺ" * 20)
PER_MINUTE = {"limit": 5, "window": "1m"}


def opened(dashboard: Dashboard, tenant: TenantInUse, tab: str = "rules") -> Page:
    return dashboard.open(f"/ui/tenants/{tenant.id}?tab={tab}")


def call(tenant: TenantInUse, method: str, path: str = "", /, **document: Any) -> Any:
    """Call the API below the tenant as the platform."""
    response = tenant.gateway.call(method, f"/tenants/{tenant.id}{path}", json=document or None)
    assert response.ok, response.text
    return response.json() if response.content else None


@pytest.mark.slow
def test_rule_with_wrong_fields_is_corrected_in_one_go(dashboard: Dashboard, tenant: TenantInUse) -> None:
    dashboard.allow("422: .*/rules")
    page = opened(dashboard, tenant)
    expect(page.get_by_text("No rules yet.")).to_be_visible()
    page.get_by_role("button", name="Add a rule").click()
    panel = page.get_by_role("dialog")
    panel.get_by_role("radio", name="A service").check()
    panel.get_by_label("Path", exact=True).fill("search")
    panel.get_by_label("Target", exact=True).fill("http://10.0.0.1")
    panel.get_by_role("button", name="Add the rule").click()
    expect(panel.locator('[data-pointer="/path"] .error')).to_contain_text("begin with a slash")
    expect(panel.locator('[data-pointer="/target"] .error')).to_contain_text("is not allowed")
    panel.get_by_label("Path", exact=True).fill("/search")
    panel.get_by_label("Target", exact=True).fill("https://1.1.1.1")
    panel.get_by_label("POST").check(force=True)
    panel.get_by_role("button", name="Add the rule").click()
    page.wait_for_url("**/rules/rule_*")
    [rule] = call(tenant, "GET", "/rules")["rules"]
    assert (rule["path"], rule["target"], rule["methods"]) == ("/search", "https://1.1.1.1", ["POST"])


@pytest.mark.slow
def test_rule_for_ai_without_a_provider_is_saved_and_its_warning_stays(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    page = opened(dashboard, tenant)
    page.get_by_role("button", name="Add a rule").click()
    panel = page.get_by_role("dialog")
    panel.get_by_role("radio", name="AI models").check()
    expect(panel.get_by_text("This tenant has no provider yet.")).to_be_visible()
    panel.get_by_role("button", name="Add the rule").click()
    page.wait_for_url("**/rules/rule_*")
    page = opened(dashboard, tenant)
    notes = page.locator("#notes")
    expect(notes).to_contain_text("The tenant has no provider yet, so the rule has no models.")
    expect(notes.get_by_role("link", name="/v1")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="/v1")).to_contain_text("1 warning")


@pytest.mark.slow
def test_key_is_rotated_and_the_old_one_ends_a_day_later(dashboard: Dashboard, tenant: TenantInUse) -> None:
    page = opened(dashboard, tenant, "keys")
    page.get_by_role("button", name="Rotate first key").click()
    expect(page.get_by_label("The old key ends")).to_have_value("1d")
    page.get_by_role("button", name="Rotate the key").click()
    once = page.get_by_role("dialog", name="The new key")
    expect(once).to_contain_text("ends after 24 hours")
    new = once.locator("code").inner_text()
    once.get_by_role("button", name="I have stored it").click()
    expect(page.get_by_role("row").filter(has_text="In 23 h")).to_have_count(1)
    expect(page.locator("tbody tr")).to_have_count(2)
    for key in (tenant.key, new):
        assert tenant.gateway.call("GET", f"/tenants/{tenant.id}", key).status_code == 200


def test_key_is_revoked_after_a_question_that_names_it(dashboard: Dashboard, tenant: TenantInUse) -> None:
    key = call(tenant, "POST", "/api-keys", name="leaked", scopes=["read"])
    page = opened(dashboard, tenant, "keys")
    page.get_by_role("button", name="Revoke leaked").click()
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text(f"Revoke “leaked” ({key['prefix']}…)?")
    asked.get_by_role("button", name="Cancel").click()
    assert tenant.gateway.call("GET", f"/tenants/{tenant.id}", key["key"]).status_code == 200
    page.get_by_role("button", name="Revoke leaked").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke the key").click()
    expect(page.get_by_role("row").filter(has_text="leaked")).to_have_count(0)
    assert tenant.gateway.call("GET", f"/tenants/{tenant.id}", key["key"]).status_code == 401
    page.get_by_role("radio", name="All").check()
    expect(page.get_by_role("row").filter(has_text="leaked")).to_contain_text("Revoked")


@pytest.mark.slow
def test_limits_show_what_is_used(dashboard: Dashboard, tenant: TenantInUse) -> None:
    call(
        tenant,
        "PATCH",
        plugin_chain=[{"name": "rate_limiter", "settings": {"limits": {"per_key": PER_MINUTE}}}],
    )
    page = opened(dashboard, tenant, "limits")
    row = page.get_by_role("row").filter(has_text="per_key").filter(has_text="first key")
    expect(row).to_contain_text("5 in 1m")
    expect(row).to_contain_text("0 / 5")


@pytest.mark.slow
def test_plugin_of_all_rules_is_added_edited_moved_and_removed(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    dashboard.allow("422: .*/tenants/")
    page = opened(dashboard, tenant, "plugins")
    own = page.get_by_role("region", name="Plugins of all rules").first
    own.get_by_role("button", name="Add a plugin").click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Plugin", exact=True).select_option("rate_limiter")
    panel.locator('[data-pointer="/plugin_chain/0/settings/limit"] input').fill("5")
    panel.get_by_role("button", name="Add the plugin").click()
    expect(panel.get_by_role("alert")).to_be_visible()  # a limit needs a window
    panel.locator('[data-pointer="/plugin_chain/0/settings/window"] input').fill("1m")
    panel.get_by_label("Reason").fill("Five are enough.")
    panel.get_by_role("button", name="Add the plugin").click()
    expect(own.get_by_role("button", name="rate_limiter", exact=True)).to_be_visible()
    [entry] = call(tenant, "GET")["plugin_chain"]
    assert (entry["name"], entry["settings"], entry["priority"]) == ("rate_limiter", PER_MINUTE, 100)
    [newest, *_] = tenant.gateway.call("GET", f"/tenants/{tenant.id}/versions").json()["versions"]
    assert newest["message"] == "Five are enough."
    own.get_by_role("button", name="rate_limiter", exact=True).click()
    panel.locator('[data-pointer="/plugin_chain/0/settings/limit"] input').fill("2.50")
    panel.locator('[data-pointer="/plugin_chain/0/settings/unit"] select').select_option("usd")
    panel.get_by_role("button", name="Save").click()
    expect(panel).to_be_hidden()
    [entry] = call(tenant, "GET")["plugin_chain"]
    assert entry["settings"] == {"limit": "2.50", "unit": "usd", "window": "1m"}

    second = {"name": "content_validator", "settings": {"max_size": "1MB"}, "priority": 200}
    call(tenant, "PATCH", plugin_chain=[entry, second])
    page = opened(dashboard, tenant, "plugins")
    own = page.get_by_role("region", name="Plugins of all rules").first
    own.get_by_role("button", name="Run later: rate_limiter").click()
    expect(own.locator("tbody tr").first).to_contain_text("content_validator")
    own.get_by_role("button", name="rate_limiter", exact=True).click()
    page.get_by_role("dialog").get_by_role("switch", name="Enabled").uncheck(force=True)
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(own.get_by_role("row").filter(has_text="rate_limiter")).to_contain_text("Off")
    stored: list[Mapping[str, Any]] = call(tenant, "GET")["plugin_chain"]
    assert {one["name"]: (one["priority"], one["enabled"]) for one in stored} == {
        "rate_limiter": (200, False),
        "content_validator": (100, True),
    }
    own.get_by_role("button", name="Remove: content_validator").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove the plugin").click()
    expect(own.locator("tbody tr")).to_have_count(1)


@pytest.mark.slow
def test_settings_that_somebody_else_has_changed_are_not_overwritten(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    dashboard.allow("412: ")
    page = opened(dashboard, tenant, "settings")
    name = page.get_by_label("Name", exact=True)
    name.fill("Mine")
    expect(page.get_by_text("Changes are not saved.")).to_be_visible()
    call(tenant, "PATCH", name="Theirs")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Somebody has changed this")
    assert call(tenant, "GET")["name"] == "Theirs"
    page.get_by_role("button", name="Load the newest").click()
    expect(name).to_have_value("Theirs")
    name.fill("Mine")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Mine")
    assert call(tenant, "GET")["name"] == "Mine"


@pytest.mark.slow
def test_tenant_is_disabled_enabled_and_deleted(dashboard: Dashboard, tenant: TenantInUse) -> None:
    page = opened(dashboard, tenant, "settings")
    page.get_by_role("button", name="Disable", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Disable the tenant").click()
    expect(page.locator("#notes")).to_contain_text("This tenant is disabled.")
    page.locator("#notes").get_by_role("button", name="Enable").click()
    expect(page.locator("#status")).to_have_text("Active")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete the tenant").click()
    page.wait_for_url("**/ui/tenants")
    assert tenant.gateway.call("GET", f"/tenants/{tenant.id}").status_code == 404


@pytest.mark.slow
def test_read_only_key_sees_everything_locked_with_the_reason(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    key = call(tenant, "POST", "/api-keys", name="reader", scopes=["read"])["key"]
    dashboard.log_in(key)
    for tab, button in (("rules", "Add a rule"), ("keys", "Create a key"), ("plugins", "Add a plugin")):
        page = opened(dashboard, tenant, tab)
        expect(page.get_by_text("Changes need a key with the scope admin.").first).to_be_visible()
        expect(page.get_by_role("button", name=button).first).to_be_disabled()
    page = opened(dashboard, tenant, "settings")
    expect(page.get_by_label("Name", exact=True)).to_be_disabled()
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)


@pytest.mark.slow
def test_admin_key_of_a_tenant_may_rename_it_but_not_change_what_the_platform_sets(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    call(tenant, "PATCH", required_plugins={"security_validator": {}})
    dashboard.log_in(tenant.key)
    page = opened(dashboard, tenant, "settings")
    expect(page.get_by_label("Subdomain")).to_be_disabled()
    expect(page.get_by_label("Tier")).to_be_disabled()
    page.get_by_label("Name", exact=True).fill("Renamed")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Renamed")
    page.get_by_role("navigation", name="Tenant").get_by_role("link", name="Plugins").click()
    expect(page.get_by_text("Only the platform can change these.")).to_be_visible()
    assert page.url.endswith("?tab=plugins")


@pytest.mark.slow
def test_naughty_text_is_shown_as_text(dashboard: Dashboard, tenant: TenantInUse) -> None:
    call(tenant, "PATCH", name=HOSTILE)
    for name in NAUGHTY:
        call(tenant, "POST", "/api-keys", name=name, user=name, metadata={"tag": name})
    page = opened(dashboard, tenant, "keys")
    expect(page.get_by_role("heading", level=1)).to_contain_text(HOSTILE)
    for name in NAUGHTY:
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.get_by_role("dialog")).to_contain_text(f"tag = {name}")
        page.keyboard.press("Escape")
    assert page.locator("img").count() == 0


@pytest.mark.slow
def test_tenant_that_is_not_there_is_told(dashboard: Dashboard) -> None:
    dashboard.allow("404: ")
    page = dashboard.open("/ui/tenants/tenant_0")
    expect(page.get_by_role("alert")).to_contain_text("The tenant does not exist.")


@pytest.mark.slow
def test_usage_of_a_call_is_shown_by_day_and_by_key(
    dashboard: Dashboard, proxy: RunningGateway, tenant: TenantInUse
) -> None:
    with serving(DemoUpstream(0)) as port:
        where = {"kind": "custom", "base_url": f"http://127.0.0.1:{port}/v1", "apis": ["openai.chat"]}
        model = {"id": "demo-small", "prices": {"input": "1000", "output": "1000"}}
        call(tenant, "POST", "/providers", name="demo", models=[model], **where)
        rule = call(tenant, "POST", "/rules", path="/demo", ai={})
        tenant.await_rule("/demo")
        body = {"model": "demo-small", "messages": [{"role": "user", "content": "hello"}]}
        assert tenant.request("POST", "/demo/v1/chat/completions", json=body).status_code == 200
    for _ in until(10.0):
        if call(tenant, "GET", "/usage")["usage"]:
            break
    page = opened(dashboard, tenant, "usage")
    expect(page.locator(".totals")).to_contain_text("Calls1")
    page.get_by_label("Group by").select_option("key")
    expect(page.locator("tbody tr")).to_contain_text("first key")
    page.get_by_label("Group by").select_option("rule")
    expect(page.locator("tbody tr")).to_contain_text(rule["path"])
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.path().read_text().startswith("day,rule,calls,")
    page.get_by_role("radio", name="Tokens").check()
    expect(page.get_by_role("slider")).to_have_accessible_name(re.compile("Tokens by day"))
