"""Bodies that hide something: the right refusal, and the upstream sees nothing of them."""

import gzip

import pytest

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream

JSON = "application/json"
BODIES = {
    "97 KB of gzip that hold 100 MB": (b"", JSON, "gzip", 413, "body_too_large"),
    "two codings": (gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), JSON, "gzip, gzip", 415, "unsupported_content_type"),
    "an unknown coding": (b"{}", JSON, "x-own", 415, "unsupported_content_type"),
    "something behind the gzip": (gzip.compress(b"{}", mtime=0) + b"{}", JSON, "gzip", 400, "bad_request"),
    "another charset": ("{}".encode("utf-16"), f"{JSON}; charset=utf-16", "", 415, "unsupported_content_type"),
    "another charset, untold": ("{}".encode("utf-16"), JSON, "", 400, "invalid_json"),
    "a byte order mark": (b"\xef\xbb\xbf{}", JSON, "", 400, "invalid_json"),
    "a key that stands twice": (b'{"a": 1, "a": 2}', JSON, "", 400, "invalid_json"),
    "half a surrogate pair": (rb'{"a": "\ud800"}', JSON, "", 400, "invalid_json"),
    "deep nesting": (b"[" * 1000 + b"]" * 1000, JSON, "", 400, "invalid_json"),
    "very many parts": (b"[" + b"[]," * 3_000_000 + b"1]", JSON, "", 400, "invalid_json"),
    "very many parts as text": (b"[" + b"[]," * 3_000_000 + b"1]", "text/plain", "", 400, "invalid_json"),
    "a byte behind the JSON": (rb'{"messages": [{"content": "\u0073ecret"}]} x', "text/plain", "", 400, "invalid_json"),
    "a byte behind the JSON, no type": (rb'{"a": "\u0073ecret"}x', "", "", 400, "invalid_json"),
    "a byte behind the JSON, a type like JSON's": (rb'{"a": "\u0073ecret"} x', f"{JSON}x", "", 400, "invalid_json"),
    "a message whose role is a text": (b'{"messages": [{"role": "user\\n secret", "content": "x"}]}', JSON, "", 422, "content_rejected"),
    "a name in another case": (b'{"Messages": [{"role": "user", "content": "x"}]}', JSON, "", 400, "invalid_json"),
    "a prompt in token ids": (b'{"model": "m", "prompt": [1234, 5678]}', JSON, "", 415, "unsupported_content_type"),
    "a binary document": (b"\x00\x00\x00\x10", "application/vnd.amazon.eventstream", "", 415, "unsupported_content_type"),
    "blocked text in gzip": (gzip.compress(b'{"a": "secret"}'), JSON, "gzip", 422, "content_rejected"),
}  # fmt: skip


@pytest.fixture(scope="module")
def owner(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    tenant = gateway.create_tenant()
    validator = {"name": "content_validator", "settings": {"blocked_patterns": ["secret", "(a+)+$b"]}}
    tenant.create_rule("/v1", everlasting_upstream.url, plugin_chain=[validator])
    return tenant


@pytest.mark.parametrize("name", BODIES)
def test_hostile_body_is_rejected_and_the_upstream_sees_nothing(
    owner: TenantInUse, upstream: Upstream, name: str
) -> None:
    body, content_type, coding, status, code = BODIES[name]
    body = body or gzip.compress(bytes(100_000_000))  # not while each process collects the tests
    headers = {"Content-Type": content_type, **({"Content-Encoding": coding} if coding else {})}
    response = owner.request("POST", "/v1/x", data=body, headers=headers)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.headers["x-gateway-error-source"] == "plugin:content_validator"
    assert not upstream.received
