"""The page System: parts, workers, Redis, jobs and settings, also while Redis or the gateway is away."""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from redis import Redis

from shared.workers.store import HeartbeatStore
from tests.reliability.processes import supervisor
from tests.support.browser import PHONE, TOKEN, Dashboard
from tests.support.gateway import RunningGateway, TenantInUse
from tests.workers.heartbeats import beat

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def page(dashboard: Dashboard) -> Page:
    return dashboard.open("/ui/system")


@contextmanager
def stopped_redis(gateway: RunningGateway) -> Iterator[None]:
    """The embedded store does not respond."""
    children = [one.pid for one in supervisor(gateway, "admin").children()]
    [server] = [pid for pid in children if "valkey" in Path(f"/proc/{pid}/comm").read_text()]
    os.kill(server, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server, signal.SIGCONT)


def look_again(page: Page) -> None:
    """Make the page read its data now, as when it comes to the front."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_state_of_the_platform_is_seen_at_a_glance(page: Page) -> None:
    expect(page.get_by_text("Version 0.1.0")).to_be_visible()
    expect(page.locator("#parts .tile").first).to_contain_text("2 of 2 ready")
    expect(page.locator("#parts")).to_contain_text("All workers have it")
    row = page.locator("#workers tbody tr", has_text="Admin API")
    expect(row).to_contain_text("ok")
    store = page.locator("#store")
    expect(store).to_contain_text("valkey 9")
    expect(store).to_contain_text("Each change is written")
    expect(page.locator("#jobs li")).to_have_count(6)
    expect(page.locator("#jobs")).not_to_contain_text("nobody does it")
    expect(page.locator("#addresses")).to_contain_text("{subdomain}.example.com")


def test_workers_in_trouble_come_first_and_say_what_it_is(
    dashboard: Dashboard, admin: RunningGateway
) -> None:
    with Redis(unix_socket_path=str(admin.folder / "valkey.sock")) as client:
        workers, now = HeartbeatStore(client), time.time()
        revision = int(client.get("{cfg}:revision") or 0) + 3
        client.set("{cfg}:revision", revision)
        workers.tell(
            beat(id="x1", machine=HOSTILE, revision=revision - 2, current=now - 60, started=now - 120)
        )
        workers.tell(beat(id="x2", machine="alone", current=now, trouble={"limits": "unavailable"}))
        workers.tell(beat(id="x3", machine="ends", current=now, draining=True))
        page = dashboard.open("/ui/system")
        rows = page.locator("#workers tbody tr")
        expect(rows.filter(has_text=HOSTILE)).to_contain_text("2 changes behind")
        expect(rows.filter(has_text="alone")).to_contain_text("counts limits alone")
        expect(rows.filter(has_text="ends")).to_contain_text("draining")
        expect(rows.nth(3)).to_contain_text("Admin API")
        expect(page.locator("#parts")).to_contain_text("1 worker lacks it")
        expect(page.locator("#store")).to_contain_text("open in 1 worker")
        page.get_by_role("button", name="Worker").click()
        expect(rows.first).to_contain_text(HOSTILE)
        for one in ("x1", "x2", "x3"):
            workers.forget(one)


def test_setting_is_found_with_its_source_and_the_address_keeps_the_filter(page: Page) -> None:
    rows = page.locator("#settings tbody tr")
    expect(rows.filter(has_text="server.admin_port")).to_contain_text("GATEWAY__SERVER__ADMIN_PORT")
    expect(rows.filter(has_text="admin.token")).to_contain_text("set, not shown")
    assert TOKEN not in page.content()
    page.get_by_role("radio", name="All").check()
    find = page.get_by_label("Find a setting")
    find.fill("config_ttl")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("config.yaml:")
    assert page.url.endswith("/ui/system?settings=all&find=config_ttl")
    page.reload()
    expect(rows).to_have_count(1)
    find.fill("no such setting")
    page.get_by_role("button", name="Clear the filter").click()
    expect(find).to_be_focused()
    expect(rows.filter(has_text="cache.max_entries")).to_be_visible()


@pytest.mark.slow
def test_settings_have_their_values_and_sources_on_a_phone(page: Page) -> None:
    page.set_viewport_size(PHONE)
    page.get_by_role("radio", name="All").check()
    row = page.locator("#settings tbody tr").filter(has_text="server.admin_port")
    for text in (re.compile(r"^\d+$"), "GATEWAY__SERVER__ADMIN_PORT"):
        expect(row.get_by_text(text).filter(visible=True)).to_have_count(1)
    scroll = page.locator("#settings .scroll")
    assert scroll.evaluate("one => one.scrollWidth <= one.clientWidth")


def test_without_redis_the_page_says_so_keeps_its_data_and_recovers(
    dashboard: Dashboard, admin: RunningGateway, page: Page
) -> None:
    dashboard.allow("503: ")
    with stopped_redis(admin):
        look_again(page)
        expect(page.get_by_role("alert")).to_contain_text("The configuration store does not respond.")
        expect(page.locator("#parts .tile").first).to_contain_text("Redis: unavailable")
        expect(page.locator("#workers tbody tr", has_text="Admin API")).to_be_visible()
        expect(page.locator("main.stale")).to_be_attached()
    look_again(page)
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator("#parts .tile").first).to_contain_text("Redis: ok")


def test_without_the_gateway_the_page_says_so_and_recovers(dashboard: Dashboard, page: Page) -> None:
    dashboard.allow("ERR_INTERNET_DISCONNECTED")
    dashboard.context.set_offline(True)
    look_again(page)
    expect(page.get_by_role("alert")).to_contain_text("The gateway cannot be reached.")
    expect(page.locator("#workers tbody tr").first).to_be_visible()
    dashboard.context.set_offline(False)
    look_again(page)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_key_of_a_tenant_sees_why_the_page_is_empty(dashboard: Dashboard, tenant: TenantInUse) -> None:
    dashboard.context.clear_cookies()
    dashboard.log_in(tenant.key)
    page = dashboard.open("/ui/system")
    expect(page.get_by_text("This page is the platform's.")).to_be_visible()
    assert not [url for url in dashboard.asked if url.endswith(("/status", "/settings"))]


def test_token_is_created_shown_once_and_revoked(page: Page, admin: RunningGateway) -> None:
    tokens = page.get_by_role("region", name="Tokens")
    tokens.get_by_role("button", name="Create a token").click()
    panel = page.get_by_role("dialog")
    panel.get_by_label("Name").fill("browser")
    panel.get_by_role("button", name="Create the token").click()
    secret = panel.locator("code", has_text="gwk_").first.inner_text().strip()
    assert admin.call("GET", "/me", secret).json()["actor"] == "token:browser"
    page.get_by_role("button", name="I have stored it").click()
    row = tokens.locator("tbody tr", has_text="browser")
    expect(row).to_contain_text("read")
    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke the token").click()
    expect(row).to_have_count(0)
    assert admin.call("GET", "/me", secret).status_code == 401


def test_checks_are_made_when_asked_for_and_what_is_wrong_comes_first(page: Page) -> None:
    page.get_by_role("button", name="Check now").click()
    rows = page.locator("#checks li")
    # It calls what it checks.
    expect(page.locator("#checks-count")).to_contain_text("to look at", timeout=20_000)
    expect(rows.first.locator(".icon")).not_to_have_class(re.compile("good"))
    expect(rows.last.locator(".icon")).to_have_class(re.compile("good"))
    expect(page.locator("#checks")).to_contain_text("Python 3.")
