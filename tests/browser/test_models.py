"""The page Models: names with their targets, and the models of providers with prices and capabilities."""

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from shared.providers.shipped.model_table import shipped_models
from tests.support.browser import Dashboard
from tests.support.gateway import TenantInUse

OPENAI = {"name": "openai", "kind": "openai", "keys": [{"secret": "sk-canary-0123456789abcdef"}]}


def opened(dashboard: Dashboard, tenant: TenantInUse, **members: Any) -> Page:
    """The page of a tenant with a provider."""
    usual = {**OPENAI, "models": [{"id": "gpt-4o-mini", "aliases": ["fast"]}, {"id": "unheard-of"}]}
    tenant.gateway.create(f"/tenants/{tenant.id}/providers", **{**usual, **members})
    return dashboard.open(f"/ui/models?tenant={tenant.id}")


def row(page: Page, table: str, name: str) -> Locator:
    return (
        page.get_by_role("region", name=f"{table}, table", exact=True)
        .get_by_role("row")
        .filter(has_text=name)
    )


@pytest.mark.slow
def test_model_with_two_targets_is_added_changed_and_deleted(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    page = opened(dashboard, tenant)
    tenant.gateway.create(f"/tenants/{tenant.id}/rules", path="/ai", ai={"models": ["best/*"]})
    page.get_by_role("button", name="Add a model").first.click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Name", exact=True).fill("best/model")
    panel.get_by_label("Model at the provider").first.fill("gpt-4o-mini")
    panel.get_by_role("button", name="Add a target").click()
    panel.get_by_label("Model at the provider").nth(1).fill("gpt-4o")
    panel.get_by_label("Priority").nth(1).fill("1")
    panel.get_by_role("button", name="Add the model").click()
    shown = row(page, "Models", "best/model")
    expect(shown).to_contain_text("openai/gpt-4o-mini")
    expect(shown).to_contain_text("priority 1")
    expect(shown).to_contain_text("/ai")
    expect(shown).to_contain_text("$0.15")
    page.get_by_role("button", name="best/model").click()
    panel.get_by_label("Which target is called").select_option("order")
    panel.get_by_text("When a target fails").click()
    panel.get_by_label("Attempts").fill("2")
    panel.get_by_role("button", name="Save").click()
    expect(shown).to_contain_text("In this order")
    path = f"/tenants/{tenant.id}/models/best/model"
    stored = tenant.gateway.call("GET", path).json()
    assert (stored["strategy"], stored["retry"]["attempts"], len(stored["targets"])) == ("order", 2, 2)
    page.get_by_role("button", name="best/model").click()
    panel.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete the model").click()
    expect(page.get_by_text("No models of your own yet.")).to_be_visible()
    assert tenant.gateway.call("GET", path).status_code == 404


@pytest.mark.slow
def test_errors_of_a_model_stand_at_its_targets(dashboard: Dashboard, tenant: TenantInUse) -> None:
    dashboard.allow("422: ")
    page = opened(dashboard, tenant)
    page.get_by_role("button", name="Add a model").first.click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Name", exact=True).fill("best")
    panel.get_by_role("button", name="Add the model").click()
    expect(panel.locator("[data-pointer='/targets'] .error").last).not_to_be_empty()


@pytest.mark.slow
def test_models_of_providers_show_prices_with_source_and_date_aliases_and_capabilities(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    page = opened(dashboard, tenant)
    known = row(page, "Models of providers", "gpt-4o-mini")
    expect(known).to_contain_text("also fast")
    expect(known).to_contain_text("Release")
    expect(known).to_contain_text(shipped_models().date[:4])
    expect(known).to_contain_text("vision")
    expect(row(page, "Models of providers", "unheard-of")).to_contain_text("No price")
    page.get_by_label("Filter models of providers").fill("FAST")
    expect(row(page, "Models of providers", "unheard-of")).to_have_count(0)
    page.wait_for_url("**text=FAST")
    page.get_by_label("Filter models of providers").fill("nothing")
    expect(page.get_by_text("No model contains “nothing”.")).to_be_visible()


@pytest.mark.slow
def test_platform_sets_a_price_and_removes_it(dashboard: Dashboard, tenant: TenantInUse) -> None:
    name = f"model-{tenant.subdomain}"
    members = {**OPENAI, "name": f"p-{tenant.subdomain}", "models": [{"id": name}]}
    tenant.gateway.create("/providers", **members, shared="none")
    page = dashboard.open(f"/ui/models?text={name}")
    shown = row(page, "Models of providers", name)
    shown.get_by_role("button", name=f"Set the price of {name}").click()
    page.get_by_label("Input", exact=True).fill("0.25")
    page.get_by_role("button", name="Save").click()
    expect(shown).to_contain_text("$0.25")
    expect(shown).to_contain_text("Platform")
    shown.get_by_role("button", name=f"Set the price of {name}").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(shown).to_contain_text("No price")


def test_tenant_sees_shared_models_by_name_and_description(dashboard: Dashboard, tenant: TenantInUse) -> None:
    provider, model = f"hidden-{tenant.subdomain}", f"shared-{tenant.subdomain}"
    tenant.gateway.create("/providers", **{**OPENAI, "name": provider}, shared="none")
    tenant.gateway.create(
        "/models",
        name=model,
        description="<b>Fast</b> and small.",
        shared="all",
        targets=[{"provider": provider, "model": "gpt-4o-mini"}],
    )
    dashboard.log_in(tenant.key)
    page = dashboard.open("/ui/models")
    expect(page.get_by_role("region", name="Shared by the platform")).to_contain_text(
        "<b>Fast</b> and small."
    )
    expect(page.get_by_text(model)).to_be_visible()
    assert provider not in page.content()
