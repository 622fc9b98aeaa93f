"""Budgets on the way of requests: what clients see when a budget has no more."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import openai
import pytest
import redis

from shared.alerts.stream import ALERTS
from shared.redis_server.embedded import socket_path
from tests.support.gateway import RunningGateway, TenantInUse
from tests.support.peer import Peer
from tests.support.upstream import REQUEST, STREAM, Upstream, chunk, hang, send, sized, wait
from tests.support.wait import until

HELLO = [{"role": "user", "content": "Hello!"}]
APIS = ("openai.chat", "openai.responses", "anthropic.messages")
#: A budget, and the names of the models of the tenant: `dear` and `cheap` have prices.
Create = Callable[..., TenantInUse]


@pytest.fixture
def tenant_with(gateway: RunningGateway, upstream: Upstream) -> Create:
    """Creates a tenant with models behind the upstream, and with budgets."""

    def create(*budgets: dict[str, Any], apis: Sequence[str] = APIS, **rule: Any) -> TenantInUse:
        tenant = gateway.create_tenant()

        tenant.create(
            "providers",
            name="main",
            kind="custom",
            base_url=f"{upstream.url}/v1",
            apis=apis,
            keys=[{"name": "main", "secret": "sk-main-0123456789"}],
            models=[
                {"id": "dear", "prices": {"input": "1", "output": "2"}},
                {"id": "cheap", "prices": {"input": "0.1", "output": "0.2"}},
                {"id": "unpriced"},
            ],
        )
        for number, budget in enumerate(budgets):
            tenant.create("budgets", **{"name": f"b{number}", "period": "month", **budget})
        tenant.create("rules", path="/ai", ai={"providers": ["main"]}, **rule)
        tenant.await_rule("/ai")
        return tenant

    return create


def reply(input: int, output: int) -> bytes:
    usage = {"prompt_tokens": input, "completion_tokens": output}
    body = {"id": "c", "object": "chat.completion", "model": "m", "choices": [], "usage": usage}
    return sized(json.dumps(body).encode(), "200 OK", "Content-Type: application/json")


def ask(tenant: TenantInUse, model: str = "dear", **more: Any) -> Any:
    body = {"model": model, "max_tokens": 50, "messages": HELLO, **more}
    return tenant.request("POST", "/ai/v1/chat/completions", json=body)


def budget_of(tenant: TenantInUse, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first budget of a tenant, once it is so."""
    for _ in until(10):
        response = tenant.gateway.call("GET", f"/tenants/{tenant.id}/budgets")
        if response.status_code == 200 and holds(state := response.json()["budgets"][0]["state"]):
            return dict(state)
    raise AssertionError(response.text)


def openai_of(tenant: TenantInUse) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{tenant.gateway.proxy}/ai/v1", api_key=tenant.key, max_retries=2)


def anthropic_of(tenant: TenantInUse) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=f"{tenant.gateway.proxy}/ai", api_key=tenant.key, max_retries=2)


def why_of(tenant: TenantInUse) -> str:
    """Why a request was rejected, as its record says, and that it shows the budget."""
    url = f"/tenants/{tenant.id}/requests"
    for _ in until(10):
        found = tenant.gateway.call("GET", f"{url}?status=429").json().get("requests")
        if found:
            break
    detail = tenant.gateway.call("GET", f"{url}/{found[0]['id']}").json()
    [shown] = [limit for limit in detail["decision"]["limits"] if limit["scope"] == "budget"]
    assert (shown["name"], shown["unit"], shown["limit"], shown["before"]) == ("b0", "tokens", 100, 0)
    [budget] = detail["log"]["budgets"]
    assert (budget["name"], budget["limit"], budget["remaining"], budget["used"]) == ("b0", 100, 0, 0)
    return str(detail["why"])


SPENT = "The budget 'b0' is spent: 120 of 100 tokens are used or reserved. It resets at "


