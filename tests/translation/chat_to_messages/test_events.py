"""A stream of Anthropic's messages for the SDK of OpenAI."""

from typing import Any

import pytest

from shared.translation.chat_to_messages.events import Events
from shared.translation.framing import DONE, PING
from shared.translation.notes import HIDE, Context, Settings
from tests.translation import oracles
from tests.translation.contexts import TOKEN, context, with_usage
from tests.translation.streams import read_chunks, run

START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 1},
    },
}
STOP = {"type": "message_stop"}
HEAD = {
    "id": "chatcmpl-msg_1",
    "object": "chat.completion.chunk",
    "created": 1_790_000_000,
    "model": "claude-sonnet-5",
}


def block(index: int, **members: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": members}


def tool(index: int, **members: Any) -> dict[str, Any]:
    return block(
        index, **{"type": "tool_use", "id": f"toolu_{index}", "name": "weather", "input": {}, **members}
    )


def delta(index: int, kind: str, **members: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **members}}


def text(piece: str, index: int = 0) -> dict[str, Any]:
    return delta(index, "text_delta", text=piece)


def arguments(index: int, piece: str) -> dict[str, Any]:
    return delta(index, "input_json_delta", partial_json=piece)


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def end(reason: Any = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


def deltas(*events: Any, given: Context | None = None) -> list[Any]:
    """The deltas of the chunks that the events make after the beginning of a message."""
    translation = Events(given or context())
    assert [chunk["choices"][0]["delta"] for chunk in translation.feed(START)] == [
        {"role": "assistant", "content": ""}
    ]
    chunks = [oracles.chunk(made) and made for event in events for made in translation.feed(event)]
    return [chunk["choices"][0]["delta"] for chunk in chunks]


def test_stream_has_a_role_its_texts_a_reason_to_stop_and_an_end() -> None:
    events = [
        START,
        block(0, type="text", text=""),
        text("Hel"),
        text("lo"),
        stop(0),
        end(output_tokens=5),
        STOP,
    ]
    assert run(Events(context()), events) == [
        {**HEAD, "choices": [{"index": 0, "delta": made, "finish_reason": finish}]}
        for made, finish in [
            ({"role": "assistant", "content": ""}, None),
            ({"content": "Hel"}, None),
            ({"content": "lo"}, None),
            ({}, "stop"),
        ]
    ] + [DONE]


def test_usage_comes_last_if_the_client_asked_for_it() -> None:
    made = run(Events(with_usage()), [START, end(output_tokens=5), STOP])
    usage = {"prompt_tokens": 13, "completion_tokens": 5, "total_tokens": 18}
    details = {"prompt_tokens_details": {"cached_tokens": 4}}
    assert made[-2:] == [{**HEAD, "choices": [], "usage": {**usage, **details}}, DONE]
    assert read_chunks(made)["usage"]["total_tokens"] == 18


def test_later_usage_and_reason_win_and_what_they_leave_out_stays() -> None:
    events = [
        START,
        end(output_tokens=5),
        end("max_tokens", output_tokens=6),
        end(None, input_tokens=20),
        STOP,
    ]
    made = read_chunks(run(Events(with_usage()), events))
    assert made["choices"][0]["finish_reason"] == "length"
    assert (made["usage"]["prompt_tokens"], made["usage"]["completion_tokens"]) == (24, 6)


def test_stream_without_usage_has_none() -> None:
    start = {"type": "message_start", "message": {"id": "msg_1"}}
    assert len(run(Events(with_usage()), [start, {"type": "message_delta"}, STOP])) == 3


def test_client_gets_the_name_of_the_model_that_it_may_know() -> None:
    assert Events(context(model="fast")).feed(START)[0]["model"] == "fast"


def test_calls_are_numbered_by_their_order_and_not_by_their_blocks() -> None:
    events = [
        tool(1),
        arguments(1, ""),
        arguments(1, '{"a":'),
        tool(4),
        arguments(4, "{}"),
        arguments(1, "1}"),
    ]
    made = [one["tool_calls"][0] for one in deltas(text("Wait."), *events)[1:]]
    head = {"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
    assert made == [
        head,
        {"index": 0, "function": {"arguments": '{"a":'}},
        {**head, "index": 1, "id": "toolu_4"},
        {"index": 1, "function": {"arguments": "{}"}},
        {"index": 0, "function": {"arguments": "1}"}},
    ]


def test_call_without_arguments_has_an_empty_object() -> None:
    assert deltas(tool(0), stop(0))[1] == {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}


def test_call_that_begins_with_its_input_has_it() -> None:
    made = deltas(tool(0, input={"a": 1}), stop(0))
    assert [one["tool_calls"][0]["function"]["arguments"] for one in made] == ['{"a":1}']


def test_thoughts_are_reasoning_and_signatures_are_nothing() -> None:
    events = [
        block(0, type="thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="Hm."),
        delta(0, "signature_delta", signature="c2ln"),
        stop(0),
    ]
    assert deltas(*events) == [{"reasoning_content": "Hm."}]
    assert deltas(*events, given=context(settings=Settings(reasoning=HIDE))) == []


def test_block_that_begins_with_a_text_has_it() -> None:
    assert deltas(block(0, type="text", text="Hi"), text("")) == [{"content": "Hi"}]


def test_what_chat_cannot_say_is_noted() -> None:
    given = context()
    events = [
        block(0, type="redacted_thinking", data="x"),
        block(1, type="server_tool_use", id="a", name="web_search", input={}),
        arguments(1, '{"query": "x"}'),
        stop(1),
        delta(2, "citations_delta", citation={}),
        delta(2, "of_next_year"),
        {"type": "of_next_year"},
    ]
    assert deltas(*events, given=given) == []
    assert given.notes.dropped == ["redacted_thinking", "server_tool_use", "citations"]


def test_reason_of_a_model_not_to_respond_is_a_refusal() -> None:
    details = {"type": "refusal", "category": None, "explanation": "Not this."}
    declined = {"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}}
    made = read_chunks(run(Events(context()), [START, declined, STOP]))["choices"][0]
    assert (made["message"]["refusal"], made["finish_reason"]) == ("Not this.", "content_filter")


@pytest.mark.parametrize("reason", ["of_next_year", None])
def test_unknown_reason_to_stop_is_a_normal_end_and_is_noted(reason: Any) -> None:
    given = context()
    assert (
        read_chunks(run(Events(given), [START, end(reason), STOP]))["choices"][0]["finish_reason"] == "stop"
    )
    assert given.notes.changed == ["stop_reason"]


@pytest.mark.parametrize("event", [{"type": "ping"}, PING])
def test_ping_is_a_comment(event: Any) -> None:
    assert Events(context()).feed(event) == [PING]


def test_error_in_a_stream_is_one_of_chat_and_its_end() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert run(Events(context()), [START, error, STOP])[1:] == [
        {"error": {"message": "Overloaded", "type": "server_error", "param": None, "code": "overloaded"}}
    ]


@pytest.mark.parametrize("events", [[], [START], [START, text("Hi")], [START, end()]])
def test_stream_without_its_last_event_is_an_error(events: Any) -> None:
    made = run(Events(context()), events)
    assert made[-1]["error"]["code"] == "upstream_protocol_error"


@pytest.mark.parametrize("event", ["<html>", 7, None, [], {}, {"type": 7}])
def test_event_that_is_none_of_the_api_is_an_error(event: Any) -> None:
    assert Events(context()).feed(event)[0]["error"]["code"] == "upstream_protocol_error"


def test_event_without_what_it_should_have_says_nothing() -> None:
    events = [
        {"type": "content_block_start"},
        {"type": "content_block_delta", "index": []},
        delta(0, "text_delta"),
        {"type": "message_delta", "delta": 7},
    ]
    assert deltas(*events) == []
    assert Events(context()).feed({"type": "message_start"})[0]["id"] == f"chatcmpl-{TOKEN}"


def test_letter_that_is_cut_between_two_events_is_whole() -> None:
    assert deltas(text("a\ud83d"), text("\ude00b")) == [{"content": "a"}, {"content": "😀b"}]
    made = deltas(tool(0), arguments(0, '{"a":"\ud83d'), arguments(0, '\ude00"}'))
    assert [one["tool_calls"][0]["function"]["arguments"] for one in made[1:]] == ['{"a":"', '😀"}']
