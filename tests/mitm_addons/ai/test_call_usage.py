"""The usage and the cost of requests to models: reported, asked for, estimated, and learned."""

import json
from dataclasses import replace
from typing import Any

import pytest

from mitm_addons.flows import state_of
from shared.budgets.demand import USUAL_OUTPUT
from shared.model.providers import Model, ModelTarget
from shared.routing.ai_exchange import AiExchange
from shared.usage.row import Source, Usage
from tests.mitm_addons.ai.calls import CALLS, CHUNK, FORM, LAST, LEDGER, ROWS, ask, form, received
from tests.mitm_addons.begun import admitted, begun_flow


def end(one: AiExchange) -> None:
    flow = begun_flow(admitted=admitted(), ai=one)
    CALLS.end(one)
    LEDGER.add(flow, state_of(flow) or pytest.fail("no state"), one)


def served(document: Any, path: str = "/ai/v1/chat/completions") -> AiExchange:
    _, one = ask(document, path)
    CALLS.begin_response(one, 200, ())
    return one


def test_a_whole_response_tells_its_usage_and_cost() -> None:
    one = served({"model": "priced", "messages": [{"role": "user", "content": "Hello"}]})
    CALLS.end_response(one, b'{"usage":{"prompt_tokens":1000000,"completion_tokens":500000}}')
    assert dict(one.fields())[b"X-Gateway-Cost"] == b"2"
    assert dict(one.fields())[b"X-Gateway-Usage-Source"] == b"reported"
    end(one)
    assert (ROWS[-1].usage.input, ROWS[-1].cost_nano) == (1_000_000, 2 * 10**9)
    assert (ROWS[-1].model_asked, ROWS[-1].provider, ROWS[-1].provider_key) == ("priced", "main", "pk_1")


def test_a_provider_that_reports_too_much_is_logged_once_and_its_tokens_are_estimated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        one = served({"model": "priced", "messages": [{"role": "user", "content": "Hello"}]})
        CALLS.end_response(one, b'{"usage":{"prompt_tokens":9007199254740992,"completion_tokens":5}}')
        end(one)
        assert 1 <= ROWS[-1].usage.input <= 10
    assert caplog.text.count("Provider main has reported more than 100000000 tokens") == 1


@pytest.mark.parametrize(
    ("asked", "status", "output"),
    [
        (7_000, "queued", 7_000),
        (7_000, "in_progress", 7_000),
        (None, "queued", USUAL_OUTPUT),
        (7_000, "failed", 3),
    ],
)
def test_a_response_that_is_made_in_the_background_counts_the_most_that_it_may_use(
    asked: int | None, status: str, output: int
) -> None:
    sent = {"model": "priced", "input": "Hello " * 100, "background": True, "max_output_tokens": asked}
    one = served(sent, "/ai/v1/responses")
    CALLS.end_response(one, b'{"id":"resp_1","status":"%s","output":[],"usage":null}' % status.encode())
    end(one)
    usage = ROWS[-1].usage
    assert (usage.source, usage.input > 100) == (Source.ESTIMATED, True)
    assert usage.output == pytest.approx(output, abs=2)
    assert ROWS[-1].cost_nano


def test_a_response_in_the_background_that_reports_its_usage_counts_that() -> None:
    one = served({"model": "priced", "input": "Hello", "background": True}, "/ai/v1/responses")
    usage = b'{"input_tokens":9,"output_tokens":5}'
    CALLS.end_response(one, b'{"id":"resp_1","status":"completed","output":[],"usage":%s}' % usage)
    end(one)
    assert ROWS[-1].usage == Usage(input=9, output=5)


def test_a_stream_that_breaks_off_is_estimated_and_never_free() -> None:
    one = served({"model": "priced", "messages": [{"role": "user", "content": "Hello " * 100}]})
    pass_on = one.metered(lambda piece: piece, is_stream=True)
    piece = b'data: {"choices":[{"delta":{"content":"Hello, how are you?"}}]}\n\n'
    assert pass_on(piece) == piece
    end(one)
    assert one.usage is not None
    assert one.usage.source is Source.ESTIMATED
    assert one.usage.input > 100
    assert one.usage.output > 2
    assert one.cost


@pytest.mark.parametrize(
    ("model", "path", "body", "response", "usage", "cost"),
    [
        ("tts-1", "speech", {"input": "Hello!"}, b"ID3" * 9000, Usage(characters=6, input=2), 90_000),
        ("gpt-4o-mini-tts", "speech", {"input": "Hi"}, b"ID3" * 9000, Usage(characters=2, input=1), None),
        (
            "whisper-1",
            "transcriptions",
            None,
            b'{"text":"Hi","usage":{"seconds":9.2}}',
            Usage(seconds=10),
            10**6,
        ),
        ("whisper-1", "transcriptions", None, b'{"duration":1.5,"text":"Hi"}', Usage(seconds=2), 200_000),
        ("whisper-1", "transcriptions", None, b"Hi there", Usage(input=1, output=1), None),
    ],
)
def test_sound_costs_by_time_or_characters_and_is_not_priced_where_neither_is_known(
    model: str, path: str, body: Any, response: bytes, usage: Usage, cost: int | None
) -> None:
    name = f"main/{model}"
    sent = form(name) if body is None else {"model": name, **body}
    _, one = ask(sent, f"/ai/v1/audio/{path}", **(FORM if body is None else {}))
    CALLS.begin_response(one, 200, ())
    CALLS.end_response(one, response)
    assert one.usage is not None
    assert replace(one.usage, source=usage.source) == usage
    assert (one.cost, one.rates is None) == (cost, cost is None)


