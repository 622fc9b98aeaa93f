"""/docs in a real browser, without a network."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Page, TimeoutError, sync_playwright
from werkzeug.serving import make_server

from tests.admin_app.world import TOKEN, Api, Tenant
from tests.support.commands import serving
from tests.support.packages import need_chromium
from tests.support.wait import until

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Hosts outside this machine have no address.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


def test_the_page_names_only_files_that_are_there(api: Api) -> None:
    page = api.get("/docs", key=None)
    assert page.status_code == 200
    assert page.content_type == "text/html; charset=utf-8"
    assert "<script>" not in page.text
    assert "http://" not in page.text + api.get("/docs/start.js").text
    for name in ("swagger-ui.css", "swagger-ui-bundle.js", "start.js", "favicon-32x32.png"):
        assert f'"docs/{name}"' in page.text
        assert api.get(f"/docs/{name}", key=None).status_code == 200


@pytest.mark.parametrize("name", ["oauth2-redirect.html", "docs.html", "..%2f__init__.py", "nothing"])
def test_docs_serve_only_their_own_files(api: Api, name: str) -> None:
    assert api.get(f"/docs/{name}").status_code == 404


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    """The API on a real socket."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with serving(make_server("127.0.0.1", 0, app, threaded=True)) as port:
        yield f"http://127.0.0.1:{port}"


@dataclass
class Browser:
    """An open page, and what it asked for and complained of."""

    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    chromium = need_chromium(tmp_path)
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch_persistent_context(
            tmp_path, executable_path=chromium, args=ARGUMENTS, viewport={"width": 1200, "height": 1600}
        ) as context,
    ):
        opened = Browser(context.pages[0])
        opened.page.set_default_timeout(20_000)
        context.on("request", lambda request: opened.asked.append(request.url))
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.on(
            "console", lambda said: opened.complaints.append(said.text) if said.type == "error" else None
        )
        yield opened


def authorise(page: Page) -> None:
    page.get_by_role("button", name="Authorize").first.click()
    page.locator(".modal-ux input").fill(TOKEN)
    page.locator(".modal-ux").get_by_role("button", name="Apply credentials").click()
    page.locator(".modal-ux .close-modal").click()


def try_out(page: Page, operation: str, **parameters: str) -> str:
    """Open an operation and send its example. Returns the status of the response as the page shows it."""
    block = page.locator(".opblock-post").filter(has=page.locator(f'[data-path="{operation}"]'))
    page.evaluate("scrollTo(0, 0)")
    for _ in until(60):  # of many operations, only those are there that are in sight
        with suppress(TimeoutError):
            block.wait_for(timeout=500)
            break
        page.evaluate("scrollBy(0, 700)")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    for name, value in parameters.items():
        block.locator(f'tr[data-param-name="{name}"] input').fill(value)
    block.get_by_role("button", name="Execute").click()
    response = block.locator(".live-responses-table .response").first
    return response.locator(".response-col_status").inner_text().split()[0]


@pytest.mark.slow
def test_a_newcomer_creates_a_tenant_and_a_rule(browser: Browser, url: str, api: Api) -> None:
    page = browser.page
    page.goto(f"{url}/docs")
    authorise(page)
    assert try_out(page, "/api/v1/tenants") == "201"
    tenant_id = api.get("/tenants").get_json()["tenants"][0]["id"]
    assert try_out(page, "/api/v1/tenants/{tenant_id}/rules", tenant_id=tenant_id) == "201"
    assert api.get(f"/tenants/{tenant_id}/rules").get_json()["count"] == 1
    assert browser.complaints == []
    assert [asked for asked in browser.asked if not asked.startswith((url, "data:", "blob:"))] == []


@pytest.mark.slow
def test_authorisation_survives_a_reload(browser: Browser, url: str, tenant: Tenant) -> None:
    page = browser.page
    page.goto(f"{url}/docs")
    authorise(page)
    page.reload()
    assert try_out(page, "/api/v1/tenants/{tenant_id}/api-keys", tenant_id=tenant.id) == "201"
