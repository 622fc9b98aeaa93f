"""Exchanges at a time, on real traffic: a place comes back however the exchange ends."""

import contextlib
from typing import Any

import pytest
import requests

from tests.support.client import RawClient
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream
from tests.support.wait import until

ONE = {"name": "rate_limiter", "settings": {"limits": {"streams": {"limit": 1, "unit": "concurrent"}}}}
DEMANDING = {"name": "security_validator", "priority": 200, "settings": {"required_headers": ["X-Wanted"]}}


@pytest.fixture(scope="module")
def tenant(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    made = gateway.create_tenant()
    made.create_rule("/v1", everlasting_upstream.url, plugin_chain=[ONE])
    made.create_rule("/demanding", everlasting_upstream.url, plugin_chain=[ONE, DEMANDING])
    made.create_rule("/nowhere", "http://127.0.0.1:9", plugin_chain=[ONE])
    made.create_rule("/buffered", everlasting_upstream.url, plugin_chain=[ONE], streams="buffer")
    return made


@contextlib.contextmanager
def open_stream(tenant: TenantInUse) -> Any:
    response = tenant.request("GET", "/v1/endless", stream=True)
    try:
        assert response.status_code == 200
        pieces = response.iter_content(1)
        next(pieces)
        yield response
    finally:
        response.close()


def soon_free(tenant: TenantInUse, path: str) -> bool:
    for _ in until(3.0):
        response = tenant.request("GET", f"{path}/x", headers={"X-Wanted": "1"})
        if response.status_code != 429:
            return True
        assert response.json()["error"]["code"] == "too_many_concurrent_requests"
    return False


def test_a_second_stream_is_rejected_while_the_first_is_open(tenant: TenantInUse, upstream: Upstream) -> None:
    with open_stream(tenant) as stream:
        assert stream.headers["ratelimit"] == '"rule-streams";r=0'
        assert stream.headers["ratelimit-policy"] == '"rule-streams";q=1;qu="concurrent-requests"'
        rejected = tenant.request("GET", "/v1/x", headers={"X-Request-ID": stream.headers["x-request-id"]})
        assert rejected.status_code == 429
        body = rejected.json()
        assert body["error"]["code"] == "too_many_concurrent_requests"
        assert body["rate_limit"]["unit"] == "concurrent"
        assert (rejected.headers["retry-after"], rejected.headers["retry-after-ms"]) == ("1", "1000")
    assert soon_free(tenant, "/v1")


def raw(tenant: TenantInUse, text: str) -> None:
    """Send a request by hand, and go away at once."""
    head = f"Host: {tenant.host}\r\nx-api-key: {tenant.key}"
    with RawClient(tenant.gateway.proxy_port) as client:
        client.send(text.replace("HEAD", head).encode())
        client.is_silent(0.5)


def quietly(tenant: TenantInUse, path: str) -> None:
    with contextlib.suppress(requests.RequestException):
        _ = tenant.request("GET", path).content


ENDS = {
    "it is answered": lambda t: t.request("GET", "/v1/x"),
    "the upstream answers with an error": lambda t: t.request("GET", "/v1/error"),
    "a stream ends": lambda t: t.request("GET", "/v1/stream").content,
    "a buffered stream ends": lambda t: t.request("GET", "/buffered/stream"),
    "the upstream cuts a stream": lambda t: quietly(t, "/v1/cut"),
    "the upstream sends half a body": lambda t: quietly(t, "/v1/half"),
    "the upstream says nothing": lambda t: t.request("GET", "/v1/silent"),
    "the upstream speaks no HTTP": lambda t: t.request("GET", "/v1/garbage"),
    "nothing listens upstream": lambda t: t.request("GET", "/nowhere/x"),
    "a later plugin refuses": lambda t: t.request("GET", "/demanding/x"),
    "the client goes before the answer": lambda t: raw(t, "GET /v1/stream HTTP/1.1\r\nHEAD\r\n\r\n"),
    "the client goes in its body": lambda t: raw(
        t, "POST /v1/x HTTP/1.1\r\nHEAD\r\nContent-Length: 9\r\n\r\nhalf"
    ),
    "the request has trailers": lambda t: raw(
        t, "POST /v1/x HTTP/1.1\r\nHEAD\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\n\r\n"
    ),
    "the chunks are broken": lambda t: raw(
        t, "POST /v1/x HTTP/1.1\r\nHEAD\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"
    ),
}


@pytest.mark.parametrize("end", list(ENDS))
def test_a_place_comes_back_when(tenant: TenantInUse, upstream: Upstream, end: str) -> None:
    for _ in range(2):
        ENDS[end](tenant)
    for path in ("/v1", "/buffered", "/demanding"):
        assert soon_free(tenant, path)
