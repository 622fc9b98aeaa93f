"""A stream of OpenAI's responses for clients of OpenAI's chat."""

from typing import Any

import pytest

from shared.translation.chat_to_responses.events import Events
from shared.translation.framing import DONE, PING
from shared.translation.notes import HIDE, Context, Settings
from tests.translation import oracles
from tests.translation.contexts import TOKEN, context, with_usage
from tests.translation.streams import read_chunks, run

CREATED = {"type": "response.created", "response": {"id": "resp_1", "model": "gpt-6"}}
USAGE = {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}
CALL = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": ""}
CUSTOM = {"type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": ""}
THOUGHT = "response.reasoning_summary_text.delta"
FULL_THOUGHT = "response.reasoning_text.delta"
OWN = ("'error'", "'custom'", "'annotations'")


def end(kind: str = "completed", **members: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}", "response": {"id": "resp_1", "usage": USAGE, **members}}


def delta(piece: Any = "Hello", kind: str = "response.output_text.delta", index: int = 0, **more: Any) -> Any:
    return {"type": kind, "output_index": index, "delta": piece, **more}


def item(kind: str, given: Any, index: int = 0) -> dict[str, Any]:
    return {"type": f"response.output_item.{kind}", "output_index": index, "item": given}


def piece(text: str, index: int = 0, kind: str = "function_call_arguments") -> Any:
    return delta(text, f"response.{kind}.delta", index)


def chunks(*stream: Any, given: Context | None = None) -> list[Any]:
    made = run(Events(given or context()), [CREATED, *stream])
    for event in made:
        # The SDK passes calls of custom tools and citations on, though its types do not have them.
        if isinstance(event, dict) and not any(name in str(event) for name in OWN):
            oracles.chunk(event)
    return made


def message(*stream: Any, given: Context | None = None) -> Any:
    return read_chunks(chunks(*stream, end(), given=given))["choices"][0]["message"]


def test_stream_has_a_role_texts_and_a_reason_to_stop() -> None:
    made = chunks(delta("Hel"), delta("lo"), end())
    assert [chunk["choices"][0] for chunk in made[:-1]] == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None},
        {"index": 0, "delta": {"content": "Hel"}, "finish_reason": None},
        {"index": 0, "delta": {"content": "lo"}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]
    assert (made[0]["id"], made[0]["model"], made[-1]) == ("chatcmpl-resp_1", "gpt-6", DONE)


def test_usage_is_sent_if_the_client_asked_for_it() -> None:
    made = chunks(delta(), end(), given=with_usage())
    assert (made[-2]["choices"], made[-2]["usage"]["total_tokens"]) == ([], 14)
    assert chunks(delta(), end(usage=None), given=with_usage())[-2]["choices"]


def test_stream_begins_once_whatever_comes_first() -> None:
    made = chunks(*[{**CREATED, "type": f"response.{kind}"} for kind in ("queued", "in_progress")], end())
    assert len(made) == 3
    bare = run(Events(context(model="fast")), [end()])
    assert (bare[0]["id"], bare[0]["model"], bare[-1]) == (f"chatcmpl-{TOKEN}", "fast", DONE)


