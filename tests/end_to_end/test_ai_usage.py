"""Each request that reached a model is in the ledger once, wherever its client leaves."""

import json
import socket
import threading
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.upstream import REQUEST, STREAM, Upstream, chunk, hang, send, sized, wait
from tests.support.wait import until

_FIXTURE = Path(__file__).parents[1] / "fixtures" / "usage" / "anthropic_plain.sse"
EVENTS = [event + b"\n\n" for event in _FIXTURE.read_bytes().strip().split(b"\n\n")]
#: The first event with content: those before it are held back.
CONTENT = 3
#: A stream of OpenAI, whose first event has content. The usage is in the event before the last.
_CHUNKS = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}}]},
    *({"choices": [{"index": 0, "delta": {"content": text}}]} for text in (" you", " too")),
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 25, "completion_tokens": 15}},
]
OPENAI_EVENTS = [b"data: " + json.dumps(one).encode() + b"\n\n" for one in _CHUNKS] + [b"data: [DONE]\n\n"]
BODY = {"model": "m", "max_tokens": 50, "stream": True, "messages": [{"role": "user", "content": "Hello!"}]}


@pytest.fixture
def tenant(gateway: RunningGateway, upstream: Upstream) -> TenantInUse:
    """A tenant with a model behind the upstream."""
    tenant = gateway.create_tenant()

    prices = {"input": "1", "output": "2"}
    tenant.create(
        "providers",
        name="main",
        kind="custom",
        base_url=f"{upstream.url}/v1",
        apis=["anthropic.messages", "openai.chat"],
        keys=[{"name": "main", "secret": "sk-main-0123456789"}],
        models=[{"id": "m", "prices": prices}, {"id": "unpriced"}],
    )
    tenant.create("budgets", name="all", period="total", limit={"tokens": 100_000})
    tenant.create("rules", path="/ai", ai={"providers": ["main"]})
    tenant.await_rule("/ai")
    return tenant


def rows_of(tenant: TenantInUse, count: int) -> list[dict[str, Any]]:
    """The rows of the ledger, once there are so many."""
    for _ in until(10):
        rows = tenant.gateway.call("GET", f"/tenants/{tenant.id}/usage/rows?limit=100").json()["rows"]
        if len(rows) >= count:
            return list(rows)
    raise AssertionError(rows)


def hang_up(
    tenant: TenantInUse,
    upstream: Upstream,
    request_id: str,
    events: list[bytes] | None,
    *,
    path: str = "messages",
    content: int = CONTENT,
) -> None:
    """Send a request, and leave after these events; before the head of the response where there are none.

    `content` is the number of the first event that a client gets before the others.
    """
    asked = BODY if path == "messages" else {**BODY, "stream_options": {"include_usage": True}}
    body, address = json.dumps(asked).encode(), urlsplit(tenant.gateway.proxy)
    head = (
        f"POST /ai/v1/{path} HTTP/1.1\r\nHost: {tenant.host}\r\nx-api-key: {tenant.key}\r\n"
        f"Content-Type: application/json\r\nX-Request-ID: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    reached, left = threading.Event(), threading.Event()

    async def tell(_: object) -> None:
        reached.set()

    sent = [] if events is None else [send(STREAM + b"".join(map(chunk, events)))]
    upstream.plays([*REQUEST, *sent, tell, wait(left), hang])
    with socket.create_connection((address.hostname, address.port), timeout=10) as client:
        client.sendall(head.encode() + body)
        assert reached.wait(10)
        if events is not None and len(events) >= content:
            received = b""
            while events[-1] not in received:
                received += client.recv(65_536)
    left.set()


def test_a_client_that_leaves_at_any_event_has_exactly_one_row_that_is_not_free(
    tenant: TenantInUse, upstream: Upstream
) -> None:
    ends = [None, *range(len(EVENTS) + 1)]
    for end in ends:
        hang_up(tenant, upstream, f"left-{end}", None if end is None else EVENTS[:end])
    found = rows_of(tenant, len(ends))
    rows = {row["request_id"]: row for row in found}
    assert Counter(row["request_id"] for row in found) == Counter(f"left-{end}" for end in ends)
    for row in found:
        assert row["usage"]["input"] > 0
        assert float(row["cost"]) > 0
        assert row["attempts"] == 1
    assert rows["left-None"]["source"] == "estimated"
    for end in range(CONTENT, len(EVENTS) + 1):
        usage = rows[f"left-{end}"]["usage"]
        assert usage["input"] == 25
        assert usage["output"] >= (15 if end >= 5 else 5)
    await_budget(tenant, found)


def await_budget(tenant: TenantInUse, rows: list[dict[str, Any]]) -> None:
    """Return when nothing is reserved any more, and the budget has counted these rows, and no others."""
    tokens = sum(row["usage"]["input"] + row["usage"].get("output", 0) for row in rows)
    for _ in until(10):
        [budget] = tenant.gateway.call("GET", f"/tenants/{tenant.id}/budgets").json()["budgets"]
        if (budget["state"]["used"], budget["state"]["held"]) == (tokens, 0):
            break
    else:
        raise AssertionError((budget, tokens))
    assert budget["state"]["lost"] == 0
    assert len(rows_of(tenant, len(rows))) == len(rows)


def test_a_client_of_openai_that_leaves_at_any_event_is_counted_once_by_its_budget(
    tenant: TenantInUse, upstream: Upstream
) -> None:
    ends = [None, *range(len(OPENAI_EVENTS) + 1)]
    for end in ends:
        sent = None if end is None else OPENAI_EVENTS[:end]
        hang_up(tenant, upstream, f"left-{end}", sent, path="chat/completions", content=1)
    found = rows_of(tenant, len(ends))
    assert Counter(row["request_id"] for row in found) == Counter(f"left-{end}" for end in ends)
    rows = {row["request_id"]: row for row in found}
    for end in range(1, 5):
        row = rows[f"left-{end}"]
        assert (row["source"], row["usage"]["output"]) == ("estimated", min(end, 3))
    for end in range(5, len(OPENAI_EVENTS) + 1):
        row = rows[f"left-{end}"]
        assert (row["source"], row["usage"]["input"], row["usage"]["output"]) == ("reported", 25, 15)
    await_budget(tenant, found)


def test_a_price_of_the_platform_counts_as_soon_as_the_change_has_reached_the_workers(
    tenant: TenantInUse, upstream: Upstream
) -> None:
    reply = sized(
        b'{"usage":{"input_tokens":1000,"output_tokens":100}}', "200 OK", "Content-Type: application/json"
    )

    def cost() -> str | None:
        upstream.responds(reply)
        body = {**BODY, "model": "unpriced", "stream": False}
        response = tenant.request("POST", "/ai/v1/messages", json=body)
        assert response.status_code == 200
        return response.headers.get("X-Gateway-Cost")

    def change(price: str | None) -> None:
        own = price and {"input": price, "output": "10"}
        sent = {"prices": {"custom/unpriced": own}}
        assert tenant.gateway.call("PATCH", "/prices", json=sent).status_code == 200

    try:
        for price, expected in (("2", "0.003"), ("4", "0.005"), (None, None)):
            change(price)
            for _ in until(5):
                if (found := cost()) == expected:
                    break
            assert found == expected
    finally:
        change(None)
