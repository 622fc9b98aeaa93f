"""A newcomer's first hour: from the first page to a call that is served, and one that is rejected.

Each step is taken in build/newcomer at 1440 and 390 pixels, light and dark.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from examples.demo_upstream.server import DemoUpstream
from tests.support.browser import DESKTOP, PHONE, TOKEN, Dashboard
from tests.support.commands import serving
from tests.support.gateway import ROOT, RunningGateway

FOLDER = ROOT / "build" / "newcomer"
SECRET = "sk-canary-0123456789abcdef"
THEMES: tuple[Literal["dark", "light"], ...] = ("dark", "light")  # it goes on with the last
SOON = 2_000  # milliseconds until a call is shown


@pytest.fixture
def demo() -> Iterator[str]:
    with serving(DemoUpstream(0, keys={SECRET})) as port:
        yield f"http://127.0.0.1:{port}/v1"


class Steps:
    """The page, with pictures of each step."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.count = 0
        FOLDER.mkdir(parents=True, exist_ok=True)

    def shown(self, name: str) -> None:
        self.count += 1
        self.page.evaluate("scrollTo(0, 0)")  # so that what is fixed stands at its place
        for size in (PHONE, DESKTOP):
            self.page.set_viewport_size(size)
            for theme in THEMES:
                self.page.emulate_media(color_scheme=theme)
                file = f"{self.count:02}-{name}-{size['width']}-{theme}.png"
                self.page.screenshot(path=FOLDER / file, full_page=True)


def run(example: str, folder: Path) -> str:
    """The output of the copied example."""
    ended = subprocess.run(
        ["bash", "-c", example], cwd=folder, capture_output=True, text=True, timeout=20, check=False
    )
    return ended.stdout


@pytest.mark.slow
def test_newcomer_sees_the_first_call_turn_green_and_finds_out_why_the_second_is_rejected(
    dashboard: Dashboard, proxy: RunningGateway, demo: str, tmp_path: Path
) -> None:
    dashboard.context.clear_cookies()
    dashboard.context.grant_permissions(["clipboard-read", "clipboard-write"])
    dashboard.allow("401: ", "422: .*/explain")  # a limit without its number is not complete yet
    page = dashboard.page
    steps = Steps(page)
    _log_in(dashboard, steps)
    _add_tenant(dashboard, steps)
    _add_provider(dashboard, steps, demo)
    _add_rule(dashboard, steps)
    example = _connect(dashboard, steps)

    assert "You said: Hello!" in run(example, tmp_path)
    green = page.locator("#first-call .banner.fine")
    expect(green).to_contain_text("The call arrived: 200", timeout=SOON)
    steps.shown("first-call-is-green")
    green.get_by_role("link", name="Open the request").click()
    page.wait_for_url("**/requests/*")
    dashboard.await_ready()
    expect(page.get_by_role("table").filter(has_text="demo-small").first).to_be_visible()
    steps.shown("request-with-its-waterfall")

    page.go_back()
    dashboard.await_ready()
    expect(page.get_by_text("Waiting for the next call…")).to_be_visible()
    assert "rate_limit_exceeded" in run(example, tmp_path)
    amber = page.locator("#first-call .banner.warn")
    expect(amber).to_contain_text("The call was rejected: 429 rate_limit_exceeded.", timeout=SOON)
    expect(amber).to_contain_text("rule-global: 1 per 1m")
    steps.shown("second-call-is-rejected")
    amber.get_by_role("link", name="See why").click()
    page.wait_for_url("**/requests/*")
    dashboard.await_ready()
    expect(page.locator("#why")).to_contain_text("rule-global: 1 per 1m")
    steps.shown("reason-of-the-rejection")


def _log_in(dashboard: Dashboard, steps: Steps) -> None:
    page = dashboard.page
    page.goto(f"{dashboard.url}/")
    page.wait_for_url("**/ui/login**")
    steps.shown("log-in")
    page.get_by_label("Platform token or tenant API key").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/ui/")
    dashboard.await_ready()
    steps.shown("overview")


def _add_tenant(dashboard: Dashboard, steps: Steps) -> None:
    page = dashboard.page
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Tenants").click()
    dashboard.await_ready()
    page.get_by_role("button", name="Add a tenant").first.click()
    page.get_by_role("dialog").get_by_label("Name").fill("Newcomers & Sons")
    steps.shown("add-a-tenant")
    page.get_by_role("button", name="Add the tenant").click()
    expect(page.get_by_role("button", name="I have stored it")).to_be_visible()
    steps.shown("key-of-the-tenant")
    page.get_by_role("button", name="I have stored it").click()
    page.wait_for_url("**/ui/tenants/tenant_*")
    dashboard.await_ready()
    steps.shown("tenant")


def _add_provider(dashboard: Dashboard, steps: Steps, demo: str) -> None:
    """By the way that the page of the tenant shows: a rule for models needs a provider."""
    page = dashboard.page
    page.get_by_role("button", name="Add a rule").click()
    page.get_by_role("radio", name="AI models").check()
    page.get_by_role("link", name="Add a provider").click()
    page.wait_for_url("**/ui/providers?tenant=*")
    dashboard.await_ready()
    page.get_by_role("button", name="Add a provider").first.click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Kind").select_option("custom")
    panel.get_by_label("Name", exact=True).fill("demo")
    panel.get_by_label("Base URL").fill(demo)
    panel.get_by_label("Key of the provider").fill(SECRET)
    panel.get_by_role("button", name="Declare a model").click()
    panel.get_by_label("Name at the provider").fill("demo-small")
    steps.shown("add-a-provider")
    panel.get_by_role("button", name="Add the provider").click()
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.get_by_text("Works:")).to_be_visible()
    steps.shown("provider-works")
    page.go_back()
    page.wait_for_url("**/ui/tenants/tenant_*")
    dashboard.await_ready()


def _add_rule(dashboard: Dashboard, steps: Steps) -> None:
    page = dashboard.page
    page.get_by_role("button", name="Add a rule").click()
    steps.shown("add-a-rule")
    page.get_by_role("button", name="Add the rule").click()
    page.wait_for_url("**/rules/rule_*")
    dashboard.await_ready()
    page.get_by_role("button", name="Add a plugin to pre_request").click()
    page.get_by_role("menuitem", name="Rate limiter").click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Limit", exact=True).first.fill("1")
    panel.get_by_label("Window").first.fill("1m")
    steps.shown("add-a-limit")
    panel.get_by_role("button", name="Apply").click()
    page.get_by_role("button", name="Save rule").click()
    expect(page.locator(".toast")).to_be_visible()
    steps.shown("rule")


def _connect(dashboard: Dashboard, steps: Steps) -> str:
    """The example with a key, from the clipboard."""
    page = dashboard.page
    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link").nth(1).click()
    dashboard.await_ready()
    page.get_by_role("link", name="Connect").click()
    dashboard.await_ready()
    page.get_by_role("button", name="Create a key").click()
    page.get_by_role("button", name="I have stored it").click()
    page.get_by_role("region", name="Examples").get_by_role("button", name="Copy").click()
    expect(page.get_by_text("Copied.")).to_be_visible()
    steps.shown("example")
    return str(page.evaluate("navigator.clipboard.readText()"))
