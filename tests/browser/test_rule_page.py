"""The page of a rule: its chain edited by keyboard, problems at their places, a dry run, changes of others."""

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from shared.documents.rule import RuleInput
from tests.support.browser import DESKTOP, Dashboard
from tests.support.gateway import TenantInUse

TARGET = "http://127.0.0.1:9/base"
LIMITER = {"name": "rate_limiter", "priority": 10, "settings": {"limit": 100, "window": "1m"}}
CHECKING = {"name": "security_validator", "priority": 20, "settings": {"allowed_methods": ["GET"]}}
READING = {"name": "content_validator", "priority": 30, "settings": {"max_size": "1MB"}}


def new_rule(tenant: TenantInUse, **fields: Any) -> str:
    """The path of a new rule in the API."""
    document = {"path": "/v1", "target": TARGET, **fields}
    made = tenant.gateway.call("POST", f"/tenants/{tenant.id}/rules", json=document)
    assert made.status_code == 201, made.text
    return f"/tenants/{tenant.id}/rules/{made.json()['id']}"


def stored(tenant: TenantInUse, path: str) -> Any:
    return tenant.gateway.call("GET", path).json()


def card(page: Page, name: str) -> Locator:
    return page.locator(".entry").filter(has=page.locator(".title", has_text=name))


def save(page: Page) -> None:
    page.get_by_role("button", name="Save rule").click()
    expect(page.locator(".toast")).to_have_text("Saved. The proxies have it within a second.")


def test_chain_edited_by_keyboard_alone_is_saved(dashboard: Dashboard, tenant: TenantInUse) -> None:
    path = new_rule(tenant, plugin_chain=[LIMITER, CHECKING, READING])
    page = dashboard.open(f"/ui{path}")
    keys = page.keyboard
    card(page, "Rate limiter").focus()
    keys.press("Alt+ArrowRight")
    expect(page.locator(".said")).to_have_text("Rate limiter: step 2 of 3, priority 21.")
    expect(card(page, "Rate limiter")).to_be_focused()
    card(page, "Security validator").focus()
    keys.press("Delete")
    expect(page.locator(".entry")).to_have_count(2)
    card(page, "Content validator").focus()
    keys.press("Alt+p")
    keys.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_label("Max size").focus()
    keys.press("Control+a")
    keys.type("2MB")
    keys.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Add a plugin to pre_request").focus()
    keys.press("Enter")
    expect(page.get_by_role("menuitem").first).to_be_focused()
    page.get_by_role("menuitem", name="Security validator").focus()
    keys.press("Enter")
    page.get_by_label("Blocked IPs").focus()
    keys.type("203.0.113.0/24")
    page.get_by_role("button", name="Apply").focus()
    keys.press("Enter")
    expect(card(page, "Security validator")).to_be_focused()
    page.get_by_role("button", name="Save rule").focus()
    keys.press("Enter")
    expect(page.locator(".toast")).to_be_visible()
    expect(page.get_by_role("main")).to_be_focused()
    chain = stored(tenant, path)["plugin_chain"]
    assert [(one["name"], one["priority"], one["parallel"]) for one in chain] == [
        ("rate_limiter", 21, False),
        ("content_validator", 30, True),
        ("security_validator", 100, False),
    ]
    assert chain[1]["settings"] == {"max_size": "2MB"}
    assert chain[2]["settings"] == {"blocked_ips": ["203.0.113.0/24"]}


