"""The page Providers: cards with state, keys and targets, and what can be done with them."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from examples.demo_upstream.server import DemoUpstream
from tests.support.browser import Dashboard
from tests.support.commands import serving
from tests.support.gateway import RunningGateway, TenantInUse

SECRET = "sk-canary-0123456789abcdef"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="session")
def demo() -> Iterator[str]:
    """The base URL of a demo upstream that wants `SECRET`."""
    with serving(DemoUpstream(0, keys={SECRET})) as port:
        yield f"http://127.0.0.1:{port}/v1"


def provider_of(tenant: TenantInUse, demo: str, **members: Any) -> Any:
    """A provider of a tenant's own, at the demo upstream."""
    usual = {
        "name": "own",
        "kind": "custom",
        "base_url": demo,
        "apis": ["openai.chat"],
        "keys": [{"name": "main", "secret": SECRET}],
        "models": [{"id": "demo-small"}],
    }
    return tenant.gateway.create(f"/tenants/{tenant.id}/providers", **{**usual, **members})


def opened(dashboard: Dashboard, tenant: TenantInUse) -> Page:
    return dashboard.open(f"/ui/providers?tenant={tenant.id}")


@pytest.mark.slow
def test_provider_is_added_from_a_preset_and_tested_from_its_card(
    dashboard: Dashboard, tenant: TenantInUse, demo: str
) -> None:
    page = opened(dashboard, tenant)
    expect(page.get_by_text("No providers yet.")).to_be_visible()
    page.get_by_role("button", name="Add a provider").first.click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Kind").select_option("custom")
    expect(panel.get_by_label("Name", exact=True)).to_have_value("custom")
    panel.get_by_label("Name", exact=True).fill("own")
    panel.get_by_label("Base URL").fill(demo)
    panel.get_by_label("Key of the provider").fill(SECRET)
    panel.get_by_role("button", name="Declare a model").click()
    panel.get_by_label("Name at the provider").fill("demo-small")
    panel.get_by_role("button", name="Add the provider").click()
    card = page.get_by_role("region", name="own", exact=True)
    expect(card).to_contain_text("Ready, no calls yet")
    expect(card).to_contain_text("sk-…cdef")
    card.get_by_role("button", name="Test", exact=True).click()
    expect(card.get_by_text("Works:")).to_contain_text("2 models.")
    assert SECRET not in page.content()


