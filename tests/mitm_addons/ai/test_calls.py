"""Requests to models: what the stages get told."""

import gzip
import json
from dataclasses import replace
from typing import Any

import pytest

from mitm_addons.ai.ledger import Ledger
from mitm_addons.flows import state_of
from shared.budgets.demand import USUAL_OUTPUT
from shared.core.errors import Rejection
from shared.model.messages import Headers, Request, Response
from shared.model.providers import Model, ModelTarget, ProviderModel
from shared.providers.calls import ApiCall
from shared.routing.ai_calls import AiCalls, ended
from shared.routing.ai_exchange import AiExchange
from shared.routing.pool_exchange import ChosenUpstream
from shared.routing.upstream import Upstream
from shared.upstreams.attempt import Ended
from shared.usage.row import LedgerRow, Source, Usage
from tests.mitm_addons.begun import admitted, begun_flow
from tests.routing.test_ai_route import provider, route


class Clock:
    def now(self) -> float:
        return 1_796_126_400.0

    def monotonic(self) -> float:
        return 100.0


ROWS: list[LedgerRow] = []
CALLS = AiCalls(Clock(), lambda: 0.5)
LEDGER = Ledger(ROWS.append, lambda size: b"r" * size)
DECLARED = (
    ProviderModel(id="gpt-6-luna"),
    ProviderModel(id="old", caps={"stream_usage": False}),
    ProviderModel(id="priced", prices={"input": "1", "output": "2"}),
    ProviderModel(id="blind", caps={"vision": False, "context": 1_000}),
    ProviderModel(id="gpt-4", caps={"vision": True}),
)


def ask(
    document: Any,
    path: str = "/ai/v1/chat/completions",
    method: str = "POST",
    *,
    default_model: str | None = None,
    models: dict[str, Model] | None = None,
    **headers: str,
) -> Any:
    """The result for one request: an upstream with its body, a response or a rejection; and the exchange."""
    ai = route(
        provider(models=DECLARED),
        models=models or {"fast": Model("fast", (ModelTarget(provider="main", model="gpt-6-luna"),))},
        default_model=default_model,
    )
    begun = CALLS.begin(path.partition("?")[0], ai)
    if isinstance(begun, Rejection):
        return begun, None
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    sent = Headers({"Content-Type": "application/json", **headers}.items())
    request = Request(method, path.partition("?")[0], sent, path.partition("?")[2], body)
    if rejection := CALLS.resolve(begun, None, request):
        return rejection, begun
    found: Any = CALLS.choose(begun, None, request)
    return found[:2] if isinstance(found, ChosenUpstream) else found, begun


def test_a_model_of_the_gateway_is_sent_as_the_name_that_the_provider_knows() -> None:
    body = b'{"messages":[ ], "model" : "fast", "x":1.50}'
    (upstream, sent), one = ask(body)
    assert isinstance(upstream, Upstream)
    assert sent == b'{"messages":[ ], "model" : "gpt-6-luna", "x":1.50}'
    assert dict(one.fields()) == {b"X-Gateway-Provider": b"main", b"X-Gateway-Model": b"gpt-6-luna"}


def test_a_body_with_the_providers_own_name_is_sent_byte_for_byte() -> None:
    body = b'{ "model":"gpt-6-luna","unknown_field": {"a":[1 ,2]} }'
    (_, sent), _ = ask(body)
    assert sent is body


PICTURE = {"type": "image_url", "image_url": {"url": "https://x.example/1.png"}}


def picture(model: str) -> Any:
    return {"model": model, "messages": [{"role": "user", "content": [PICTURE]}]}


def test_a_request_that_no_target_can_serve_is_rejected_with_what_the_model_lacks() -> None:
    found, one = ask(picture("blind"))
    assert isinstance(found, Rejection)
    assert (found.status, found.code) == (400, "unsupported_by_model")
    assert found.message == "The model blind has no vision. Choose a model that can serve this request."
    assert one.attempts.why_not == {"prv_1/blind": "has no vision"}
    found, _ = ask({"model": "blind", "messages": [{"role": "user", "content": "word " * 5_000}]})
    assert "has a context of 1,000 tokens, less than about 6,414." in found.message