def test_calls_are_numbered_and_their_pieces_may_come_in_any_order() -> None:
    second = {**CALL, "call_id": "call_2"}
    stream = [item("added", CALL, 1), item("added", second, 3), piece('{"b":', 3), piece('{"a":', 1)]
    calls = message(delta(), *stream, piece("1}", 1), piece("2}", 3))["tool_calls"]
    assert [(call["id"], call["function"]["arguments"]) for call in calls] == [
        ("call_1", '{"a":1}'),
        ("call_2", '{"b":2}'),
    ]
    assert chunks(item("added", CALL), end())[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_items_of_a_server_without_numbers_are_known_by_their_ids() -> None:
    stream: list[Any] = []
    for name in "abc":
        call = {**CALL, "id": f"fc_{name}", "call_id": name}
        argued = {"type": "response.function_call_arguments.delta", "item_id": f"fc_{name}", "delta": "{}"}
        stream += [{"type": "response.output_item.added", "item": call}, argued]
        stream.append({"type": "response.output_item.done", "item": {**call, "arguments": "{}"}})
    calls = message(*stream)["tool_calls"]
    assert [(call["id"], call["function"]["arguments"]) for call in calls] == [(id_, "{}") for id_ in "abc"]


def test_call_of_a_custom_tool_is_one() -> None:
    made = chunks(item("added", CUSTOM), piece("***", kind="custom_tool_call_input"), end())
    assert [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in made[1:3]] == [
        {"index": 0, "id": "call_1", "type": "custom", "custom": {"name": "patch", "input": ""}},
        {"index": 0, "custom": {"input": "***"}},
    ]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({**CALL, "arguments": '{"a":1}'}, '{"a":1}'),
        ({**CUSTOM, "input": "***"}, "***"),
    ],
)
@pytest.mark.parametrize("begun", [True, False])
def test_call_that_comes_at_once_is_complete(given: Any, found: str, begun: bool) -> None:
    before = [item("added", {**given, "arguments": "", "input": ""})] if begun else [item("added", {})]
    made = chunks(*before, item("done", given), item("done", given), end())
    calls = [call for chunk in made[:-1] for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    texts = [
        call[kind].get(name, "")
        for call in calls
        for kind, name in (("function", "arguments"), ("custom", "input"))
        if kind in call
    ]
    assert "".join(texts) == found


def test_call_that_begins_with_its_arguments_has_them_once() -> None:
    whole = {**CALL, "arguments": "{}"}
    calls = message(item("added", whole), item("done", whole))["tool_calls"]
    assert calls[0]["function"]["arguments"] == "{}"


def test_pieces_of_a_call_that_has_not_begun_are_nothing() -> None:
    assert len(chunks(piece("{}"), item("added", CALL, 1), piece("", 1), delta(None, index=1), end())) == 4


def test_text_and_thought_that_come_at_once_are_complete() -> None:
    parts = [{"type": "output_text", "text": "Hello"}, {"type": "refusal", "refusal": "No."}, {"type": "x"}]
    thought = {"type": "reasoning", "summary": [{"text": "a"}, {"text": "b"}], "content": [{"text": "c"}]}
    found = message(item("done", thought, 0), item("done", {"type": "message", "content": parts}, 1))
    assert (found["content"], found["refusal"], found["reasoning_content"]) == ("Hello", "No.", "a\n\nb")


def test_items_that_come_with_the_last_event_only_are_complete() -> None:
    said = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}
    whole = {**CALL, "arguments": "{}"}
    found = read_chunks(chunks(end(output=[said, whole, 7])))["choices"][0]
    assert (found["message"]["content"], found["finish_reason"]) == ("Hello", "tool_calls")
    assert found["message"]["tool_calls"][0]["function"]["arguments"] == "{}"
    assert message(delta(), end(output=[said]))["content"] == "Hello"


def test_text_that_came_in_pieces_is_not_repeated() -> None:
    whole = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}
    assert message(delta(), item("done", whole))["content"] == "Hello"
    refused = {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}
    found = message(delta("No.", "response.refusal.delta"), item("done", refused))
    assert (found.get("content"), found["refusal"]) == ("", "No.")


def test_parts_of_thoughts_are_apart() -> None:
    stream = [
        delta("a", THOUGHT, summary_index=0),
        delta("b", THOUGHT, summary_index=0),
        delta("c", THOUGHT, summary_index=1),
        delta("d", THOUGHT, 1, summary_index=0),
        delta("", THOUGHT, 1, summary_index=0),
    ]
    assert message(*stream)["reasoning_content"] == "ab\n\nc\n\nd"


def test_thought_that_comes_with_its_summary_is_sent_once() -> None:
    stream = [delta("a", FULL_THOUGHT, content_index=0), delta("b", THOUGHT, summary_index=0)]
    whole = {"type": "reasoning", "summary": [{"text": "b"}], "content": [{"text": "a"}]}
    assert message(*stream, item("done", whole))["reasoning_content"] == "a"


