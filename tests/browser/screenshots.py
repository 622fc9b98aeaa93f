"""Pictures of every page of the dashboard, from a gateway with a past: ``python -m tests.browser.screenshots``.

Each page is taken at 1440 and 390 pixels, light and dark, into build/screenshots. Arguments name the pages to take.
Complaints of a page are printed; the status is 1 then. The pictures of the documentation are taken besides.
"""

import base64
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from admin_app.ui.pages import PAGES
from examples.demo_upstream.control import ControlledUpstream
from tests.browser.seed import Seeded, seed
from tests.support.browser import ARGUMENTS, DESKTOP, PHONE, SETTINGS, Dashboard
from tests.support.gateway import ROOT, RunningGateway
from tests.support.packages import need_chromium

FOLDER = ROOT / "build" / "screenshots"
TABS = ("keys", "limits", "budgets", "plugins", "usage", "history", "settings")
TENANT = next(page.path for page in PAGES if page.name == "tenant")
PICTURES = [
    *((page.name, page.path) for page in PAGES),
    *((f"tenant-{tab}", f"{TENANT}?tab={tab}") for tab in TABS),
    ("tenant-version", f"{TENANT}?tab=history&version=6"),
]
#: The pages with a picture in the documentation.
SHOWN, IMAGES = ("overview", "request", "connect", "system", "tenant-budgets"), ROOT / "docs" / "images"


@contextmanager
def seeded_gateway(folder: Path) -> Iterator[Seeded]:
    """A gateway of its own with a past."""
    upstream = ControlledUpstream(0)
    try:
        with RunningGateway(folder, SETTINGS) as gateway:
            _add_to_the_platform(gateway)
            yield seed(gateway, upstream)
    finally:
        upstream.close()


def _add_to_the_platform(gateway: RunningGateway) -> None:
    """Tokens and a webhook of the platform, which the gateways of tests do without."""
    webhook = {"name": "on-call", "url": "http://127.0.0.1:9/hooks/gateway", "secret": "a-secret-of-the-seed"}
    for path, document in (
        (
            "/platform/tokens",
            {"name": "terraform", "scopes": ["write"], "expires_at": "2027-06-01T00:00:00Z"},
        ),
        ("/platform/tokens", {"name": "grafana", "scopes": ["read"]}),
        ("/webhooks", webhook | {"events": ["breaker.opened"]}),
    ):
        made = gateway.call("POST", path, json=document)
        assert made.status_code == 201, made.text


def take(browser: Browser, seeded: Seeded, names: list[str]) -> list[str]:
    """Take the pages of these names, or all. Returns what they complained of."""
    complaints = []
    for size, width in ((DESKTOP, 1440), (PHONE, 390)):
        for theme in ("light", "dark"):
            context = browser.new_context(
                viewport=size, color_scheme=theme, reduced_motion="reduce", locale="en-GB"
            )
            dashboard = Dashboard(seeded.gateway, context, context.new_page())
            dashboard.watch(dashboard.page)
            dashboard.log_in()
            for name, path in PICTURES:
                if names and name not in names:
                    continue
                page = dashboard.open(seeded.path(path))
                if name == "system":
                    page.get_by_role("button", name="Check now").click()
                    expect(page.locator("#checks-count")).to_contain_text("to look at", timeout=30_000)
                page.wait_for_timeout(300)
                dashboard.page.screenshot(path=FOLDER / f"{name}-{width}-{theme}.png", full_page=True)
                if name in SHOWN and (width, theme) == (1440, "light"):
                    _illustrate(dashboard.page, name)
            complaints += dashboard.complaints
            context.close()
    return complaints


def _illustrate(page: Page, name: str) -> None:
    """Write a picture for the documentation, as WebP, which is smaller."""
    session = page.context.new_cdp_session(page)
    taken = session.send("Page.captureScreenshot", {"format": "webp", "quality": 80})
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / f"{name}.webp").write_bytes(base64.b64decode(taken["data"]))


def main(names: list[str]) -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        seeded_gateway(Path(folder) / "data") as seeded,
        sync_playwright() as playwright,
    ):
        path = need_chromium(Path(folder))
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        complaints = take(browser, seeded, names)
        browser.close()
    print(*complaints, f"The pictures are in {FOLDER.relative_to(ROOT)}.", sep="\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
