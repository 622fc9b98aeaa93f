"""Guards as their users meet them: what they let through, what they stop, and what they say when they are saved."""

import base64
import json
from typing import Any

import pytest

from tests.end_to_end.test_judged_streams import error_in
from tests.support.client import RawClient
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream

SSE = "text/event-stream"
PICTURE = base64.b64encode(bytes(range(256)) * 12_000).decode()


def guard(stage: str = "pre_response", **settings: Any) -> dict[str, Any]:
    return {"name": "content_validator", "stage": stage, "settings": settings}


@pytest.fixture(scope="module")
def owner(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    tenant = gateway.create_tenant()
    chains = {
        "mask": [guard(blocked_patterns=["secret", "[A-Za-z0-9+/]{60}"], action="mask")],
        "block": [guard(blocked_patterns=["secret"]), guard("pre_request", blocked_patterns=["secret"])],
        "head": [{"name": "security_validator", "settings": {"required_headers": ["X-Team"], "blocked_headers": ["X-Debug"]}}],
    }  # fmt: skip
    for name, chain in chains.items():
        tenant.create_rule(f"/{name}", everlasting_upstream.url, plugin_chain=chain)
    return tenant


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("image_generation.partial_image", {"b64_json": PICTURE, "partial_image_index": 0}),
        ("response.image_generation_call.partial_image", {"partial_image_b64": PICTURE, "output_index": 0}),
        ("response.output_item.done", {"item": {"type": "image_generation_call", "result": PICTURE}}),
    ],
)
def test_a_picture_of_megabytes_in_one_event_passes_a_guard_byte_for_byte(
    owner: TenantInUse, upstream: Upstream, kind: str, document: dict[str, Any]
) -> None:
    data = json.dumps({"type": kind, **document})
    stream = f"event: {kind}\ndata: {data}\n\n".encode()
    assert len(stream) > 4_000_000
    response = owner.request("POST", "/mask/tell", data=stream, headers={"X-Type": SSE, "X-Size": "300000"})
    assert response.status_code == 200
    assert response.content == stream


# The mitmproxy engine buffers the whole body, and its limit is that of the body.
@pytest.mark.parametrize("engine", ["express"], indirect=True, scope="session")
def test_an_event_above_the_limit_of_responses_ends_the_stream_and_names_the_setting(
    owner: TenantInUse, upstream: Upstream
) -> None:
    script = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: {}\n\ndata: "
    )

    async def endless_event(peer: Any) -> None:
        await peer.request()
        await peer.write(script)
        for _ in range(4):
            await peer.write(b"x" * 1024 * 1024)

    with Upstream(endless_event) as other:
        chain = [guard(blocked_patterns=["secret"])]
        owner.create_rule("/long", other.url, plugin_chain=chain, limits={"response_body": "3MB"})
        with RawClient(owner.gateway.proxy_port) as client:
            head = f"Host: {owner.host}\r\nx-api-key: {owner.key}\r\n"
            got = client.ask(f"GET /long HTTP/1.1\r\n{head}\r\n".encode())
    assert error_in(got.body)["error"]["code"] == "content_rejected"
    assert "limits.response_body" in error_in(got.body)["error"]["message"]
    assert got.cut is not None
    assert len(got.body) < 1000


def test_a_text_over_a_json_array_of_gemini_is_stopped(owner: TenantInUse, upstream: Upstream) -> None:
    def body(*pieces: str) -> str:
        return json.dumps([{"candidates": [{"content": {"parts": [{"text": piece}]}}]} for piece in pieces])

    headers = {"X-Type": "application/json"}
    assert (
        owner.request("POST", "/block/tell", data=body("the sec", "ond"), headers=headers).status_code == 200
    )
    stopped = owner.request("POST", "/block/tell", data=body("the sec", "ret"), headers=headers)
    assert (stopped.status_code, stopped.json()["error"]["code"]) == (422, "content_rejected")


