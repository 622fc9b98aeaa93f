"""Traffic and one request: what an operator sees of requests that are over."""

import asyncio
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from shared.records.recorder import open_recorder
from shared.redis_server.embedded import socket_path
from tests.records.lines import AI, access_line, line
from tests.support.browser import Dashboard
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream

LIMITER = {"name": "rate_limiter", "settings": {"limit": 2, "window": "1h"}}
LIMITED = {"status": 429, "source": "plugin:rate_limiter", "code": "rate_limit_exceeded", "ai": None}
NAUGHTY = (
    "<script>document.title = 'owned'</script>",
    '"><img src=x onerror="document.title = \'owned\'">',
    "{{7*7}} ${7*7} \u202egnp.exe \u200b \u7530\u4e2d\u3055\u3093",
    "javascript:alert(1)//%00'; DROP TABLE requests;--",
)


def record(gateway: RunningGateway, lines: Sequence[dict[str, Any]], **decision: Any) -> None:
    """Write records as a worker of the proxy does. The thread of the browser has a loop of its own."""

    async def write() -> None:
        recorder = open_recorder({"unix_socket_path": str(socket_path(gateway.folder))}, 2_000)
        for each in lines:
            recorder.put(time.time(), access_line(each), {"started": 10.0, "length": 12, **decision})
        await recorder.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, write()).result()


def rows(page: Page) -> Locator:
    return page.locator("#list tbody tr:visible")


def texts(page: Page, selector: str) -> list[str]:
    return rows(page).locator(selector).all_inner_texts()


@pytest.mark.slow
@pytest.mark.alone
def test_request_appears_within_two_seconds(
    dashboard: Dashboard, proxy: RunningGateway, upstream: Upstream
) -> None:
    tenant = proxy.create_tenant()
    tenant.create_rule("/soon", upstream.url)
    page = dashboard.open(f"/ui/traffic?tenant={tenant.id}&q=/soon/now")
    for number in range(1, 4):
        assert tenant.request("GET", "/soon/now").status_code == 200
        expect(rows(page)).to_have_count(number, timeout=2_000)


