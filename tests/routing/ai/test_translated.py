"""Requests and responses between a client and targets of other APIs, without a network."""

import gzip
import itertools
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.messages import Headers
from shared.model.providers import ProviderModel
from shared.providers.calls import ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_RESPONSES
from shared.routing.ai import translated
from shared.routing.ai.request_body import sent_body
from shared.routing.ai.translated import RequestTranslations, TranslatedResponse, translated_calls
from shared.translation.framing import DONE, write_event
from shared.translation.notes import BadResponse, Context, Settings, Untranslatable
from tests.routing.test_ai_route import provider, route
from tests.translation.contexts import TOKEN
from tests.translation.streams import chunk

JSON = Headers(
    [("Content-Type", "application/json"), ("Content-Length", "9"), ("ETag", "x"), ("Date", "now")]
)
EVENTS = Headers([("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])
COMPLETION = {"id": "1", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
STREAM = b"".join(
    write_event(one, OPENAI_CHAT)
    for one in (chunk({"content": "Wörld"}), chunk({"content": "!"}, "stop"), DONE)
)


def response(client: str = ANTHROPIC_MESSAGES, kind: str = "ollama", **caps: Any) -> TranslatedResponse:
    """The response of a model of a provider of that kind."""
    calls = calls_of(client, provider(kind, models=(ProviderModel(id="m", caps=caps),)))
    return TranslatedResponse(calls["prv_1/m"], client, Context(now=1, token=TOKEN))


def calls_of(client: str, *providers: Any, name: str = "main/m") -> Any:
    ai = route(*providers)
    found = ai.resolver.resolve(name, client, None)
    pool = ai.pool(found)  # type: ignore[arg-type]
    return ai.translated(pool, client)


def test_target_that_speaks_the_clients_api_has_no_call_of_its_own() -> None:
    assert calls_of(OPENAI_CHAT, provider("openai")) == {}
    [call] = calls_of(ANTHROPIC_MESSAGES, provider("openai")).values()
    assert (call.call.api, call.call.path, call.settings.kind) == (OPENAI_CHAT, "/chat/completions", "openai")
    [call] = calls_of(OPENAI_RESPONSES, provider("anthropic")).values()
    assert (call.call.api, call.call.path) == (ANTHROPIC_MESSAGES, "/messages")


def test_request_is_translated_once_for_all_targets_that_need_the_same() -> None:
    ai = route(
        provider("openai", models=(ProviderModel(id="m"), ProviderModel(id="n", caps={"max_output": 7})))
    )
    targets = [ai.resolver.targets_of(f"main/{name}")[0] for name in ("m", "m", "n")]
    calls = translated_calls(
        ANTHROPIC_MESSAGES,
        targets,
        lambda one: {"max_output": 7} if one.model == "n" else {},
        Settings(),
    )
    document = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    translations = RequestTranslations(calls, document)
    first, other = translations.call("prv_1/m"), translations.call("prv_1/n")
    assert first is not None
    assert other is not None
    assert translations.of(first) is translations.of(first)
    assert json.loads(translations.of(first).body)["max_completion_tokens"] == 9
    assert json.loads(translations.of(other).body)["max_completion_tokens"] == 7
    assert translations.error("prv_1/m") is None
    assert translations.error("unknown") is None


def test_what_cannot_be_expressed_is_remembered_with_its_place() -> None:
    calls = calls_of(OPENAI_CHAT, provider("anthropic"))
    translations = RequestTranslations(calls, {"model": "m", "n": 2, "messages": []})
    error = translations.error("prv_1/m")
    assert error is not None
    assert error.pointer == "/n"
    with pytest.raises(Untranslatable):
        translations.of(calls["prv_1/m"])


def test_request_without_json_cannot_be_translated() -> None:
    calls = calls_of(OPENAI_CHAT, provider("anthropic"))
    assert RequestTranslations(calls, object()).error("prv_1/m") is not None


def test_head_of_a_whole_response_says_nothing_of_the_upstreams_body() -> None:
    one = response()
    names = {name.lower(): value for name, value in one.head(200, JSON).fields}
    assert names == {b"content-type": b"application/json", b"date": b"now"}
    assert (one.status, one.is_streamed) == (200, False)
    assert json.loads(one.whole(orjson.dumps(COMPLETION)))["content"] == [{"type": "text", "text": "Hi"}]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices": 1}', b'{"choices":[]}'])
def test_body_that_is_not_of_the_api_is_a_bad_response(body: bytes) -> None:
    one = response()
    one.head(200, JSON)
    with pytest.raises(BadResponse):
        one.whole(body)


def test_body_with_a_content_coding_is_decoded() -> None:
    one = response()
    one.head(200, Headers([*JSON, ("Content-Encoding", "gzip")]))
    assert b'"Hi"' in one.whole(gzip.compress(orjson.dumps(COMPLETION)))
    with pytest.raises(BadResponse):
        one.whole(b"no gzip")


def test_stream_with_a_content_coding_is_collected_and_translated() -> None:
    one = response()
    one.head(200, Headers([*EVENTS, ("Content-Encoding", "gzip")]))
    assert not one.is_streamed
    assert one.whole(gzip.compress(STREAM)).endswith(b'data: {"type":"message_stop"}\n\n')


@pytest.mark.parametrize(
    ("client", "kind", "status", "expected"),
    [
        (ANTHROPIC_MESSAGES, "openai", 503, 529),
        (OPENAI_CHAT, "anthropic", 529, 503),
        (OPENAI_RESPONSES, "anthropic", 529, 503),
        (OPENAI_CHAT, "anthropic", 418, 418),
    ],
)
def test_error_has_the_status_of_the_clients_api_before_its_body_has_come(
    client: str, kind: str, status: int, expected: int
) -> None:
    one = response(client, kind)
    one.head(status, EVENTS)
    assert (one.status, one.is_streamed) == (expected, False)
    assert json.loads(one.whole(b"Too many."))["error"]["message"] == "Too many."
    assert one.status == expected


def test_error_with_the_status_of_a_success_is_one_of_the_upstream() -> None:
    one = response(OPENAI_CHAT, "anthropic")
    one.head(200, JSON)
    body = json.loads(one.whole(b'{"type":"error","error":{"type":"api_error","message":"No."}}'))
    assert (one.status, body["error"]["message"]) == (502, "No.")


@given(cuts=st.sets(st.integers(1, len(STREAM) - 1), max_size=6))
def test_cuts_of_a_stream_make_no_difference(cuts: set[int]) -> None:
    whole, cut = response(), response()
    for one in (whole, cut):
        one.head(200, EVENTS)
    ends = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[begin:end] for begin, end in itertools.pairwise(ends)]
    assert b"".join(map(cut.feed, pieces)) + cut.end() == whole.feed(STREAM) + whole.end()
    assert not cut.has_failed


@given(end=st.integers(0, len(STREAM) - len(b"data: [DONE]\n\n") - 1))
def test_stream_that_is_cut_ends_with_one_error(end: int) -> None:
    one = response()
    one.head(200, EVENTS)
    made = one.feed(STREAM[:end]) + one.end()
    # The last chunk is complete without its blank line.
    if b'"message_stop"' not in made:
        assert (made.count(b"event: error"), one.has_failed) == (1, True)
    assert one.feed(STREAM) + one.end() == b""


@pytest.mark.parametrize("bound", ["MAX_EVENT", "MAX_STREAM"])
def test_stream_that_is_too_long_ends_with_an_error(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translated, bound, 100)
    one = response()
    one.head(200, EVENTS)
    made = one.feed(STREAM[:150]) + one.feed(STREAM[150:])
    assert (made.count(b"event: error"), one.has_failed) == (1, True)
    assert one.end() == b""


def test_report_names_what_the_response_lost_and_hides_the_api() -> None:
    one = response(OPENAI_CHAT, "anthropic")
    one.head(200, JSON)
    cited = {"type": "text", "text": "Hi", "citations": [{"type": "char_location"}]}
    one.whole(orjson.dumps({"content": [cited], "stop_reason": "end_turn", "usage": {}}))
    assert one.report() == "anthropic.messages; dropped=citations"
    assert one.report(is_hidden=True) == "hidden; dropped=citations"


def test_output_that_a_budget_lowers_has_room_for_no_thought() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    document = {"model": "m", "max_tokens": 4096, "thinking": thinking}
    for most, expected in ((500, {"type": "disabled"}), (2000, thinking)):
        body = sent_body(
            orjson.dumps(document),
            document,
            api=ANTHROPIC_MESSAGES,
            kind="anthropic",
            model=("m", b'"m"'),
            most_output=most,
            stream_usage="auto",
            is_unable=False,
        ).body
        assert json.loads(body) == {"model": "m", "max_tokens": most, "thinking": expected}


def test_response_that_would_take_long_to_read_is_not_translated() -> None:
    one, other, stream = response(), response(OPENAI_CHAT, "anthropic"), response()
    one.head(200, JSON)
    many = b"[" + b"[]," * translated.MAX_PARTS + b"[]]"
    with pytest.raises(BadResponse, match="too large"):
        one.whole(b'{"choices":' + many + b"}")
    with pytest.raises(BadResponse, match="too large"):
        one.whole(b'"' + b"x" * translated.MAX_WHOLE + b'"')
    other.head(500, JSON)
    assert len(other.whole(b'{"error":' + many + b"}")) < 2_000
    stream.head(200, EVENTS)
    made = stream.feed(b"data: " + many + b"\n\n" + STREAM) + stream.end()
    assert (made.count(b"event: error"), stream.has_failed, b"message_stop" in made) == (1, True, False)


@pytest.mark.parametrize("client", [OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES])
@pytest.mark.parametrize(
    ("end", "is_incomplete"),
    [
        (b"", True),
        (b"data: what?\n\n", True),
        (b'data: {"type":"error","error":{"message":"No."}}\n\n', False),
    ],
    ids=["cut", "no JSON", "error"],
)
def test_stream_that_is_not_complete_differs_from_one_that_the_upstream_ended_with_an_error(
    client: str, end: bytes, is_incomplete: bool
) -> None:
    one = response(client, "anthropic" if client != ANTHROPIC_MESSAGES else "openai")
    one.head(200, EVENTS)
    made = one.feed(end) + one.end()
    assert (one.has_failed, one.is_incomplete) == (True, is_incomplete), made


def test_reason_to_stop_that_is_unknown_is_told() -> None:
    message = {"content": [], "stop_reason": "new_reason"}
    one = response(OPENAI_CHAT, "anthropic")
    one.head(200, JSON)
    assert b'"finish_reason":"stop"' in one.whole(orjson.dumps(message))
    assert one.has_unknown_stop
    other = response(OPENAI_CHAT, "anthropic")
    other.head(200, JSON)
    other.whole(orjson.dumps({**message, "stop_reason": "end_turn"}))
    assert not other.has_unknown_stop
