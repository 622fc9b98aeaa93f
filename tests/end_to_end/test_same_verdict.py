"""Every built-in plugin says the same of a request with and without `stream`, on rules that pass and collect."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import Upstream

BODIES: dict[str, Callable[[str], dict[str, Any]]] = {
    "chat": lambda text: {"model": "m", "messages": [{"role": "user", "content": text}]},
    "responses": lambda text: {"model": "m", "input": text},
    "messages": lambda text: {"max_tokens": 9, "messages": [{"role": "user", "content": [{"text": text}]}]},
    "completions": lambda text: {"model": "m", "prompt": text},
    "gemini": lambda text: {"contents": [{"role": "user", "parts": [{"text": text}]}]},
}
TEXTS = ("messages.0.content", "messages.0.content.0.text", "input", "prompt", "contents.0.parts.0.text")


def entries(validator: str) -> dict[str, dict[str, Any]]:
    """The validator answers with what it is asked."""
    told = [{"field": field, "operator": "eq", "value": "the secret", "message": "No."} for field in TEXTS]
    return {
        "rate_limiter": {"limits": {"per_header": {"X-Who": {"limit": 1, "window": "1m"}}}},
        "content_validator": {"blocked_patterns": ["secret"]},
        "security_validator": {"blocked_headers": ["X-Blocked"]},
        "external_validator": {
            "endpoint": f"{validator}/tell",
            "headers": {"X-Type": "application/json"},
            "fields": ["messages", "input", "prompt", "contents"],
            "conditions": told,
        },
    }


@pytest.fixture(scope="module")
def owner(gateway: RunningGateway, everlasting_upstream: Upstream) -> TenantInUse:
    tenant = gateway.create_tenant()
    for name, settings in entries(everlasting_upstream.url).items():
        for streams in ("pass", "buffer"):
            chain = [{"name": name, "settings": settings}]
            path = f"/{streams}/{name}"
            tenant.create_rule(path, everlasting_upstream.url, streams=streams, plugin_chain=chain)
    return tenant


@pytest.mark.parametrize("endpoint", BODIES)
@pytest.mark.parametrize(
    ("name", "rejection"),
    [
        ("rate_limiter", (429, "rate_limit_exceeded")),
        ("content_validator", (422, "content_rejected")),
        ("security_validator", (403, "forbidden")),
        ("external_validator", (422, "validation_failed")),
    ],
)
def test_a_streamed_and_a_whole_response_are_asked_for_with_the_same_verdict(
    owner: TenantInUse, upstream: Upstream, name: str, rejection: tuple[int, str], endpoint: str
) -> None:
    for streams in ("pass", "buffer"):
        for stream in (False, True):
            headers = {"X-Who": f"{endpoint}-{streams}-{stream}", "Content-Type": "application/json"}
            path = f"/{streams}/{name}/{'events' if stream else 'x'}"
            good = {**BODIES[endpoint]("hello"), "stream": stream}
            assert owner.request("POST", path, data=json.dumps(good), headers=headers).status_code == 200
            bad = {**BODIES[endpoint]("the secret"), "stream": stream}
            upstream.received.clear()
            response = owner.request(
                "POST", path, data=json.dumps(bad), headers={**headers, "X-Blocked": "1"}
                if name == "security_validator" else headers,
            )  # fmt: skip
            assert (response.status_code, response.json()["error"]["code"]) == rejection
            assert response.headers["x-gateway-error-source"] == f"plugin:{name}"
            assert all(seen.target.startswith("/tell") for seen in upstream.received)