def test_a_request_goes_to_the_target_that_can_serve_it() -> None:
    targets = (
        ModelTarget(provider="main", model="blind"),
        ModelTarget(provider="main", model="new", priority=1),
    )
    (_, sent), one = ask(picture("both"), models={"both": Model("both", targets)})
    assert json.loads(sent)["model"] == "new"
    assert one.attempts.why_not == {"prv_1/blind": "has no vision"}
    (_, sent), _ = ask({"model": "both", "messages": []}, models={"both": Model("both", targets)})
    assert json.loads(sent)["model"] == "blind"


def test_a_capability_that_the_provider_declares_replaces_the_shipped_one() -> None:
    (_, sent), _ = ask(picture("gpt-4"))
    assert json.loads(sent)["model"] == "gpt-4"


FORM = {"Content-Type": "multipart/form-data; boundary=x"}


def form(*fields: str, file: str = "a.mp3") -> bytes:
    parts = [f'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n{name}\r\n' for name in fields]
    parts.append(
        f'--x\r\nContent-Disposition: form-data; name="file"; filename="{file}"\r\n\r\nID3\0\r\n--x--\r\n'
    )
    return "".join(parts).encode()


def test_the_model_of_a_form_is_sent_as_the_name_that_the_provider_knows() -> None:
    (_, sent), _ = ask(form("fast"), "/ai/v1/audio/transcriptions", **FORM)
    assert sent == form("gpt-6-luna")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (form(), "missing_model"),
        (form("nope"), "model_not_found"),
        (form("fast", "gpt-6-luna"), "bad_request"),
        (form("fast", file="model"), "bad_request"),
        (b"--x\r\n", "bad_request"),
    ],
)
def test_a_form_without_one_usable_model_is_rejected(body: bytes, code: str) -> None:
    found, _ = ask(body, "/ai/v1/audio/transcriptions", **FORM)
    assert isinstance(found, Rejection)
    assert found.code == code


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({"messages": []}, "missing_model"),
        ({"model": "nope", "messages": []}, "model_not_found"),
        (b'{"model":"fast","model":"priced"}', "invalid_json"),
        (b'{"Model":"fast"}', "invalid_json"),
        (b"not json", "invalid_json"),
    ],
)
def test_a_request_without_a_usable_model_is_rejected(document: Any, code: str) -> None:
    found, _ = ask(document)
    assert isinstance(found, Rejection)
    assert found.code == code


def test_the_list_of_models_has_the_shape_of_the_clients_sdk() -> None:
    found, _ = ask(b"", "/ai/v1/models", "GET")
    assert isinstance(found, Response)
    names = [one["id"] for one in json.loads(found.body or b"")["data"]]
    assert names == ["blind", "fast", "gpt-4", "gpt-6-luna", "old", "priced"]
    found, _ = ask(b"", "/ai/v1/models?limit=1", "GET", **{"anthropic-version": "2023-06-01"})
    assert json.loads(found.body or b"")["has_more"] is True
    found, _ = ask(b"", "/ai/v1/models/fast", "GET")
    assert json.loads(found.body or b"")["id"] == "fast"


@pytest.mark.parametrize(
    ("path", "method", "code"),
    [
        ("/ai/v1/models/nope", "GET", "model_not_found"),
        ("/ai/v1/models", "POST", "method_not_allowed"),
        ("/ai/v1/files", "POST", "api_not_supported"),
    ],
)
def test_other_requests_are_rejected_with_the_reason(path: str, method: str, code: str) -> None:
    found, _ = ask(b"", path, method)
    assert isinstance(found, Rejection)
    assert found.code == code