def test_request_above_a_limit_appears_and_is_explained(
    dashboard: Dashboard, proxy: RunningGateway, upstream: Upstream
) -> None:
    tenant = proxy.create_tenant(name="Limited & Co")
    rule = tenant.create_rule("/limited", upstream.url, plugin_chain=[LIMITER])
    page = dashboard.open(f"/ui/traffic?tenant={tenant.id}&q=limited/chat")
    expect(page.get_by_text("No request matches.")).to_be_visible()
    body = {"model": "gpt-5.6", "messages": []}
    statuses = [tenant.request("POST", "/limited/chat", json=body).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    expect(rows(page)).to_have_count(3)
    assert texts(page, ".badge") == ["429", "200", "200"]
    rows(page).first.get_by_role("link").click()
    dashboard.await_ready()
    expect(page.locator("#why")).to_contain_text(
        re.compile(r"Rejected by the limit rule-global: 2 per 1h were used\. .* try again in 6\d min\.")
    )
    link = page.get_by_role("link", name="Open the rule /limited")
    expect(link).to_have_attribute("href", f"/ui/tenants/{tenant.id}/rules/{rule['id']}")
    assert page.title() == "POST /limited/chat · Limited & Co · AI Gateway"
    expect(page.get_by_role("table").filter(has_text="Left before")).to_contain_text("reached")
    expect(page.locator(".waterfall tbody tr").first).to_be_visible()
    test = page.get_by_role("link", name="Open in test").get_attribute("href") or ""
    assert {"method=POST", "path=%2Flimited%2Fchat", f"rule={rule['id']}"} <= {*re.split("[?&]", test)}
    page.get_by_role("button", name="As curl").click()
    command = page.get_by_role("dialog").locator("pre")
    expect(command).to_contain_text('-H "Authorization: Bearer $API_KEY"')
    expect(command).to_contain_text(f"{tenant.host}/limited/chat'")
    assert tenant.key not in command.inner_text()


@pytest.mark.slow
def test_filters_stand_in_the_address_and_survive_a_reload(dashboard: Dashboard, tenant: TenantInUse) -> None:
    lines = [
        line(1, tenant=tenant.id, ai=AI, model_asked="fast"),
        line(2, tenant=tenant.id, **LIMITED),
        line(3, tenant=tenant.id, path="/v1/embeddings"),
    ]
    record(dashboard.gateway, lines)
    page = dashboard.open("/ui/traffic")
    page.get_by_label("Tenant", exact=True).fill(tenant.subdomain)
    page.get_by_label("Tenant", exact=True).press("Enter")
    expect(rows(page)).to_have_count(3)
    page.get_by_label("Status").select_option("4xx")
    expect(rows(page)).to_have_count(1)
    page.get_by_label("Text in the path").fill("RATE_limit")
    expect(page).to_have_url(re.compile(rf"tenant={tenant.id}&status=4xx&q=RATE_limit"))
    page.reload()
    dashboard.await_ready()
    expect(rows(page)).to_have_count(1)
    assert texts(page, ".badge") == ["429"]
    expect(page.get_by_label("Tenant", exact=True)).to_have_value(tenant.subdomain)
    expect(page.get_by_label("Status")).to_have_value("4xx")
    expect(page.get_by_label("API key").locator("option")).to_have_count(2)
    page.get_by_label("Status").select_option("")
    page.get_by_label("Text in the path").fill("")
    page.get_by_label("Model", exact=True).fill("fast")
    page.get_by_label("Model", exact=True).press("Enter")
    expect(rows(page).locator(".model:not(:empty)")).to_have_text(["fast > gpt-5.6"])


@pytest.mark.slow
def test_what_clients_choose_is_shown_as_text(dashboard: Dashboard) -> None:
    tenant = dashboard.gateway.create_tenant(name=NAUGHTY[0])
    lines = [
        line(number, tenant=tenant.id, path=f"/{text}", model_asked=text, code=text, user_agent=text)
        for number, text in enumerate(NAUGHTY)
    ]
    record(dashboard.gateway, lines)
    page = dashboard.open(f"/ui/traffic?tenant={tenant.id}")
    expect(rows(page)).to_have_count(len(NAUGHTY))
    assert rows(page).locator(".path").evaluate_all("nodes => nodes.map((one) => one.textContent)") == [
        f"POST /{text}" for text in reversed(NAUGHTY)
    ]
    for number, text in enumerate(NAUGHTY[:2]):
        dashboard.open(f"/ui/tenants/{tenant.id}/requests/req-{number}?tab=log")
        expect(page.locator("h1")).to_have_text(f"POST /{text}")
        assert text in page.locator("pre").evaluate("(node) => JSON.parse(node.textContent).user_agent")
        assert page.title().startswith("POST /")
    assert page.locator("main script, main img").count() == 0


@pytest.mark.slow
def test_retries_of_an_sdk_fold_into_one_row(dashboard: Dashboard, tenant: TenantInUse) -> None:
    def sent(number: int, count: int | None, **members: Any) -> dict[str, Any]:
        return line(number, tenant=tenant.id, retry_count=count, **{**LIMITED, **members})

    record(dashboard.gateway, [sent(1, 0), sent(2, None), sent(3, 1, path="/other")])
    page = dashboard.open(f"/ui/traffic?tenant={tenant.id}")
    expect(rows(page)).to_have_count(3)
    record(dashboard.gateway, [sent(4, 1), sent(5, 2), sent(6, 3, status=200, code=None)])
    expect(rows(page).first).to_contain_text("x3 SDK retries")
    expect(rows(page)).to_have_count(3)
    assert texts(page, ".badge") == ["200", "429", "429"]


@pytest.mark.slow
def test_list_is_held_while_the_focus_is_inside_and_while_it_is_paused(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    record(dashboard.gateway, [line(1, tenant=tenant.id)])
    page = dashboard.open(f"/ui/traffic?tenant={tenant.id}")
    link = rows(page).first.get_by_role("link")
    link.focus()
    expect(page.locator("#fresh")).to_contain_text("Held while the focus is in the list.")
    record(dashboard.gateway, [line(2, tenant=tenant.id)])
    expect(page.locator("#fresh")).to_contain_text("1 new request since")
    expect(rows(page)).to_have_count(1)
    expect(link).to_be_focused()
    page.get_by_label("Status").focus()
    expect(rows(page)).to_have_count(2)
    page.get_by_role("button", name="Live").click()
    record(dashboard.gateway, [line(3, tenant=tenant.id)])
    asked = len(dashboard.asked)
    page.wait_for_timeout(1_200)  # longer than from one poll to the next
    assert [url for url in dashboard.asked[asked:] if "/requests" in url] == []
    expect(rows(page)).to_have_count(2)
    page.get_by_role("button", name="Paused").click()
    expect(rows(page)).to_have_count(3)


def test_request_that_is_gone_says_how_long_requests_are_kept(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    dashboard.allow("404: .*/requests/req-gone")
    page = dashboard.open(f"/ui/tenants/{tenant.id}/requests/req-gone")
    expect(page.get_by_role("heading", level=1)).to_have_text("Request not found")
    expect(page.get_by_text("About the newest 2,000 requests of a tenant are kept")).to_be_visible()


@pytest.mark.slow
def test_request_of_a_deleted_tenant_is_shown(dashboard: Dashboard) -> None:
    gone = dashboard.gateway.create_tenant()
    record(dashboard.gateway, [line(1, tenant=gone.id, path="/of-the-deleted", **LIMITED)])
    page = dashboard.open("/ui/traffic?q=/of-the-deleted")
    expect(rows(page)).to_have_count(1)
    assert dashboard.gateway.call("DELETE", f"/tenants/{gone.id}").status_code == 204
    dashboard.allow(f"404: .*/tenants/{gone.id}")
    rows(page).first.get_by_role("link").click()
    dashboard.await_ready()
    expect(page.locator("h1")).to_have_text("POST /of-the-deleted")
    expect(page.get_by_label("Facts")).to_contain_text(f"{gone.id}, deleted")


def test_tenants_key_sees_its_own_requests_only(dashboard: Dashboard, tenant: TenantInUse) -> None:
    other = dashboard.gateway.create_tenant()
    record(
        dashboard.gateway, [line(1, tenant=tenant.id, path="/own"), line(2, tenant=other.id, path="/other")]
    )
    dashboard.log_in(tenant.key)
    page = dashboard.open(f"/ui/traffic?tenant={other.id}")
    expect(rows(page)).to_have_count(1)
    assert texts(page, ".path") == ["POST /own"]
    expect(page.get_by_label("Tenant", exact=True)).to_be_hidden()
    rows(page).first.get_by_role("link").click()
    dashboard.await_ready()
    expect(page.locator("h1")).to_have_text("POST /own")


@pytest.mark.slow
def test_request_that_led_to_no_tenant_is_shown_with_its_host(dashboard: Dashboard) -> None:
    lost = {"tenant": None, "host": "nobody.example", "path": "/lost", "rule": None, "key": None}
    rejected = {"status": 400, "source": "gateway", "code": "invalid_host"}
    record(dashboard.gateway, [line(1, **lost, **rejected)])
    page = dashboard.open("/ui/traffic?q=/lost")
    expect(rows(page)).to_have_count(1)
    assert texts(page, ".note > *") == ["No tenant", " · invalid_host"]
    rows(page).first.get_by_role("link").click()
    dashboard.await_ready()
    expect(page.locator("#why")).to_contain_text("The Host header is missing or repeated")
    expect(page.get_by_label("Facts")).to_contain_text("nobody.example")


def test_call_of_a_model_is_drawn_with_its_attempts_and_times(
    dashboard: Dashboard, tenant: TenantInUse
) -> None:
    failed = {"target": "prv_1/slow", "key": "pk_1", "status": 0, "why": "timeout", "ms": 40}
    ai = {**AI, "attempts": [failed, {**AI["attempts"][0], "target": "prv_2/gpt-5.6", "ms": 20}]}
    times = {"arrived": 10.002, "forwarded": 10.05, "head": 10.07, "first": 10.07, "ended": 10.1}
    steps = [
        {"plugin": "x", "stage": "pre_request", "verdict": "continue", "started": 10.003, "seconds": 0.004}
    ]
    line_ = line(1, tenant=tenant.id, ai=ai, milliseconds=103.0)
    record(dashboard.gateway, [line_], **times, steps=steps, traced=True, began=[10.008, 10.05])
    page = dashboard.open(f"/ui/tenants/{tenant.id}/requests/req-1")
    parts = page.locator(".waterfall tbody tr")
    expect(parts).to_have_count(6)
    named = [" ".join(text.split()) for text in parts.locator("th").all_inner_texts()]
    assert named == [
        "Body of the request sent by the client",
        "x request",
        "slow timeout, key pk_1",
        "openai/gpt-5.6 wait for the response, key pk_1",
        "openai/gpt-5.6 response",
        "Gateway after the upstream",
    ]
    durations = parts.locator("td.num").all_inner_texts()
    assert durations == ["2.0 ms", "4.0 ms", "40 ms", "20 ms", "30 ms", "3.0 ms"]
    page.get_by_role("tab", name="Line in the log").click()
    expect(page).to_have_url(re.compile(r"\?tab=log$"))
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tab", name="Decision")).to_be_focused()
    expect(page.get_by_role("table").filter(has_text="Outcome")).to_contain_text("timeout")
