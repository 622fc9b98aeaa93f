"""The error of a client whose exchange the engine ends before any addon has seen it."""

import orjson
import pytest
from mitmproxy import http
from mitmproxy.test import tflow

from mitm_addons.wire_errors import error_response
from mitm_engine.wire_error import WireError


def no_bytes(count: int) -> bytes:
    return bytes(count)


def flow_to(path: str, **headers: str) -> http.HTTPFlow:
    flow = tflow.tflow()
    flow.request.path = path
    flow.request.headers = http.Headers(**headers)
    return flow


@pytest.mark.parametrize("sent", ["mine", None])
def test_wire_error_carries_the_clients_request_id_or_a_new_one(sent: str | None) -> None:
    flow = flow_to("/v1/x", **({"X_Request_ID": sent} if sent else {}))
    response = error_response(WireError("overloaded"), flow, no_bytes)
    assert response.status_code == 503
    assert response.headers["X-Request-ID"] == (sent or "0" * 32)
    assert orjson.loads(response.content or b"")["request_id"] == (sent or "0" * 32)


def test_wire_error_has_the_shape_that_the_clients_sdk_reads() -> None:
    openai = orjson.loads(error_response(WireError("overloaded"), flow_to("/v1/x"), no_bytes).content or b"")
    anthropic = orjson.loads(
        error_response(WireError("overloaded"), flow_to("/v1/messages"), no_bytes).content or b""
    )
    assert openai["error"]["code"] == anthropic["error"]["code"] == "overloaded"
    assert anthropic["type"] == "error"
    assert "type" not in openai


def test_a_malformed_head_gets_an_error_too() -> None:
    response = error_response(WireError("bad_request"), None, no_bytes)
    assert (response.status_code, response.headers["X-Request-ID"]) == (400, "0" * 32)
