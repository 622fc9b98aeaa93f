"""A stream ends where its budget has no more, clients see why, and a client that leaves is counted."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterable
from typing import Any

import anthropic
import openai
import pytest

from tests.end_to_end.budgets import HELLO, Create, anthropic_of, ask, budget_of, openai_of
from tests.support.gateway import TenantInUse
from tests.support.peer import Peer
from tests.support.upstream import REQUEST, STREAM, Upstream, chunk, hang, send, wait
from tests.support.wait import until

#: Far more tokens than any budget here has.
ENDLESS = 100_000


def delta(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def block(text: str) -> bytes:
    event = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    return b"event: content_block_delta\ndata: " + json.dumps(event).encode() + b"\n\n"


def item(text: str) -> bytes:
    event = {
        "type": "response.output_text.delta",
        "delta": text,
        "item_id": "i",
        "output_index": 0,
        "content_index": 0,
        "logprobs": [],
        "sequence_number": 1,
    }
    return b"event: response.output_text.delta\ndata: " + json.dumps(event).encode() + b"\n\n"


START = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
MESSAGE_START = (
    b"event: message_start\ndata: "
    + json.dumps(
        {"type": "message_start", "message": {**START, "usage": {"input_tokens": 9, "output_tokens": 1}}}
    ).encode()
    + b'\n\nevent: content_block_start\ndata: {"type":"content_block_start","index":0,'
    + b'"content_block":{"type":"text","text":""}}\n\n'
)


class Flood:
    """Sends events of one token each, many at a time, until so many were sent or the gateway leaves."""

    def __init__(self, event: bytes, number: int = ENDLESS, first: bytes = b"", last: bytes = b"") -> None:
        self.event, self.number, self.first, self.last = event, number, first, last
        self.was_left = False

    async def __call__(self, peer: Peer) -> None:
        await peer.request()
        await peer.write(STREAM + chunk(self.first or self.event))
        await asyncio.sleep(0.05)  # a response that has not begun ends with a status of its own
        try:
            for _ in range(self.number // 100):
                await peer.write(chunk(self.event * 100))
            await peer.write(chunk(self.last) + b"0\r\n\r\n")
        except ConnectionError:
            self.was_left = True
            raise
        self.was_left = peer.gone.is_set()


def counted(stream: Iterable[Any], is_token: Callable[[Any], bool]) -> tuple[int, Exception | None]:
    """How many tokens an SDK read, and the error that ended the stream."""
    tokens = 0
    try:
        for event in stream:
            tokens += is_token(event)
    except (openai.OpenAIError, anthropic.AnthropicError) as error:
        return tokens, error
    return tokens, None


ENDS = "The budget 'b0' has no more for this response: "


def test_a_stream_ends_within_its_reservation_and_the_sdk_of_openai_shows_why(
    tenant_with: Create, upstream: Upstream
) -> None:
    tenant = tenant_with({"limit": {"tokens": 1_000}})
    upstream.plays([flood := Flood(delta(" tok"))])
    with openai_of(tenant) as client:
        stream = client.chat.completions.create(model="dear", messages=HELLO, stream=True)
        tokens, caught = counted(stream, lambda event: event.choices[0].delta.content is not None)
    assert isinstance(caught, openai.APIError)
    assert ENDS in caught.message
    assert caught.code == "quota_exceeded"
    assert 500 < tokens <= 1_000 + 256
    state = budget_of(tenant, lambda state: state["used"] > 0 and state["held"] == 0)
    assert tokens <= state["used"] <= 1_000 + 256
    assert flood.was_left


def test_a_stream_ends_within_its_reservation_and_the_sdk_of_anthropic_shows_why(
    tenant_with: Create, upstream: Upstream
) -> None:
    tenant = tenant_with({"limit": {"usd": "0.0021"}})
    upstream.plays([Flood(block(" tok"), first=MESSAGE_START)])
    with anthropic_of(tenant) as client:
        stream = client.messages.create(model="dear", max_tokens=400, messages=HELLO, stream=True)
        tokens, caught = counted(stream, lambda event: event.type == "content_block_delta")
    assert isinstance(caught, anthropic.APIStatusError)
    assert ENDS in str(caught)
    assert "USD are used or reserved. It resets at" in str(caught)
    assert 400 <= tokens <= 1_050 + 256
    state = budget_of(tenant, lambda state: float(state["used"]) > 0 and float(state["held"]) == 0)
    assert float(state["used"]) <= 0.0021 + 256 * 0.000002


def test_a_stream_of_the_responses_api_ends_with_an_error_that_its_sdk_shows(
    tenant_with: Create, upstream: Upstream
) -> None:
    tenant = tenant_with({"limit": {"tokens": 300}})
    upstream.plays([Flood(item(" tok"))])
    with openai_of(tenant) as client:
        stream = client.responses.create(model="dear", input="Hello!", stream=True)
        tokens, caught = counted(stream, lambda event: event.type == "response.output_text.delta")
    assert isinstance(caught, openai.APIError)
    assert ENDS in str(caught)
    assert 200 < tokens <= 300


def test_a_stream_of_another_api_ends_with_an_error_in_that_of_the_client(
    tenant_with: Create, upstream: Upstream
) -> None:
    tenant = tenant_with({"limit": {"tokens": 1_000}}, apis=["openai.chat"])
    upstream.plays([Flood(delta(" tok"))])
    with anthropic_of(tenant) as client:
        stream = client.messages.create(model="dear", max_tokens=400, messages=HELLO, stream=True)
        tokens, caught = counted(stream, lambda event: event.type == "content_block_delta")
    assert isinstance(caught, anthropic.APIStatusError)
    assert ENDS in str(caught)
    assert 500 < tokens <= 1_000


LAST = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":5000}}\n\ndata: [DONE]\n\n'


def read(tenant: TenantInUse, **more: Any) -> bytes:
    """The body of a streamed response, which may end early."""
    body = {"model": "dear", "max_tokens": 10, "messages": HELLO, "stream": True, **more}
    response = tenant.request("POST", "/ai/v1/chat/completions", json=body, stream=True)
    assert response.status_code == 200
    return bytes(response.raw.read(decode_content=True))


def test_a_burst_at_the_end_of_a_stream_is_cut_where_its_budget_is(
    tenant_with: Create, upstream: Upstream
) -> None:
    tenant = tenant_with({"limit": {"tokens": 1_000}})
    upstream.plays([Flood(delta(" tok"), 0, last=delta(" tok") * 4_000)])
    with openai_of(tenant) as client:
        stream = client.chat.completions.create(model="dear", max_tokens=50, messages=HELLO, stream=True)
        tokens, caught = counted(stream, lambda event: event.choices[0].delta.content is not None)
    assert isinstance(caught, openai.APIError)
    assert ENDS in caught.message
    assert 900 < tokens <= 1_000
    state = budget_of(tenant, lambda state: state["used"] > 0 and state["held"] == 0)
    # The event that did not fit counts, too: the provider bills it.
    assert tokens <= state["used"] <= 1_001


def test_a_stream_gets_more_while_its_budget_has_more(tenant_with: Create, upstream: Upstream) -> None:
    tenant = tenant_with({"limit": {"tokens": 10_000}})
    upstream.plays([Flood(delta(" tok"), 5_000, last=LAST)])
    assert read(tenant).count(b" tok") == 5_001
    budget_of(tenant, lambda state: state["used"] == 5_009 and state["held"] == 0)


def test_a_response_is_finished_where_its_budget_says_so_and_the_debt_is_shown(
    tenant_with: Create, upstream: Upstream
) -> None:
    tenant = tenant_with({"limit": {"tokens": 1_000}, "overrun": "finish"})
    upstream.plays([Flood(delta(" tok"), 5_000, last=LAST)])
    assert b"[DONE]" in read(tenant)
    state = budget_of(tenant, lambda state: state["used"] == 5_009 and state["held"] == 0)
    assert state["over"] == 4_009
    assert ask(tenant).json()["error"]["code"] == "quota_exceeded"


def rows_of(tenant: TenantInUse) -> list[dict[str, Any]]:
    """The rows of the ledger, once there are some."""
    for _ in until(10):
        rows = tenant.gateway.call("GET", f"/tenants/{tenant.id}/usage/rows?limit=100").json().get("rows")
        if rows:
            return list(rows)
    raise AssertionError


def leave(tenant: TenantInUse, upstream: Upstream, *, after: bytes, then: bytes) -> threading.Event:
    """Leave a stream after some bytes. Its upstream sends the others when the event is set."""
    left = threading.Event()
    upstream.plays(
        [*REQUEST, send(STREAM + chunk(after)), wait(left), send(chunk(then) + b"0\r\n\r\n"), hang]
    )
    body = {"model": "dear", "max_tokens": 50, "messages": HELLO, "stream": True}
    with tenant.request("POST", "/ai/v1/chat/completions", json=body, stream=True) as response:
        received = b""
        while received.count(b" tok") < after.count(b" tok"):
            received += response.raw.read1(65_536)
    return left


@pytest.mark.parametrize("events", [1, 3])
def test_a_client_that_leaves_has_one_row_which_its_budget_counts(
    tenant_with: Create, upstream: Upstream, events: int
) -> None:
    tenant = tenant_with({"limit": {"tokens": 1_000}})
    left = leave(tenant, upstream, after=delta(" tok") * events, then=LAST)
    [row] = rows_of(tenant)
    left.set()
    assert row["source"] == "estimated"
    assert row["usage"]["output"] == events
    used = row["usage"]["input"] + row["usage"]["output"]
    budget_of(tenant, lambda state: state["used"] == used and state["held"] == 0)
    assert len(rows_of(tenant)) == 1


def test_a_response_is_read_on_after_its_client_left_so_that_its_usage_is_known(
    tenant_with: Create, upstream: Upstream
) -> None:
    tenant = tenant_with({"limit": {"tokens": 10_000}}, drain_on_disconnect="5s")
    leave(tenant, upstream, after=delta(" tok"), then=LAST).set()
    [row] = rows_of(tenant)
    # mitmproxy's core closes the connection to the upstream.
    source, output = ("reported", 5_000) if tenant.gateway.engine == "express" else ("estimated", 1)
    assert (row["source"], row["usage"]["output"]) == (source, output)
    used = row["usage"]["input"] + output
    budget_of(tenant, lambda state: state["used"] == used and state["held"] == 0)