@pytest.mark.slow
def test_problem_of_an_entry_is_shown_in_its_panel_and_on_its_card(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    dashboard.allow("422: .*/explain", "422: .*/rules/")
    path = new_rule(tenant, plugin_chain=[READING])
    page = dashboard.open(f"/ui{path}")
    card(page, "Content validator").click()
    page.get_by_label("Blocked patterns").fill("ok\n(")
    page.get_by_role("button", name="Apply").click()
    wrong = page.get_by_label("Blocked patterns")
    expect(wrong).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Blocked patterns").fill("ok")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_label("Path", exact=True).fill("v1")
    page.get_by_label("Path", exact=True).blur()
    expect(page.locator("[data-pointer='/path'] .error")).to_have_text("The path must begin with a slash.")
    page.get_by_role("button", name="Save rule").click()
    expect(page.get_by_role("alert")).to_contain_text("Not saved: 1 field needs a change.")
    page.get_by_role("link", name="Path: ").click()
    expect(page.get_by_label("Path", exact=True)).to_be_focused()
    page.get_by_label("Path", exact=True).fill("/v2")
    save(page)
    assert stored(tenant, path)["path"] == "/v2"


@pytest.mark.slow
def test_problem_between_entries_is_shown_on_the_card(dashboard: Dashboard, tenant: TenantInUse) -> None:
    dashboard.allow("422: .*/explain", "422: .*/rules/")
    cutting = {
        "name": "content_validator",
        "settings": {"fields": ["model"]},
        "parallel": True,
        "priority": 30,
    }
    path = new_rule(tenant, plugin_chain=[cutting, READING])
    page = dashboard.open(f"/ui{path}")
    card(page, "Content validator").first.focus()  # the sequential one runs first
    page.keyboard.press("Alt+p")
    expect(page.locator(".entry.bad")).to_contain_text("1 problem")
    page.get_by_role("button", name="Save rule").click()
    expect(page.get_by_role("alert")).to_contain_text("run at the same time")


@pytest.mark.slow
def test_dry_run_of_a_draft_shows_the_rejection_on_the_lanes(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    path = new_rule(tenant, plugin_chain=[CHECKING, READING])
    page = dashboard.open(f"/ui{path}")
    card(page, "Security validator").focus()
    page.keyboard.press("Alt+ArrowRight")
    page.get_by_role("button", name="Test a request").click()
    page.get_by_role("button", name="Chat completion").click()
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("alert")).to_contain_text("405 method_not_allowed, by security validator")
    expect(card(page, "Content validator")).to_contain_text("Passes")
    expect(card(page, "Security validator")).to_contain_text("Rejects")
    assert stored(tenant, path)["plugin_chain"][0]["priority"] == 20
    page.get_by_text("Step by step").click()
    expect(page.get_by_role("region", name="Plugins", exact=True)).to_contain_text(
        "The method POST is not allowed."
    )


@pytest.mark.slow
def test_dry_run_of_a_limit_that_is_not_complete_names_the_field(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    dashboard.allow("422: .*/explain")
    page = dashboard.open(f"/ui{new_rule(tenant)}")
    page.get_by_role("button", name="Add a plugin to pre_request").click()
    page.get_by_role("menuitem", name="Rate limiter").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Test a request").click()
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("alert")).to_contain_text("Not tried: 1 field needs a change.")
    expect(page.get_by_role("alert")).not_to_contain_text("422")
    page.get_by_role("link", name="Limit: Required, with window").click()
    panel = page.get_by_role("dialog")
    limit = panel.locator('[data-pointer="/plugin_chain/0/settings/limit"] input')
    expect(limit).to_have_attribute("aria-invalid", "true")
    limit.fill("5")
    panel.locator('[data-pointer$="/settings/window"] input').fill("1m")
    panel.get_by_role("button", name="Apply").click()
    expect(panel).to_have_count(0)
    page.get_by_role("button", name="Test a request").click()
    page.get_by_role("button", name="Run").click()
    expect(page.locator("#outcome")).not_to_be_empty()


@pytest.mark.slow
def test_change_of_somebody_else_is_not_overwritten(dashboard: Dashboard, tenant: TenantInUse) -> None:
    dashboard.allow("412: ")
    path = new_rule(tenant)
    page = dashboard.open(f"/ui{path}")
    tenant.gateway.call("PATCH", path, json={"methods": ["GET"]})
    page.get_by_label("Strip the path").check()
    page.get_by_role("button", name="Save rule").click()
    expect(page.get_by_role("alert")).to_contain_text("somebody else has changed the rule")
    page.get_by_role("button", name="Load the newest").click()
    expect(page.get_by_label("GET", exact=True)).to_be_checked()
    expect(page.get_by_label("Strip the path")).not_to_be_checked()


@pytest.mark.slow
def test_only_changed_members_are_saved_and_secrets_are_kept(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    targets = [{"url": f"{TARGET}/{name}", "headers": {"X-Key": "secret"}} for name in "ab"]
    path = new_rule(tenant, target=None, targets=targets, limits={"request_body": "1MB"})
    before = stored(tenant, path)
    page = dashboard.open(f"/ui{path}")
    expect(page.get_by_role("button", name="Save rule")).to_be_hidden()
    expect(page.locator(".target-health").first).to_have_text("Called")
    page.get_by_label("Weight").nth(1).fill("3")
    with page.expect_request(lambda request: request.method == "PATCH") as sent:
        save(page)
    assert set(sent.value.post_data_json) == {"targets"}
    after = stored(tenant, path)
    assert after["targets"][1]["weight"] == 3
    ignored = ("targets", "updated_at")
    assert {k: v for k, v in after.items() if k not in ignored} == {
        k: v for k, v in before.items() if k not in ignored
    }


@pytest.mark.slow
def test_key_that_only_reads_sees_the_rule_locked(dashboard: Dashboard, tenant: TenantInUse) -> None:
    path = new_rule(tenant, plugin_chain=[CHECKING])
    key = tenant.gateway.call(
        "POST", f"/tenants/{tenant.id}/api-keys", json={"name": "reader", "scopes": ["read"]}
    ).json()["key"]
    dashboard.log_in(key)
    page = dashboard.open(f"/ui{path}")
    expect(page.locator(".locked")).to_have_text(
        "Your key has the scope read. Changes need a key with the scope admin."
    )
    expect(page.get_by_label("Path", exact=True)).to_be_disabled()
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)
    card(page, "Security validator").focus()
    page.keyboard.press("Delete")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Your key has the scope read.")
    expect(page.get_by_label("Blocked IPs")).to_be_disabled()


@pytest.mark.slow
def test_rule_is_created_changed_to_ai_and_deleted(dashboard: Dashboard, tenant: TenantInUse) -> None:
    page = dashboard.open(f"/ui/tenants/{tenant.id}/rules/new")
    page.get_by_label("Path", exact=True).fill("/new")
    page.get_by_role("textbox", name="Target").fill(TARGET)
    page.get_by_role("button", name="Create rule").click()
    page.wait_for_url("**/rules/rule_*")
    dashboard.await_ready()
    path = page.url.partition("/ui")[2]
    provider = {"name": "p", "kind": "openai", "keys": [{"secret": "sk-0123456789abcdef012345"}]}
    tenant.gateway.call("POST", f"/tenants/{tenant.id}/providers", json=provider)
    page.reload()
    dashboard.await_ready()
    page.get_by_role("radio", name="AI providers").check()
    page.get_by_role("button", name="Add a provider").click()
    save(page)
    rule = stored(tenant, path)
    assert (rule["target"], rule["ai"]["providers"]) == (None, ["p"])
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete rule").click()
    page.wait_for_url(f"**/ui/tenants/{tenant.id}")
    assert tenant.gateway.call("GET", path).status_code == 404


@pytest.mark.slow
def test_page_warns_before_changes_are_lost_and_warnings_of_a_save_stay(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    path = new_rule(tenant, plugin_chain=[READING])
    page = dashboard.open(f"/ui{path}")
    card(page, "Content validator").click()
    page.get_by_label("Blocked patterns").fill(r"\bmüll\b")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.on("dialog", lambda dialog: dialog.dismiss())
    with page.expect_event("dialog") as asked:
        page.evaluate("location.assign('/ui/plugins')")
    assert asked.value.type == "beforeunload"
    save(page)
    expect(page.locator(".banner.warn")).to_contain_text("ASCII")


@pytest.mark.slow
def test_entry_is_dragged_and_moved_on_a_phone_by_its_panel(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    path = new_rule(tenant, plugin_chain=[CHECKING, READING])
    page = dashboard.open(f"/ui{path}")
    card(page, "Content validator").drag_to(card(page, "Security validator"))
    expect(page.locator(".step.together")).to_have_count(1)
    page.set_viewport_size({"width": 390, "height": 844})
    card(page, "Content validator").click()
    page.get_by_label("Priority", exact=True).fill("5")
    page.get_by_label("Parallel").uncheck()
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".step.together")).to_have_count(0)
    expect(page.locator(".entry").first).to_contain_text("Content validator")
    page.set_viewport_size(DESKTOP)


@pytest.mark.slow
def test_form_has_every_member_of_a_rule(dashboard: Dashboard, tenant: TenantInUse) -> None:
    dashboard.allow("422: .*/explain")  # the draft has no upstream in between
    path = new_rule(tenant, target=None, targets=[{"url": TARGET}])
    page = dashboard.open(f"/ui{path}")
    shown: set[str] = set()
    for kind in ("Several targets", "One target", "AI providers"):
        page.get_by_role("radio", name=kind).check()
        pointers = page.locator("[data-pointer]").evaluate_all("all => all.map(one => one.dataset.pointer)")
        shown |= {pointer.split("/")[1] for pointer in pointers}
    assert shown == set(RuleInput().fields)


@pytest.mark.slow
def test_rule_that_cannot_be_used_says_why(dashboard: Dashboard, tenant: TenantInUse) -> None:
    path = new_rule(tenant)
    fault = {"pointer": "/plugin_chain/0/name", "detail": "There is no plugin gone.", "rejects": True}
    document = {"warnings": [{**fault, "rule_id": path.rpartition("/")[2]}], "fault": None}
    # A plugin that was removed from the machine cannot be had in a test.
    dashboard.page.route("**/warnings", lambda route: route.fulfill(json=document))
    page = dashboard.open(f"/ui{path}")
    expect(page.get_by_role("alert")).to_contain_text("This rule is closed: it rejects every request.")
    expect(page.get_by_role("alert")).to_contain_text("There is no plugin gone.")
