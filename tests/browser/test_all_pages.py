"""Every page is accessible, and text that others typed is text."""

import re
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import redis
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

from admin_app.ui.pages import PAGES
from examples.demo_upstream.control import ControlledUpstream
from shared.records.keys import ALL, records_key
from shared.records.record import encoded
from tests.browser.screenshots import TABS
from tests.browser.seed import Seeded, seed
from tests.records.lines import AI, access_line, line
from tests.support.browser import DESKTOP, PHONE, Dashboard
from tests.support.gateway import RunningGateway, TenantInUse

#: Of the WCAG up to 2.2, levels A and AA, and best practices.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_RUN = "axe.run(document, {runOnly: %s, resultTypes: ['violations']})"
#: From the Big List of Naughty Strings, and for templates. Each that becomes markup sets `window.naughty`.
NAUGHTY = [
    "<script>window.naughty = 1</script>",
    "<img src=x onerror=window.naughty=1>",
    '"><svg onload=window.naughty=1>',
    "'-window.naughty=1-'",
    "javascript:window.naughty=1",
    "${window.naughty=1}",
    "{{constructor.constructor('window.naughty=1')()}}",
    "</script><script>window.naughty = 1</script>",
    "<iframe srcdoc='<script>parent.naughty=1</script>'>",
    "\u202etest\u202e \u2066test\u2067",
    "Ṱ̺̺̕o͞ ̷i̲̬͇̪͙n̝̗͕v̟̜̘̦͟o̶̙̰̠kè͚̮̺̪̹̱̤",
    "田中さんにあげて下さい 👩🏽‍💻 ﷽",
]


@pytest.fixture(scope="module")
def seeded(proxy: RunningGateway) -> Iterator[Seeded]:
    upstream = ControlledUpstream(0)
    yield seed(proxy, upstream)
    upstream.close()


def findings(page: Page) -> list[str]:
    """The violations that axe finds, with their elements."""
    found: Any = page.evaluate(_RUN % TAGS)
    return [
        f"{one['id']}: {node['target']} {node['failureSummary'].splitlines()[1].strip()}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


# Each theme and each width once; the others are slow.
SIGHTS = [
    pytest.param([(DESKTOP, "light"), (PHONE, "dark")], id="light desktops, dark phones"),
    pytest.param(
        [(DESKTOP, "dark"), (PHONE, "light")], id="dark desktops, light phones", marks=pytest.mark.slow
    ),
]


@pytest.mark.parametrize("sights", SIGHTS)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_is_accessible_in_both_themes_on_desktops_and_phones(
    dashboard: Dashboard, seeded: Seeded, page: Any, sights: Any
) -> None:
    check_accessible(dashboard.open(seeded.path(page.path)), sights)


@pytest.mark.slow
@pytest.mark.parametrize("tab", TABS)
def test_tab_of_a_tenant_is_accessible_with_its_panel(dashboard: Dashboard, seeded: Seeded, tab: str) -> None:
    opened = dashboard.open(seeded.path(f"/ui/tenants/<tenant_id>?tab={tab}"))
    sights = SIGHTS[0].values[0]
    check_accessible(opened, sights)
    buttons = opened.locator("#page").get_by_role("button", name=re.compile("^(Add|Create) a "))
    if buttons.count():
        buttons.first.click()
        opened.locator("dialog details").evaluate_all("all => all.forEach(one => (one.open = true))")
        check_accessible(opened, sights)


def check_accessible(opened: Page, sights: Any) -> None:
    """Check what is shown in each of the sights, and that nothing scrolls sideways but tables on phones."""
    opened.evaluate(AXE_SCRIPT)
    found = {}
    for size, theme in sights:
        opened.set_viewport_size(size)
        opened.emulate_media(color_scheme=theme)
        found[f"{size['width']} {theme}"] = findings(opened)
        overflow = opened.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overflow <= 0, f"The page scrolls sideways by {overflow} px at {size['width']} px."
        cut = opened.locator(".scroll").evaluate_all(
            "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"
        )
        assert size is PHONE or not cut, f"Tables are wider than a desktop: {cut}"
    assert not any(found.values()), "\n".join(f"{where}: {one}" for where in found for one in found[where])


@pytest.fixture(scope="module")
def naughty(admin: RunningGateway) -> TenantInUse:
    """A tenant whose names, rules, keys and requests are naughty strings."""
    tenant = admin.create_tenant(name=NAUGHTY[1])
    for number, text in enumerate(NAUGHTY):
        admin.create_tenant(name=text[:100])
        admin.call("POST", f"/tenants/{tenant.id}/api-keys", json={"name": text, "scopes": ["read"]})
        admin.call(
            "POST",
            f"/tenants/{tenant.id}/rules",
            json={"path": f"/{number}", "target": "https://api.example.com", "headers": {"X-A": text}},
        )
    provider = {
        "name": "naughty",
        "kind": "custom",
        "base_url": "http://127.0.0.1:9/v1",
        "apis": ["openai.chat"],
    }
    models = [{"id": text, "aliases": []} for text in NAUGHTY[:6]]
    admin.call("POST", f"/tenants/{tenant.id}/providers", json={**provider, "models": models})
    with redis.Redis(unix_socket_path=str(admin.folder / "valkey.sock")) as client:
        for text in NAUGHTY:
            members = {"path": f"/{text}", "method": text, "code": text, "client": text, "faults": [text]}
            ai = {
                **AI,
                "model": text,
                "provider": text,
                "attempts": [{**AI["attempts"][0], "why": text, "target": text}],
            }
            made = line(tenant=tenant.id, request_id=f"req-{text}", ai=ai, **members)
            fields = dict(zip(("event", "trace"), encoded(time.time(), access_line(made), {}), strict=True))
            for owner in (tenant.id, ALL):
                client.xadd(records_key(owner), fields)
        assert orjson.loads(fields["event"])["code"] == NAUGHTY[-1]
    return tenant


def test_what_others_typed_is_text_on_every_page(dashboard: Dashboard, naughty: TenantInUse) -> None:
    dashboard.allow("404: ", "422: ")
    rule = dashboard.gateway.call("GET", f"/tenants/{naughty.id}/rules").json()["rules"][0]["id"]
    for page in PAGES:
        path = page.path.replace("<tenant_id>", naughty.id).replace("<rule_id>", rule)
        opened = dashboard.open(
            path.replace("<path:request_id>", "req-%3Cscript%3Ewindow.naughty%20=%201%3C%2Fscript%3E")
        )
        assert opened.evaluate("window.naughty") is None, page.name
        strange = "script:not([src]), main img, iframe, [onerror], [onload], a[href^=javascript]"
        assert opened.locator(strange).count() == 0, page.name
    tenants = dashboard.open("/ui/tenants")
    assert NAUGHTY[1] in tenants.locator("main").inner_text()
