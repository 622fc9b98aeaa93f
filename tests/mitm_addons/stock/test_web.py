"""Debugging in mitmweb: for looking only, and with nothing in it that must stay secret."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from mitmproxy.addons.proxyserver import Proxyserver
from mitmproxy.test import tflow
from playwright.sync_api import sync_playwright

from mitm_addons.stock.dispatch import Dispatcher
from mitm_addons.stock.masking import BODY_KEPT
from mitm_addons.stock.master import make_master
from mitm_addons.stock.web import CALLS_KEPT, Feed, add_web
from shared.settings import load_settings
from tests.bodies.streams import ENDPOINTS as SHAPES
from tests.mitm_addons.begun import begun_flow
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.packages import need_chromium
from tests.support.upstream import Upstream
from tests.support.wait import until

CANARY = "canary-of-a-rule-header"
ENDPOINTS = [
    "/",
    "/filter-help",
    "/updates",
    "/flows",
    "/events",
    "/options",
    "/state",
    "/flows/0/request/content.data",
]
CHAT = SHAPES[0]
LIMITER = {"name": "rate_limiter", "settings": {"limit": 1, "window": "1h"}}


@dataclass
class Mitmweb:
    """A gateway under `--web`, and its pages."""

    gateway: RunningGateway
    tenant: TenantInUse

    @property
    def token(self) -> str:
        found = re.findall(r"http://127\.0\.0\.1:\d+/\?token=([0-9a-f]{32})", self.gateway.log("proxy"))
        assert len(found) == 1
        return str(found[0])

    def ask(self, path: str, method: str = "GET", **headers: str) -> requests.Response:
        address = f"http://127.0.0.1:{self.gateway.web_port}{path}"
        return requests.request(method, address, headers=headers, timeout=5)

    def look(self, path: str) -> requests.Response:
        return self.ask(path, Authorization=f"Bearer {self.token}")

    def listed(self, path: str) -> dict[str, Any]:
        """The call to `path`, which is listed a moment after its response."""
        for _ in until(3.0):
            for flow in self.look("/flows").json():
                if flow["request"]["path"].startswith(path):
                    return dict(flow)
        raise AssertionError(f"The call to {path} is not listed.")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


@pytest.fixture(scope="module")
def mitmweb(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Mitmweb]:
    folder = tmp_path_factory.mktemp("web") / "data"
    with RunningGateway(folder, proxy_arguments=("--web",)) as gateway:
        tenant = gateway.create_tenant()
        tenant.create_rule("/v1", upstream.url, headers={"X-Upstream-Name": CANARY})
        yield Mitmweb(gateway, tenant)


@pytest.mark.parametrize("path", ENDPOINTS)
def test_mitmweb_without_the_token_is_403_on_every_page(mitmweb: Mitmweb, path: str) -> None:
    assert mitmweb.ask(path).status_code == 403
    assert mitmweb.ask(path, Authorization="Bearer wrong").status_code == 403


def test_mitmweb_with_its_token_lists_the_latest_flows(mitmweb: Mitmweb) -> None:
    mitmweb.tenant.request("POST", "/v1/listed?a=1", data="hello")
    flow = mitmweb.listed("/v1/listed")
    assert flow["request"]["path"] == "/v1/listed?a=1"
    assert (flow["request"]["method"], flow["response"]["status_code"]) == ("POST", 200)
    content = f"/flows/{flow['id']}/request/content"
    assert mitmweb.look(f"{content}.data").content == b"hello"
    assert mitmweb.look(f"{content}/auto.json").json()["text"] == "hello"


def test_web_shows_no_key_and_no_secret_of_a_rule(mitmweb: Mitmweb, upstream: Upstream) -> None:
    key = mitmweb.tenant.key
    secrets = [key, CANARY, "parameter-canary", "cookie-canary"]
    path = f"/v1/secret?token=parameter-canary&q={key}"
    body = f"my key is {key}, the rule's is {CANARY}"
    assert mitmweb.tenant.request("POST", path, data=body, headers={"Cookie": "cookie-canary"}).ok
    assert CANARY in upstream.received[-1].all("x-upstream-name")
    flow = mitmweb.listed("/v1/secret")
    body_of = f"/flows/{flow['id']}/request/content"
    pages = ["/", "/flows", "/options", "/state", "/events", "/filter-help"]
    for page in [*pages, f"{body_of}.data", f"{body_of}/raw.json", f"{body_of}/auto.json"]:
        response = mitmweb.look(page)
        assert response.status_code == 200, page
        assert [secret for secret in secrets if secret in response.text] == [], page


@pytest.mark.parametrize("path", ["/v1/stream", "/v1/plain"])
def test_body_of_a_response_that_passes_as_it_comes_is_shown(mitmweb: Mitmweb, path: str) -> None:
    sent = mitmweb.tenant.request("GET", path).content
    flow = mitmweb.listed(path)
    assert sent
    assert mitmweb.look(f"/flows/{flow['id']}/response/content.data").content == sent


def test_body_of_a_long_response_is_shown_up_to_64_kib_without_secrets(mitmweb: Mitmweb) -> None:
    body = b"x" * (65_536 - 8) + CANARY.encode() + b"y" * 500_000
    headers = {"X-Type": "text/plain", "X-Sized": "1"}
    assert mitmweb.tenant.request("POST", "/v1/long/tell", data=body, headers=headers).content == body
    flow = mitmweb.listed("/v1/long/tell")
    shown = mitmweb.look(f"/flows/{flow['id']}/response/content.data").content
    assert 65_000 < len(shown) <= 65_536
    assert shown.strip(b"x") in (b"", b"[redacted]"[: len(shown.strip(b"x"))])


@pytest.mark.slow
def test_page_has_no_button_that_changes_something(mitmweb: Mitmweb, tmp_path: Path) -> None:
    chromium = need_chromium(tmp_path)
    mitmweb.tenant.request("GET", "/v1/seen")
    mitmweb.listed("/v1/seen")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{mitmweb.gateway.web_port}/?token={mitmweb.token}")
        page.click("td.col-path >> nth=0")
        page.wait_for_selector(".flow-detail")
        found = [
            one.inner_text().strip()
            for one in page.query_selector_all("button, .nav-tabs-lg a")
            if one.is_visible()
        ]
        browser.close()
    assert {"Flow List", "Flow"} <= set(found)
    dead = {
        "File",
        "Capture",
        "Options",
        "Replay",
        "Duplicate",
        "Revert",
        "Delete",
        "Mark▾",
        "Edit",
        "Export▾",
        "Resume",
        "Abort",
    }
    assert not dead & set(found)


def test_the_page_says_that_it_is_for_looking_only(mitmweb: Mitmweb) -> None:
    assert "Read only: editing, replay and commands are off." in mitmweb.look("/").text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize(
    "path", ["/", "/flows", "/options", "/clear", "/commands/view.clear", "/options/save"]
)
def test_web_accepts_no_change(mitmweb: Mitmweb, method: str, path: str) -> None:
    response = mitmweb.ask(path, method, Authorization=f"Bearer {mitmweb.token}")
    assert response.status_code == 405


@pytest.mark.parametrize(
    "path", ["/commands", "/processes", "/executable-icon", "/flows/dump", "/flows/0/replay"]
)
def test_pages_that_change_something_do_not_exist(mitmweb: Mitmweb, path: str) -> None:
    assert mitmweb.look(path).status_code == 404


def test_a_page_under_a_foreign_name_is_rejected(mitmweb: Mitmweb) -> None:
    bearer = f"Bearer {mitmweb.token}"
    for host in ("evil.example", f"evil.example:{mitmweb.gateway.web_port}", "127.0.0.1"):
        assert mitmweb.ask("/flows", Authorization=bearer, Host=host).status_code == 403
    name = f"localhost:{mitmweb.gateway.web_port}"
    assert mitmweb.ask("/flows", Authorization=bearer, Host=name).status_code == 200


def rejections(gateway: RunningGateway, upstream: Upstream, file: Path) -> list[tuple[int, Any]]:
    """A 401, a 429 and a raising plugin's 503, without what differs from call to call."""
    tenant = gateway.create_tenant()
    tenant.create_rule("/limited", upstream.url, plugin_chain=[LIMITER])
    fault = {"name": "recorder", "settings": {"file": str(file), "fault": "pre_request"}}
    tenant.create_rule("/broken", upstream.url, plugin_chain=[fault])
    tenant.request("GET", "/limited/x")
    responses = [
        tenant.request("GET", "/limited/x", headers={"Authorization": "Bearer gwk_wrong"}),
        tenant.request("GET", "/limited/x"),
        tenant.request("GET", "/broken/x"),
    ]
    return [(response.status_code, _lasting(response.json())) for response in responses]


