"""Streams that are judged while they pass, end to end."""

import gzip
import json
import time
from typing import Any

import pytest

from tests.bodies.streams import ENDPOINTS, Endpoint
from tests.support.client import RawClient
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream

CHAT, MESSAGES = ENDPOINTS[0], ENDPOINTS[4]
LINES = ENDPOINTS[-1]


def validator(**settings: Any) -> dict[str, Any]:
    return {"name": "content_validator", "stage": "pre_response", "settings": settings}


@pytest.fixture(scope="module")
def judged(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    """Rules by what they do, each with streams passed on and with streams collected."""
    tenant = gateway.create_tenant()
    rules = {
        "block": {"blocked_patterns": ["secret", r"\b\d{4}\b"]},
        "mask": {"blocked_patterns": ["secret"], "action": "mask"},
        "must": {"required_patterns": ["please"]},
        "size": {"max_size": 2000},
    }
    for name, settings in rules.items():
        for streams in ("pass", "buffer"):
            tenant.create_rule(
                f"/{streams}/{name}/v1",
                everlasting_upstream.url,
                streams=streams,
                plugin_chain=[validator(**settings)],
            )
    return tenant


def told(
    tenant: TenantInUse, path: str, endpoint: Endpoint, *pieces: str, size: int = 60, **headers: str
) -> tuple[int, bytes, bool]:
    """Status, the body without its framing, and whether it looks complete."""
    body = endpoint.stream(pieces)
    fields = {"Host": tenant.host, "x-api-key": tenant.key, "Connection": "close", **headers}
    fields |= {"X-Type": endpoint.content_type, "X-Size": str(size), "Content-Length": str(len(body))}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    with RawClient(tenant.gateway.proxy_port) as client:
        got = client.ask(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
    return got.status, got.body, got.cut is None


def error_in(body: bytes) -> dict[str, Any]:
    last = body.decode().rstrip().splitlines()[-1].removeprefix("data: ")
    error: dict[str, Any] = json.loads(last)
    return error


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_judged_stream_that_is_accepted_arrives_byte_for_byte(
    judged: TenantInUse, upstream: Upstream, endpoint: Endpoint
) -> None:
    pieces = ["Hello", ' "you"', " é"]
    for end in ("\n", "\r\n"):
        stream = endpoint.stream(pieces, end)
        headers = {"X-Type": endpoint.content_type, "X-Size": "50"}
        response = judged.request("POST", "/pass/block/v1/tell", data=stream, headers=headers)
        assert (response.status_code, response.content) == (200, stream)
        assert response.headers["transfer-encoding"] == "chunked"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_a_hit_ends_the_stream_with_an_error_event_and_nothing_of_the_match(
    judged: TenantInUse, upstream: Upstream, endpoint: Endpoint
) -> None:
    status, body, complete = told(
        judged, "/pass/block/v1/tell", endpoint, "Hello, ", "the se", "cr", "et is", " 42"
    )
    assert (status, complete) == (200, False)
    assert error_in(body)["error"]["code"] == "content_rejected"
    before = body[: body.rindex(b'{"error"')].removesuffix(b"data: ")
    read = endpoint.read_stream(before)
    assert read
    assert "Hello, the ".startswith(read)


def test_a_hit_is_shown_in_the_shape_of_the_clients_sdk(judged: TenantInUse, upstream: Upstream) -> None:
    pieces = ["Hello, the ", "secret", " is"]
    body = told(judged, "/pass/block/v1/tell", CHAT, *pieces)[1]
    assert set(error_in(body)) == {"error", "request_id"}
    assert error_in(body)["error"]["type"] == "invalid_request_error"
    body = told(judged, "/pass/block/v1/tell", MESSAGES, *pieces, anthropic_version="2023-06-01")[1]
    assert b"event: error\ndata: {" in body
    assert error_in(body)["type"] == "error"
    body = told(judged, "/pass/block/v1/tell", LINES, *pieces)[1]
    assert all(json.loads(line) for line in body.splitlines())


@pytest.mark.parametrize("what", ["block", "must", "size"])
def test_collected_and_passed_streams_get_the_same_verdict(
    judged: TenantInUse, upstream: Upstream, what: str
) -> None:
    good = {"block": ["Hello 123", "45"], "must": ["plea", "se"], "size": ["short"]}[what]
    bad = {"block": ["Hello 12", "34 "], "must": ["thanks"], "size": ["long"] * 50}[what]
    headers = {"X-Type": CHAT.content_type}
    for pieces, rejected in ((good, False), (bad, True)):
        stream = CHAT.stream(pieces)
        collected = judged.request("POST", f"/buffer/{what}/v1/tell", data=stream, headers=headers)
        assert collected.status_code == (422 if rejected else 200)
        status, body, complete = told(judged, f"/pass/{what}/v1/tell", CHAT, *pieces)
        assert (status, complete) == (200, not rejected)
        if rejected:
            assert collected.json()["error"] == error_in(body)["error"]
            assert b"[DONE]" not in body
        else:
            assert body == collected.content == stream


def test_whole_responses_get_the_verdict_of_streamed_ones(judged: TenantInUse, upstream: Upstream) -> None:
    for streams in ("pass", "buffer"):
        headers = {"X-Type": "application/json"}
        response = judged.request(
            "POST", f"/{streams}/block/v1/tell", data=CHAT.body("the secret"), headers=headers
        )
        assert (response.status_code, response.json()["error"]["code"]) == (422, "content_rejected")
        assert response.headers["x-gateway-error-source"] == "plugin:content_validator"
        response = judged.request(
            "POST", f"/{streams}/mask/v1/tell", data=CHAT.body("the secret"), headers=headers
        )
        assert CHAT.read_whole(response.content) == "the ******"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_text_is_masked_over_events(judged: TenantInUse, upstream: Upstream, endpoint: Endpoint) -> None:
    status, body, complete = told(judged, "/pass/mask/v1/tell", endpoint, "the se", "cr", "et is")
    assert (status, complete) == (200, True)
    assert endpoint.read_stream(body) == "the ****** is"
    headers = {"X-Type": endpoint.content_type}
    stream = endpoint.stream(["the se", "cr", "et is"])
    assert judged.request("POST", "/buffer/mask/v1/tell", data=stream, headers=headers).content == body


def test_a_stream_with_a_length_is_judged_too(judged: TenantInUse, upstream: Upstream) -> None:
    headers = {"X-Type": CHAT.content_type, "X-Sized": "1"}
    stream = CHAT.stream(["the secret"])
    response = judged.request("POST", "/pass/mask/v1/tell", data=stream, headers=headers)
    assert CHAT.read_stream(response.content) == "the ******"
    assert "content-length" not in response.headers


def test_an_encoded_stream_is_collected_and_judged(judged: TenantInUse, upstream: Upstream) -> None:
    headers = {"X-Type": CHAT.content_type, "X-Coding": "gzip"}
    for text, status in (("hello", 200), ("the secret", 422)):
        body = gzip.compress(CHAT.stream([text]))
        response = judged.request("POST", "/pass/block/v1/tell", data=body, headers=headers)
        assert response.status_code == status


def test_an_upstream_is_asked_for_a_stream_that_is_not_encoded(
    judged: TenantInUse, upstream: Upstream
) -> None:
    asked = {}
    for streams in ("pass", "buffer"):
        headers = {"X-Type": CHAT.content_type, "Accept-Encoding": "gzip, br"}
        judged.request("POST", f"/{streams}/block/v1/tell", data=CHAT.stream(["hello"]), headers=headers)
        asked[streams] = upstream.received[-1].all("accept-encoding")
    assert asked == {"pass": ["identity"], "buffer": ["gzip, br"]}


def test_events_of_a_judged_stream_arrive_one_by_one(judged: TenantInUse, upstream: Upstream) -> None:
    headers = {"X-Type": CHAT.content_type, "X-Size": "60"}
    stream = CHAT.stream([f"word {number}" for number in range(40)])
    response = judged.request("POST", "/pass/block/v1/tell", data=stream, headers=headers, stream=True)
    arrived = [time.monotonic() for line in response.iter_lines(chunk_size=1) if line]
    assert arrived[-1] - arrived[0] > 0.2


def test_a_rejected_stream_closes_the_upstream(judged: TenantInUse, upstream: Upstream) -> None:
    told(judged, "/pass/block/v1/tell", CHAT, "Hello ", "secret ", "!", x_open="1")
    assert upstream.received[-1].peer.ended.wait(2.0)


def test_a_pattern_without_a_bound_is_rejected_where_streams_pass(
    judged: TenantInUse, upstream: Upstream
) -> None:
    body = {"path": "/new", "target": upstream.url, "plugin_chain": [validator(blocked_patterns=["a.*b"])]}
    response = judged.gateway.call("POST", f"/tenants/{judged.id}/rules", json=body)
    assert response.status_code == 422
    [error] = response.json()["errors"]
    assert error["pointer"] == "/plugin_chain/0/settings/blocked_patterns/0"
    assert error["detail"] == (
        "content_validator has the pattern 'a.*b', which may match more than 512 characters, but this rule "
        "forwards streams event by event. Bound its repeats, as in [a-z]{1,64}, or set the rule's "
        '"streams" to "buffer".'
    )
    judged.create_rule("/new", upstream.url, streams="buffer", plugin_chain=body["plugin_chain"])
    stream = CHAT.stream(["a", "x" * 600, "b"])
    response = judged.request("POST", "/new/tell", data=stream, headers={"X-Type": CHAT.content_type})
    assert response.status_code == 422


PLAIN = next(endpoint for endpoint in ENDPOINTS if endpoint.name == "plain events")


class TestPluginsOfOthers:
    """One that judges in a thread. The stock engine cannot wait for it, and collects streams."""

    @pytest.mark.parametrize(
        ("act", "code"),
        [("reject", "content_rejected"), *((act, "plugin_failure") for act in ("raise", "junk", "wait"))],
    )
    @pytest.mark.parametrize("on_error", ["closed", "open"])
    def test_judged_stream_that_ends_early_shows_its_reader_the_reason(
        self,
        judged: TenantInUse,
        upstream: Upstream,
        engine: str,
        act: str,
        code: str,
        on_error: str,
    ) -> None:
        entry = {
            "name": "reader_on_streams",
            "stage": "pre_response",
            "timeout": "300ms",
            "settings": {"act": act},
        }
        path = f"/others/{act}/{on_error}"
        judged.create_rule(path, upstream.url, plugin_chain=[{**entry, "on_error": on_error}])
        if engine == "mitmproxy":
            response = judged.request(
                "POST", f"{path}/tell", data=PLAIN.stream(["a", "b"]), headers={"X-Type": PLAIN.content_type}
            )
            assert response.content == PLAIN.stream(["a", "b"])
            assert "content-length" in response.headers
            return
        status, body, complete = told(judged, f"{path}/tell", PLAIN, "a", "b", "c", size=20, X_Pause="0.05")
        assert status == 200
        if on_error == "open" and act != "reject":
            assert (body, complete) == (PLAIN.stream(["a", "b", "c"]), True)
        else:
            assert not complete
            assert body.startswith(b"id: 0\ndata: a\n\n")
            assert b"data: b" not in body
            assert error_in(body)["error"]["code"] == code
