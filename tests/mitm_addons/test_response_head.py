"""The last touch: what the client's method and version allow."""

import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from mitm_addons.flows import FlowState, begin
from mitm_addons.response_head import ResponseHead
from mitm_addons.stock.adapter import StockResponseHead


def finished(method: str = "GET", **state: bool) -> http.Response:
    flow = tflow.tflow(resp=True)
    flow.request.method = method
    begin(flow, FlowState("id", 0.0, "client", **state))
    ResponseHead().response(flow)
    assert flow.response
    return flow.response


def test_an_answer_to_head_has_no_body_but_its_length() -> None:
    """Else the client would read the body as the next answer of the connection."""
    response = finished("HEAD")
    assert (response.raw_content, response.headers["content-length"]) == (b"", "7")


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({}, None),
        ({"closes": True}, "close"),
        ({"is_http10": True}, "keep-alive"),
        ({"is_http10": True, "closes": True}, "close"),
    ],
)
def test_a_client_is_told_whether_the_connection_stays(state: dict[str, bool], says: str | None) -> None:
    """HTTP/1.0 closes where nothing is said (RFC 9112, 9.3)."""
    assert finished(**state).headers.get("connection") == says


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_announces_no_chunks(status: int) -> None:
    """mitmproxy would send a last chunk, which the client reads as the next answer."""
    flow = tflow.tflow(resp=True)
    begin(flow, FlowState("id", 0.0, "client"))
    assert flow.response
    flow.response.status_code = status
    flow.response.headers = http.Headers(transfer_encoding="chunked")
    ResponseHead().response(flow)
    assert "transfer-encoding" not in flow.response.headers


@pytest.mark.parametrize(("addon", "says"), [(ResponseHead(), None), (StockResponseHead(), "close")])
def test_an_http_1_0_upstream_ends_the_clients_connection_on_mitmproxys_core_only(
    addon: ResponseHead, says: str | None
) -> None:
    flow = tflow.tflow(resp=True)
    begin(flow, FlowState("id", 0.0, "client"))
    assert flow.response
    flow.response.http_version = "HTTP/1.0"
    addon.response(flow)
    assert (flow.response.headers.get("connection"), flow.response.http_version) == (says, "HTTP/1.1")