STREAM = {"model": "gpt-6-luna", "messages": [], "stream": True}


def test_a_stream_is_asked_for_its_usage_and_the_client_does_not_see_it() -> None:
    (_, sent), one = ask(STREAM)
    assert json.loads(sent) == {**STREAM, "stream_options": {"include_usage": True}}
    CALLS.begin_response(one, 200, ())
    got = received(one, CHUNK, LAST[:30], LAST[30:])
    assert got == b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\ndata: [DONE]\n\n'
    end(one)
    assert (ROWS[-1].usage.input, ROWS[-1].usage.source) == (7, Source.REPORTED)


def test_a_stream_of_a_model_that_cannot_be_asked_is_not() -> None:
    document = {**STREAM, "model": "old"}
    (_, sent), one = ask(document)
    assert json.loads(sent) == document
    CALLS.begin_response(one, 200, ())
    assert received(one, CHUNK, LAST) == CHUNK + LAST


def test_a_call_costs_what_the_service_tier_of_its_response_costs() -> None:
    costs = []
    for tier in ("default", "priority"):
        one = served({"model": "gpt-6-luna", "messages": []})
        CALLS.end_response(one, b'{"service_tier":"%s","usage":{"prompt_tokens":1000000}}' % tier.encode())
        costs.append(one.cost or 0)
    assert 0 < costs[0] < costs[1]


def test_a_client_that_asks_for_the_usage_gets_it() -> None:
    asking = {**STREAM, "stream_options": {"include_usage": True}}
    (_, sent), one = ask(asking)
    assert json.loads(sent) == asking
    CALLS.begin_response(one, 200, ())
    assert received(one, CHUNK, LAST) == CHUNK + LAST


def test_a_stream_that_is_cut_within_an_event_passes_on_what_came() -> None:
    _, one = ask(STREAM)
    CALLS.begin_response(one, 200, ())
    assert received(one, CHUNK[:20]) == CHUNK[:20]


def test_a_response_with_an_error_uses_nothing_and_cools_the_key() -> None:
    _, one = ask({"model": "priced", "messages": []})
    rejected = CALLS.begin_response(one, 401, ())
    assert rejected is not None  # the client does not see what the provider says of the key
    assert (rejected.code, rejected.headers["x-should-retry"]) == ("no_provider_key", "false")
    before = len(ROWS)
    end(one)
    assert len(ROWS) == before
    assert one.attempts is not None
    assert str(one.attempts.changes[0].key).startswith("pk_1.")


def report(one: AiExchange, *, tokens: int, output: int) -> None:
    """The provider reports what the request used."""
    CALLS.begin_response(one, 200, ())
    usage = {"usage": {"prompt_tokens": tokens, "completion_tokens": output}}
    CALLS.end_response(one, json.dumps(usage).encode())


def test_what_a_request_may_use_is_bounded_by_its_model_and_priced_by_its_dearest_target() -> None:
    targets = (ModelTarget(provider="main", model="priced"), ModelTarget(provider="main", model="gpt-6-luna"))
    hello = [{"role": "user", "content": "Hello!"}]
    _, one = ask(
        {"model": "both", "messages": hello, "max_tokens": 10}, models={"both": Model("both", targets)}
    )
    assert one.demand is one.demand
    assert one.expected("output_tokens") == (10, 10)
    tokens = one.demand.of("input_tokens")
    assert one.expected("usd") == (1_000 * tokens + 2_000 * 10, 1_000 * tokens + 2_000 * 10)
    _, free = ask({"model": "priced", "messages": hello})
    assert free.expected("tokens") == (tokens + 4_096, tokens)
    _, unpriced = ask({"model": "old", "messages": hello})
    assert unpriced.expected("usd") is None
    _, own = ask(None, "/ai/v1/models", "GET")
    assert (own.expected("tokens"), own.used("tokens")) == ((0, 0), 0)


def test_what_requests_used_is_learned_for_the_next_ones() -> None:
    body = {"model": "priced", "messages": [{"role": "user", "content": "Learn from this sentence."}]}
    _, one = ask(body)
    estimate = one.demand.estimate
    for _ in range(5):
        _, one = ask(body)
        assert one.used("tokens") == 0
        one.expected("tokens")  # a limit asks for it
        report(one, tokens=2 * estimate, output=70)
        assert [one.used(unit) for unit in ("tokens", "usd")] == [
            2 * estimate + 70,
            2_000 * estimate + 140_000,
        ]
    _, one = ask(body)
    assert one.demand.of("output_tokens") == 70
    assert one.demand.of("input_tokens") == round(estimate * (2 - 0.9**5))


def test_nothing_is_learned_where_no_limit_asked_or_nothing_was_reported() -> None:
    body = {"model": "gpt-4", "messages": [{"role": "user", "content": "Learn nothing from this."}]}
    for asks, usage in ((False, {"prompt_tokens": 900, "completion_tokens": 9}), (True, {})):
        for _ in range(5):
            _, one = ask(body)
            before = one.demand.estimate if asks else 0
            CALLS.begin_response(one, 200, ())
            CALLS.end_response(one, json.dumps({"usage": usage}).encode())
    _, one = ask(body)
    assert (one.demand.of("input_tokens"), one.demand.of("output_tokens")) == (before, 4_096)