@pytest.mark.slow
def test_rejected_provider_keeps_the_panel_with_the_error_at_its_field(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    dashboard.allow("422: ")
    page = opened(dashboard, tenant)
    page.get_by_role("button", name="Add a provider").first.click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Kind").select_option("vllm")
    panel.get_by_role("button", name="Add the provider").click()
    expect(panel.get_by_label("Base URL")).to_have_attribute("aria-invalid", "true")
    expect(panel.get_by_label("Base URL")).to_be_focused()
    expect(panel.locator("[data-pointer='/base_url'] .error")).to_have_text("vllm needs base_url.")


@pytest.mark.slow
def test_failed_test_shows_the_error_of_the_provider_without_the_key(
    dashboard: Dashboard, tenant: TenantInUse, demo: str
) -> None:
    provider_of(tenant, demo, keys=[{"name": "wrong", "secret": "sk-wrong-0123456789abcdef"}])
    page = opened(dashboard, tenant)
    page.get_by_role("button", name="Test with one token").click()
    expect(page.locator(".tested.bad")).to_contain_text("Status 401")
    assert "sk-wrong-0123456789abcdef" not in page.content()


@pytest.mark.slow
def test_keys_are_added_rotated_and_removed(dashboard: Dashboard, tenant: TenantInUse, demo: str) -> None:
    made = provider_of(tenant, demo)
    page = opened(dashboard, tenant)
    keys = page.get_by_role("region", name="Keys of own")
    keys.get_by_role("button", name="Add a key").click()
    page.get_by_role("dialog").get_by_label("Name").fill("second")
    page.get_by_label("Key of the provider").fill("sk-second-0123456789abcdef")
    page.get_by_role("button", name="Add the key").click()
    expect(keys.get_by_role("listitem")).to_have_count(2)
    keys.get_by_role("button", name="Rotate the key main").click()
    page.get_by_label("New key of the provider").fill("sk-third-0123456789abcdef")
    page.get_by_role("button", name="Rotate the key", exact=True).click()
    expect(keys.get_by_role("listitem")).to_have_count(3)
    expect(keys.get_by_text("replaced, used until")).to_be_visible()
    keys.get_by_role("button", name="Remove the key second").click()
    expect(page.get_by_role("dialog")).to_contain_text("Remove second of own?")
    page.get_by_role("button", name="Remove the key", exact=True).click()
    expect(keys.get_by_role("listitem")).to_have_count(2)
    path = f"/tenants/{tenant.id}/providers/{made['id']}"
    names = [key["name"] for key in tenant.gateway.call("GET", path).json()["keys"]]
    assert names == ["main", "main"]


@pytest.mark.slow
def test_breaker_is_opened_with_a_reason_and_closed_again(
    dashboard: Dashboard, tenant: TenantInUse, demo: str
) -> None:
    provider_of(tenant, demo)
    page = opened(dashboard, tenant)
    targets = page.get_by_role("region", name="Targets of own")
    targets.get_by_role("button", name="Open the breaker of demo-small").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("new disks")
    page.get_by_role("button", name="Open the breaker", exact=True).click()
    expect(targets.get_by_text("by an operator: new disks")).to_be_visible()
    expect(page.get_by_text("1 of 1 targets is not called: new disks.")).to_be_visible()
    targets.get_by_role("button", name="Close the breaker of demo-small").click()
    expect(targets.get_by_text("no calls in the last hour")).to_be_visible()


@pytest.mark.slow
def test_edit_sends_what_differs_and_a_name_in_use_cannot_be_deleted(
    dashboard: Dashboard, tenant: TenantInUse, demo: str
) -> None:
    dashboard.allow("409: ")
    made = provider_of(tenant, demo, models=[{"id": "a", "prices": {"input_cached": "0.5"}}])
    targets = [{"provider": "own", "model": "a"}]
    tenant.gateway.create(f"/tenants/{tenant.id}/models", name="best", targets=targets)
    page = opened(dashboard, tenant)
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("USD per million input tokens").fill("2")
    with page.expect_request(lambda asked: asked.method == "PATCH") as sent:
        page.get_by_role("button", name="Save").click()
    model = {"id": "a", "aliases": [], "caps": {}, "prices": {"input": "2", "input_cached": "0.5"}}
    assert sent.value.post_data_json == {"models": [model]}
    expect(page.get_by_text("own is saved.")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete the provider").click()
    expect(page.get_by_role("alert")).to_contain_text("is used by the model best")
    assert tenant.gateway.call("GET", f"/tenants/{tenant.id}/providers/{made['id']}").status_code == 200


def test_tenant_sees_a_shared_provider_without_address_and_a_key_that_reads_changes_nothing(
    dashboard: Dashboard, tenant: TenantInUse, demo: str
) -> None:
    shared = tenant.gateway.create(
        "/providers",
        name=f"shared-{tenant.subdomain}",
        kind="custom",
        base_url=demo,
        apis=["openai.chat"],
        shared={"tenants": [tenant.id]},
        models=[{"id": HOSTILE}],
    )
    provider_of(tenant, demo, models=[{"id": HOSTILE}])
    key = tenant.gateway.create(f"/tenants/{tenant.id}/api-keys", scopes=["read"])["key"]
    dashboard.log_in(key)
    page = dashboard.open("/ui/providers")
    card = page.get_by_role("region", name=shared["name"])
    expect(card).to_contain_text("Speaks openai.chat.")
    assert demo not in card.inner_text()
    expect(page.get_by_role("region", name="Targets of own")).to_contain_text(HOSTILE)
    expect(page.get_by_text("Your key has the scope read.")).to_be_visible()
    for name in ("Add a provider", "Test", "Edit", "Delete", "Rotate the key main"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_disabled()


@pytest.mark.slow
def test_card_shows_the_calls_of_the_last_minutes_and_the_key_that_was_rejected(
    dashboard: Dashboard, proxy: RunningGateway, tenant: TenantInUse, demo: str
) -> None:
    wrong = {"name": "wrong", "secret": "sk-wrong-0123456789abcdef", "weight": 1000}
    provider_of(tenant, demo, keys=[wrong, {"name": "main", "secret": SECRET}])
    tenant.gateway.create(f"/tenants/{tenant.id}/rules", path="/ai", ai={})
    tenant.await_rule("/ai")
    for number in range(3):
        question = [{"role": "user", "content": f"Hello {number}!"}]
        body = {"model": "demo-small", "messages": question}
        assert tenant.request("POST", "/ai/v1/chat/completions", json=body).status_code == 200
    page = opened(dashboard, tenant)
    card = page.get_by_role("region", name="own", exact=True)
    expect(card.get_by_text("Degraded", exact=True)).to_be_visible(timeout=15_000)
    expect(card.locator("dd").first).to_have_text("4", timeout=15_000)
    expect(card.get_by_text("Rejected", exact=True)).to_be_visible()
    expect(card).to_contain_text("1 of 2 keys is not used: invalid_api_key.")


@pytest.mark.slow
def test_platform_looks_at_the_providers_of_a_tenant_by_the_address(
    dashboard: Dashboard, tenant: TenantInUse, demo: str
) -> None:
    provider_of(tenant, demo)
    page = dashboard.open("/ui/providers")
    page.get_by_label("Owner").select_option(tenant.id)
    page.wait_for_url(f"**/ui/providers?tenant={tenant.id}")
    expect(page.get_by_role("region", name="own", exact=True)).to_be_visible()
    page.get_by_role("link", name="Models", exact=True).last.click()
    page.wait_for_url(f"**/ui/models?tenant={tenant.id}")