@pytest.mark.parametrize(
    ("kind", "data", "status"),
    [
        ("application/pdf", b"the secret", 422),
        ("image/svg+xml", b"<svg>the secret</svg>", 422),
        ("application/pdf", "the secret".encode("utf-16-le"), 422),
        ("text/plain;charset=utf-7", b"the secret", 415),
        ("application/pdf", b"%PDF-1.7 the secret", 200),
    ],
)
def test_text_in_a_file_is_stopped_whatever_type_it_claims(
    owner: TenantInUse, upstream: Upstream, kind: str, data: bytes, status: int
) -> None:
    url = f"data:{kind};base64, {base64.b64encode(data).decode()}"
    body = {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": url}}]}]}
    assert owner.request("POST", "/block/x", json=body).status_code == status
    assert len(upstream.received) == (status == 200)


def test_a_binary_stream_of_bedrock_is_not_passed_unread(owner: TenantInUse, upstream: Upstream) -> None:
    kind = "application/vnd.amazon.eventstream"
    stopped = owner.request("POST", "/block/tell", data=b"\0\0\0\x10", headers={"X-Type": kind})
    assert (stopped.status_code, stopped.json()["error"]["code"]) == (422, "content_rejected")
    assert kind in stopped.json()["error"]["message"]


def test_a_client_cannot_fetch_a_judged_response_in_halves(owner: TenantInUse, upstream: Upstream) -> None:
    for path, names in (("/block", []), ("/head", ["range", "if-range"])):
        headers = {"Range": "bytes=0-9", "If-Range": '"x"', "X-Team": "a"}
        owner.request("GET", f"{path}/x", headers=headers)
        seen = upstream.received[-1]
        assert [name for name in ("range", "if-range") if seen.all(name)] == names


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Connection": "X-Team", "X-Team": "a"}, "missing_required_header"),
        ({"X_Team": "a"}, "missing_required_header"),
        ({"X-Team": "a", "X_Debug": "1"}, "forbidden"),
        ({"X-Team": "a", "x.debug": "1"}, "forbidden"),
    ],
)
def test_a_guard_judges_the_headers_that_the_upstream_would_get(
    owner: TenantInUse, upstream: Upstream, headers: dict[str, str], code: str
) -> None:
    response = owner.request("GET", "/head/x", headers=headers)
    assert response.json()["error"]["code"] == code
    assert not upstream.received


def saved(owner: TenantInUse, upstream: Upstream, **settings: Any) -> tuple[int, dict[str, Any]]:
    body = {"path": "/saved", "target": upstream.url, "plugin_chain": [guard(**settings)], "active": False}
    response = owner.gateway.call("POST", f"/tenants/{owner.id}/rules", json=body)
    return response.status_code, response.json()


def test_a_pattern_that_never_matches_other_letters_is_saved_with_a_warning_that_helps(
    owner: TenantInUse, upstream: Upstream
) -> None:
    status, told = saved(
        owner, upstream, blocked_patterns=["ok", "(?i)\\b\u043a\u0430\u0437\u0438\u043d\u043e\\b"]
    )
    assert status == 201
    [warning] = [one for one in told["warnings"] if "blocked_patterns" in one["pointer"]]
    assert warning["pointer"] == "/plugin_chain/0/settings/blocked_patterns/1"
    assert "knows ASCII only. Write (?:^|$|[^\\pL\\pN_]) for \\b." in warning["detail"]


def test_the_mask_of_an_address_without_a_bound_is_told_at_the_pattern_with_both_ways_out(
    owner: TenantInUse, upstream: Upstream
) -> None:
    pattern = r"[\w.+-]+@[\w-]+\.[\w.-]+"
    status, told = saved(owner, upstream, blocked_patterns=["ok", pattern], action="mask")
    assert status == 422
    [error] = told["errors"]
    assert error["pointer"] == "/plugin_chain/0/settings/blocked_patterns/1"
    assert error["detail"].endswith(
        "which may match more than 512 characters, but this rule forwards streams event by event. Bound its "
        'repeats, as in [a-z]{1,64}, or set the rule\'s "streams" to "buffer".'
    )
    bounded = r"[\w.+-]{1,64}@[\w-]{1,63}\.[\w.-]{1,63}"
    assert saved(owner, upstream, blocked_patterns=["ok", bounded], action="mask")[0] == 201


def test_an_unknown_setting_and_a_wrong_schema_are_told_at_their_places(
    owner: TenantInUse, upstream: Upstream
) -> None:
    status, told = saved(owner, upstream, blocked_pattern=["x"])
    assert status == 422
    [error] = told["errors"]
    assert error["pointer"] == "/plugin_chain/0/settings/blocked_pattern"
    assert error["detail"].startswith(
        "Unknown field: did you mean blocked_patterns? Allowed: allowed_types, "
    )
    _, told = saved(owner, upstream, json_schema={"properties": {"a": {"type": "strin"}}})
    assert told["errors"][0]["pointer"] == "/plugin_chain/0/settings/json_schema/properties/a/type"