def test_a_spent_budget_rejects_and_the_sdks_show_why_and_do_not_repeat(
    tenant_with: Create, upstream: Upstream
) -> None:
    tenant = tenant_with({"limit": {"tokens": 100}})
    upstream.responds(reply(100, 20))
    assert ask(tenant).status_code == 200
    budget_of(tenant, lambda state: state["used"] == 120 and state["held"] == 0)
    with openai_of(tenant) as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="dear", max_tokens=10, messages=HELLO)
    assert SPENT in str(caught.value)
    assert caught.value.code == "quota_exceeded"
    assert caught.value.response.headers["x-should-retry"] == "false"
    body = caught.value.response.json()
    assert (body["budget"]["used"], body["budget"]["limit"], body["budget"]["unit"]) == (120, 100, "tokens")
    assert body["budget"]["resets_at"].endswith("-01T00:00:00Z")
    with anthropic_of(tenant) as other, pytest.raises(anthropic.RateLimitError) as seen:
        other.messages.create(model="dear", max_tokens=10, messages=HELLO)
    assert SPENT in str(seen.value)
    assert len(upstream.received) == 1
    assert why_of(tenant) == "Rejected by the budget b0: 120 of 100 tokens were used or reserved."


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


def test_another_model_takes_the_place_of_the_one_that_a_spent_budget_counts(
    tenant_with: Create, upstream: Upstream
) -> None:
    spent = {"limit": {"tokens": 100}, "on_spent": "downgrade", "downgrade_to": "cheap"}
    tenant = tenant_with(spent, {"limit": {"tokens": 100_000}})
    upstream.responds(reply(100, 20))
    assert ask(tenant).headers["X-Gateway-Model"] == "dear"
    budget_of(tenant, lambda state: state["used"] == 120)
    upstream.responds(reply(100, 20))
    response = ask(tenant)
    assert (response.status_code, response.headers["X-Gateway-Downgraded-To"]) == (200, "cheap")
    assert response.headers["X-Gateway-Model"] == "cheap"
    assert json.loads(upstream.received[-1].body)["model"] == "cheap"
    budget_of(tenant, lambda state: state["used"] == 240)


def test_less_output_is_asked_for_where_a_budget_has_less_left(
    tenant_with: Create, upstream: Upstream
) -> None:
    tenant = tenant_with({"limit": {"tokens": 200}, "cap_output": True})
    upstream.responds(reply(10, 20))
    response = ask(tenant, max_tokens=500)
    assert response.status_code == 200
    most = json.loads(upstream.received[-1].body)["max_tokens"]
    assert most == int(response.headers["X-Gateway-Max-Output"])
    assert 150 < most < 200


def test_a_model_without_a_price_is_rejected_where_money_counts(
    tenant_with: Create, upstream: Upstream
) -> None:
    tenant = tenant_with({"limit": {"usd": "1"}})
    response = ask(tenant, "unpriced")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "unpriced_model")
    assert "the budget 'b0' counts money" in response.json()["error"]["message"]


def test_a_request_that_its_provider_rejects_uses_nothing(tenant_with: Create, upstream: Upstream) -> None:
    tenant = tenant_with({"limit": {"tokens": 100}}, {"limit": {"requests": 1}})
    upstream.responds(sized(b"{}", "400 Bad Request", "Content-Type: application/json"))
    assert ask(tenant).status_code == 400
    budget_of(tenant, lambda state: state["held"] == 0)
    upstream.responds(reply(5, 5))
    for _ in until(5):
        if ask(tenant).status_code == 200:
            break
    budget_of(tenant, lambda state: state["used"] == 10)


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


def test_a_percentage_that_a_budget_reaches_is_told_once(tenant_with: Create, upstream: Upstream) -> None:
    tenant = tenant_with({"limit": {"tokens": 200}, "at": [50], "on_spent": "alert"})
    for _ in range(3):
        upstream.responds(reply(100, 20))
        assert ask(tenant).status_code == 200
    budget_of(tenant, lambda state: state["used"] == 360)
    with redis.Redis(unix_socket_path=str(socket_path(tenant.gateway.folder))) as store:
        for _ in until(5):
            told = [json.loads(fields[b"alert"]) for _, fields in store.xrange(ALERTS)]
            own = [one["data"]["percent"] for one in told if one["tenant_id"] == tenant.id]
            if len(own) > 1:
                break
    assert own == [50, 100]


def test_requests_at_the_same_time_never_use_more_than_a_budget_has(
    tenant_with: Create, upstream: Upstream
) -> None:
    tenant = tenant_with({"limit": {"requests": 20}}, {"limit": {"tokens": 10**6}})
    with ThreadPoolExecutor(16) as pool:
        statuses = Counter(pool.map(lambda _: ask(tenant).status_code, range(60)))
    assert statuses == {200: 20, 429: 40}
    budget_of(tenant, lambda state: state["used"] == 20 and state["held"] == 0)
    assert len(upstream.received) == 20