def _lasting(body: dict[str, Any]) -> Any:
    """The body without its request id and its points in time."""
    assert body.pop("request_id")
    return re.sub(r"\d+", "N", str(body))


@pytest.mark.slow
def test_rejections_are_the_same_as_without_web(mitmweb: Mitmweb, upstream: Upstream, tmp_path: Path) -> None:
    under_web = rejections(mitmweb.gateway, upstream, tmp_path / "a")
    assert [status for status, _ in under_web] == [401, 429, 503]
    with RunningGateway(tmp_path / "data") as gateway:
        assert rejections(gateway, upstream, tmp_path / "b") == under_web


def read(tenant: TenantInUse, stream: bytes) -> tuple[bytes, bool]:
    """The bytes that a client reads of this checked stream, and whether it looks whole."""
    headers = {"X-Type": CHAT.content_type, "X-Size": "60"}
    body = b""
    with tenant.request("POST", "/judged/tell", data=stream, headers=headers, stream=True) as response:
        assert response.status_code == 200
        try:
            for piece in response.iter_content(None):
                body += piece
        except requests.exceptions.ChunkedEncodingError:
            return body, False
    return body, True


def test_a_checked_stream_passes_whole_and_a_rejected_one_ends_with_an_error_event(
    mitmweb: Mitmweb, upstream: Upstream
) -> None:
    validator = {
        "name": "content_validator",
        "stage": "pre_response",
        "settings": {"blocked_patterns": ["secret"]},
    }
    mitmweb.tenant.create_rule("/judged", upstream.url, plugin_chain=[validator])
    harmless = CHAT.stream(["Hello, ", "you ", "there"])
    assert read(mitmweb.tenant, harmless) == (harmless, True)
    body, is_whole = read(mitmweb.tenant, CHAT.stream(["Hello, ", "the se", "cret is", " 42"]))
    passed, _, error = body.rpartition(b"data: ")
    assert not is_whole
    assert json.loads(error)["error"]["code"] == "content_rejected"
    assert "Hello, the ".startswith(CHAT.read_stream(passed))