def test_a_form_without_a_model_gets_that_of_the_rule() -> None:
    (_, sent), _ = ask(form(), "/ai/v1/audio/transcriptions", default_model="fast", **FORM)
    assert sent == form("gpt-6-luna")


ZIPPED = {"Content-Encoding": "gzip"}


def test_the_model_of_a_compressed_body_is_sent_as_the_name_that_the_provider_knows() -> None:
    (_, sent), one = ask(gzip.compress(b'{"model":"fast","stream":true}'), **ZIPPED)
    assert json.loads(sent)["model"] == "gpt-6-luna"
    assert one.asks_usage
    (upstream, sent), _ = ask(gzip.compress(form("fast")), "/ai/v1/audio/transcriptions", **FORM, **ZIPPED)
    assert sent == form("gpt-6-luna")
    assert "content-encoding" in upstream.own.replaced


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"model=fast", "application/x-www-form-urlencoded"),
        (b"hello", "text/plain"),
        (b"\0\1", "application/octet-stream"),
        (b'["fast"]', "application/json"),
        (b'"fast"', "application/json"),
    ],
)
def test_a_body_whose_model_cannot_be_read_is_rejected_although_there_is_a_default(
    body: bytes, kind: str
) -> None:
    found, _ = ask(body, default_model="fast", **{"Content-Type": kind})
    assert isinstance(found, Rejection)
    assert found.code == "invalid_json"


def test_a_request_without_a_body_calls_the_default_model() -> None:
    found, _ = ask(b"", "/ai/v1/responses", default_model="fast")
    assert isinstance(found, tuple)


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/ai/v1/chat/completions", "GET"),
        ("/ai/v1/chat/completions", "HEAD"),
        ("/ai/v1/chat/completions", "OPTIONS"),
        ("/ai/v1/responses", "PUT"),
        ("/ai/v1/audio/speech", "DELETE"),
    ],
)
def test_another_method_than_that_of_the_api_is_rejected_although_there_is_a_default(
    path: str, method: str
) -> None:
    found, _ = ask(b"", path, method, default_model="fast")
    assert isinstance(found, Rejection)
    assert (found.code, found.headers["Allow"]) == ("method_not_allowed", "POST")


def test_a_wrong_page_of_the_list_is_rejected_by_name() -> None:
    found, _ = ask(b"", "/ai/v1/models?limit=0", "GET", **{"anthropic-version": "2023-06-01"})
    assert isinstance(found, Rejection)
    assert "limit" in found.message


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
CHUNK = b'data: {"choices":[{"delta":{"content":"Hi"}}],"usage":null}\n\n'
LAST = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":1}}\n\ndata: [DONE]\n\n'


def received(one: AiExchange, *pieces: bytes) -> bytes:
    """What a client gets of the pieces of a stream."""
    got: list[bytes] = []

    def pass_on(piece: bytes) -> list[bytes]:
        got.append(piece)
        return [piece]

    feed = one.metered(pass_on, is_stream=True)
    return b"".join(sent for piece in (*pieces, b"") for sent in feed(piece))


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


@pytest.mark.parametrize(
    ("why", "status", "wait"),
    [
        (Ended("no_upstream", 3.2), 503, "4"),
        (Ended("no_upstream", 5.0), 503, "5"),
        (Ended("no_upstream", 0.0), 503, "1"),
        (Ended("no_provider_key", None), 503, "1"),
        (Ended("rate_limit_exceeded", 29.5), 429, "30"),
    ],
)
def test_the_error_without_a_target_says_when_to_come_back(why: Ended, status: int, wait: str) -> None:
    found = ended(why, "fast")
    assert (found.status, found.headers.get("Retry-After")) == (status, wait)
    assert "fast" in found.message


def test_the_api_of_the_path_is_kept() -> None:
    _, one = ask({"model": "fast", "messages": []})
    assert one.call == ApiCall("openai.chat", "/chat/completions")


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