def test_thoughts_are_hidden_by_the_setting() -> None:
    hidden = context(settings=Settings(reasoning=HIDE))
    whole = {"type": "reasoning", "summary": [{"text": "a"}]}
    assert "reasoning_content" not in message(delta("a", THOUGHT), item("done", whole), given=hidden)


def test_citations_and_probabilities_stay_with_the_text() -> None:
    cited = {"start_index": 0, "end_index": 1, "title": "A", "url": "https://a.example"}
    token = {"token": "a", "logprob": -0.5, "top_logprobs": [{"token": "b", "logprob": -1.0}]}
    citation = {
        "type": "response.output_text.annotation.added",
        "annotation": {"type": "url_citation", **cited},
    }
    given = context()
    other = {**citation, "annotation": {"type": "file_path"}}
    made = chunks(delta("a", logprobs=[token]), citation, other, end(), given=given)
    others = [{"token": "b", "logprob": -1.0, "bytes": None}]
    assert made[1]["choices"][0]["logprobs"]["content"] == [{**token, "bytes": None, "top_logprobs": others}]
    assert made[2]["choices"][0]["delta"]["annotations"] == [{"type": "url_citation", "url_citation": cited}]
    assert (len(made), given.notes.dropped) == (5, ["annotations"])


@pytest.mark.parametrize(
    ("details", "finish"),
    [({"reason": "max_output_tokens"}, "length"), ({"reason": "content_filter"}, "content_filter")],
)
def test_incomplete_stream_has_the_reason_of_chat(details: Any, finish: str) -> None:
    made = chunks(delta(), end("incomplete", incomplete_details=details))
    assert made[-2]["choices"][0]["finish_reason"] == finish


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        (
            end("failed", error={"code": "rate_limit_exceeded", "message": "Slow."}),
            "rate_limit_error",
            "Slow.",
        ),
        (end("failed", error={"code": "server_error", "message": "Oh."}), "server_error", "Oh."),
        (
            {"type": "error", "code": "rate_limit_exceeded", "message": "Slow.", "param": None},
            "rate_limit_error",
            "Slow.",
        ),
        (
            {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow."}},
            "rate_limit_error",
            "Slow.",
        ),
        ({"error": {"type": "server_error", "message": "Oh."}}, "server_error", "Oh."),
    ],
)
def test_error_in_the_stream_is_one_of_chat(event: Any, kind: str, message: str) -> None:
    made = chunks(delta(), event, end())
    assert (made[-1]["error"]["type"], made[-1]["error"]["message"]) == (kind, message)


@pytest.mark.parametrize(
    "stream", [[], [delta()], ["not JSON"], [7], [{}], [{"type": 7}], [end("failed")], [delta(), DONE]]
)
def test_stream_that_is_cut_off_is_an_error_and_never_a_response(stream: Any) -> None:
    made = chunks(*stream)
    assert made[-1]["error"]["code"] == "upstream_protocol_error"
    assert DONE not in made


def test_sign_of_life_is_passed_on_and_other_events_are_nothing() -> None:
    events = Events(context())
    assert events.feed(PING) == [PING]
    assert events.feed({"type": "response.of_next_year"}) == []


def test_item_that_chat_lacks_is_reported() -> None:
    given = context()
    chunks(item("added", {"type": "web_search_call"}), item("done", {"type": "web_search_call"}), given=given)
    assert given.notes.dropped == ["web_search_call"]
    assert chunks({"type": "response.output_item.done", "output_index": "?"}, end())[-1] == DONE


def test_letter_that_is_cut_between_two_events_is_joined() -> None:
    assert message(delta("\ud83d"), delta("\ude00"), delta(None))["content"] == "😀"
    split = [delta("\ud83d", THOUGHT), delta("\ude00", THOUGHT)]
    assert message(*split)["reasoning_content"] == "😀"


def test_call_without_an_id_gets_one() -> None:
    calls = message(item("added", {**CALL, "call_id": None}))["tool_calls"]
    assert calls[0]["id"] == f"call_{TOKEN[:24]}"