def test_500_calls_are_kept_and_the_oldest_goes_first() -> None:
    feed = Feed()
    for number in range(CALLS_KEPT + 3):
        flow = tflow.tflow(resp=True)
        flow.request.path = f"/{number}"
        feed.post_response(flow)
    assert sorted(int(flow.request.path[1:]) for flow in feed.view) == list(range(3, CALLS_KEPT + 3))
    assert feed.view.store_count() == CALLS_KEPT


def test_no_more_of_a_long_stream_is_kept_than_is_shown() -> None:
    flow = tflow.tflow(resp=True)
    flow.response.stream = True
    Feed().responseheaders(flow)
    piece = bytes(100_000)
    for _ in range(5):
        assert flow.response.stream(piece) == (piece,)
    assert len(flow.stream_kept) == BODY_KEPT


def test_a_health_check_is_not_listed() -> None:
    feed = Feed()
    feed.post_response(begun_flow(is_health_check=True))
    assert len(feed.view) == 0


async def test_the_master_has_the_addons_it_needs_and_no_others(tmp_path: Path) -> None:
    settings = load_settings(environ={})
    master = make_master(settings, tmp_path, Proxyserver(), Dispatcher([]))
    add_web(master, settings)
    names = [type(addon).__name__ for addon in master.addons.chain]
    assert names == ["Proxyserver", "NextLayer", "Dispatcher", "PostResponse", "WebAddon", "WebAuth"]
    assert (master.options.web_host, master.options.web_open_browser) == ("127.0.0.1", False)
