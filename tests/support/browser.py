"""The dashboard in a real browser: one Chromium and one gateway per process, and a fresh profile per test.

A test fails when a page logs an error, breaks its Content-Security-Policy, asks for anything of another host, or gets
an error that the test did not allow (`Dashboard.allow`). Under that policy, `page.wait_for_function` with a text fails: use locators.
"""

import asyncio
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.packages import need_chromium
from tests.support.upstream import Upstream

TOKEN = "the-platforms-own-token"
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # Hosts outside this machine have no address.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
#: Of a gateway with a dashboard.
SETTINGS = {"GATEWAY_ADMIN_TOKEN": TOKEN, "GATEWAY__SERVER__BASE_DOMAIN": "example.com"}
SECONDS = 10.0  # for a page to have its data


@dataclass
class Dashboard:
    """A page of a browser, and what it asked for and complained of.

    Attributes:
        gateway: The gateway; its admin API runs, and its proxy only in tests with the fixture `proxy`.
        context: The profile of the browser, with its cookies.
        page: Its page, 1440 x 900 pixels.
        asked: The URLs of all requests.
        complaints: Errors of the page that no test allowed. The test fails if something is left here.
    """

    gateway: RunningGateway
    context: BrowserContext
    page: Page
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _allowed: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.gateway.admin

    def watch(self, page: Page) -> None:
        """Note what the page asks for and complains of."""
        page.set_default_timeout(SECONDS * 1000)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self._complain(f"error: {error.stack or error}"))
        page.on("requestfailed", lambda request: self._complain(f"failed: {request.url} {request.failure}"))
        page.on("response", lambda got: got.status >= 400 and self._complain(f"{got.status}: {got.url}"))
        page.on("console", self._listen)

    def _listen(self, said: Any) -> None:
        # Responses are judged by their status.
        if said.type == "error" and not said.text.startswith("Failed to load resource"):
            self._complain(f"console: {said.text}")

    def _complain(self, text: str) -> None:
        # A page that is left ends the requests that it waits for.
        if "net::ERR_ABORTED" not in text and not any(re.search(one, text) for one in self._allowed):
            self.complaints.append(text)

    def allow(self, *patterns: str) -> None:
        """Expect complaints that match: ``allow("422: .*/rules")``."""
        self._allowed += patterns

    def log_in(self, key: str = TOKEN) -> None:
        """Log in, without the page for it."""
        made = self.context.request.post(
            f"{self.url}/ui/session", data={"key": key}, headers={"Sec-Fetch-Site": "same-origin"}
        )
        assert made.status == 204, made.text()

    def open(self, path: str, page: Page | None = None) -> Page:
        """Open a page of the dashboard, and wait until it has its data."""
        page = page or self.page
        page.goto(f"{self.url}{path}")
        self.await_ready(page)
        return page

    def await_ready(self, page: Page | None = None) -> None:
        """Wait until the page has its data."""
        expect((page or self.page).locator("html[data-ready]")).to_be_attached(timeout=SECONDS * 1000)

    def foreign(self) -> list[str]:
        """The URLs that were asked for and are not of the gateway."""
        return [url for url in self.asked if not url.startswith((f"{self.url}/", "data:", "blob:"))]


class _Chromium:
    """The browser of this process.

    Playwright's synchronous interface keeps an event loop running in this thread. So that other tests can run
    theirs, it is only in place while a test uses the browser.
    """

    def __init__(self, folder: Path) -> None:
        self.playwright: Playwright = sync_playwright().start()
        self.loop = asyncio.get_running_loop()
        path = need_chromium(folder)
        self.browser: Browser = self.playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        self.leave()

    def enter(self) -> Browser:
        asyncio._set_running_loop(self.loop)
        return self.browser

    def leave(self) -> None:
        asyncio._set_running_loop(None)

    def close(self) -> None:
        self.enter().close()
        self.playwright.stop()
        self.leave()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Chromium]:
    opened = _Chromium(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A real admin API with an embedded store. Its data are shared by all tests of the process."""
    folder = tmp_path_factory.mktemp("dashboard") / "data"
    gateway = RunningGateway(folder, SETTINGS)
    try:
        gateway.start_admin()
        yield gateway
    finally:
        gateway.stop(signal.SIGTERM)


@pytest.fixture(scope="session")
def proxy(admin: RunningGateway) -> RunningGateway:
    """The same gateway with its proxy."""
    admin.start_proxy()
    return admin


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """An upstream for rules: it responds by the path, see `tests.support.upstream.BY_PATH`."""
    with Upstream() as running:
        yield running


@pytest.fixture
def dashboard(admin: RunningGateway, chromium: _Chromium) -> Iterator[Dashboard]:
    """A fresh browser profile, logged in as the platform."""
    browser = chromium.enter()
    try:
        context = browser.new_context(viewport=DESKTOP, reduced_motion="reduce", locale="en-GB")
        opened = Dashboard(admin, context, context.new_page())
        opened.watch(opened.page)
        opened.log_in()
        yield opened
        context.close()
    finally:
        chromium.leave()
    assert not opened.complaints, "\n".join(opened.complaints)
    assert not opened.foreign(), opened.foreign()


@pytest.fixture
def tenant(admin: RunningGateway) -> TenantInUse:
    """A tenant of the test's own."""
    return admin.create_tenant()
