"""The head of a response, as the method and the version of the request allow it."""

from types import SimpleNamespace
from typing import Any

import pytest
from mitmproxy import http

from mitm_addons.flows import UpstreamCall
from mitm_addons.response_head import ResponseHead
from mitm_addons.stock.adapter import StockResponseHead
from shared.budgets.reservation import CAPPED, DOWNGRADED
from shared.model.config import ApiKey, Cors, Scope, Snapshot, Tenant, Tier
from shared.model.messages import Headers
from shared.providers.headers import SHOULD_RETRY
from shared.routing.compile import Gateway
from shared.routing.router import Router
from shared.translation.notes import HEADER
from tests.mitm_addons.begun import begun_flow


def finished(addon: ResponseHead | None = None, method: str = "GET", flow: Any = None, **state: Any) -> Any:
    """The response to this method as it leaves the addon."""
    flow = flow or begun_flow(**state)
    flow.request.method = method
    (addon or ResponseHead()).response(flow)
    return flow.response


def test_a_response_to_head_has_no_body_but_its_length() -> None:
    """Else the client would read the body as the next response of the connection."""
    response = finished(method="HEAD")
    assert (response.raw_content, response.headers["content-length"]) == (b"", "7")


@pytest.mark.parametrize(
    ("state", "connection"),
    [
        ({}, None),
        ({"closes": True}, "close"),
        ({"is_http10": True}, "keep-alive"),
        ({"is_http10": True, "closes": True}, "close"),
    ],
)
def test_a_response_announces_whether_the_connection_is_kept(
    state: dict[str, bool], connection: str | None
) -> None:
    """HTTP/1.0 closes by default (RFC 9112, 9.3)."""
    assert finished(**state).headers.get("connection") == connection


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_a_body_announces_no_chunks(status: int) -> None:
    """mitmproxy would send a last chunk, which the client reads as the next response."""
    flow = begun_flow()
    flow.response.status_code = status
    flow.response.headers = http.Headers(transfer_encoding="chunked")
    assert "transfer-encoding" not in finished(flow=flow).headers


@pytest.mark.parametrize(("addon", "connection"), [(ResponseHead(), None), (StockResponseHead(), "close")])
def test_an_http_1_0_upstream_ends_the_clients_connection_on_mitmproxys_core_only(
    addon: ResponseHead, connection: str | None
) -> None:
    flow = begun_flow()
    flow.response.http_version = "HTTP/1.0"
    response = finished(addon, flow=flow)
    assert (response.headers.get("connection"), response.http_version) == (connection, "HTTP/1.1")


@pytest.mark.parametrize(
    ("content_type", "buffering"),
    [
        ("text/event-stream", "no"),
        ("Text/Event-Stream; charset=utf-8", "no"),
        ("application/x-ndjson", "no"),
        ("application/json", None),
    ],
)
def test_event_stream_asks_proxies_not_to_buffer_it(content_type: str, buffering: str | None) -> None:
    flow = begun_flow()
    flow.response.headers["content-type"] = content_type
    flow.response.stream = True
    ResponseHead().responseheaders(flow)
    assert flow.response.headers.get("x-accel-buffering") == buffering


def test_response_names_the_upstreams_request_id() -> None:
    call = UpstreamCall()
    call.id = b"req_1"
    assert finished(call=call).headers["x-upstream-request-id"] == "req_1"
    assert "x-upstream-request-id" not in finished().headers


def test_response_of_a_rule_with_cors_can_be_read_by_its_pages() -> None:
    sent = Headers([("Origin", "https://app.example")])
    headers = finished(cors=Cors(("https://app.example",)), headers=sent).headers
    assert headers["access-control-allow-origin"] == "https://app.example"
    assert headers["access-control-expose-headers"] == "X-Request-ID"
    assert headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("scopes", "code", "version"),
    [
        ((Scope.ADMIN, Scope.PROXY), None, "41"),
        ((Scope.ADMIN,), "route_not_found", "41"),
        ((Scope.ADMIN,), "api_key_expired", None),
        ((Scope.ADMIN,), "api_key_revoked", None),
        ((Scope.READ, Scope.PROXY), None, None),
        (None, None, None),
    ],
)
def test_response_tells_the_version_of_the_configuration_to_admin_keys(
    scopes: tuple[Scope, ...] | None, code: str | None, version: str | None
) -> None:
    """Also a rejection, so that an operator sees whether a change has arrived."""
    keys = {} if scopes is None else {"hash": ApiKey("k", "K", "gwk_1", "hash", scopes=scopes)}
    gateway = Gateway(Snapshot(Tenant("t", "T", "t", version=41)), Tier("x"), keys, Router())
    headers = finished(gateway=gateway, key_hash="hash", code=code).headers
    assert headers.get("x-gateway-config-version") == version


# All headers that requests with a pool of targets may add.
OF_POOLS = (
    *("X-Gateway-Provider", "X-Gateway-Model", "X-Gateway-Usage-Source", "X-Gateway-Cost"),
    *(
        "X-Gateway-RateLimit-Mode",
        "X-Gateway-Attempts",
        SHOULD_RETRY,
        HEADER,
        DOWNGRADED.decode(),
        CAPPED.decode(),
    ),
)


@pytest.mark.parametrize("name", OF_POOLS)
def test_header_of_the_gateway_takes_the_place_of_the_upstreams(name: str) -> None:
    flow = begun_flow(pooled=SimpleNamespace(fields=lambda: ((name.encode(), b"ours"),)))
    flow.response.headers = http.Headers(((b"Server", b"u"), (name.lower().encode(), b"theirs")))
    assert finished(flow=flow).headers.get_all(name) == ["ours"]
    assert flow.response.headers["server"] == "u"
