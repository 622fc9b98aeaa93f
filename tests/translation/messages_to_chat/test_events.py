"""A stream of OpenAI's chat for the SDK of Anthropic."""

from typing import Any

import pytest

from shared.translation.framing import DONE, PING
from shared.translation.messages_to_chat.events import Events
from shared.translation.notes import HIDE, Context, Settings
from tests.translation.contexts import TOKEN, context
from tests.translation.streams import call_chunk, chunk, read_messages, run

USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 4},
}
LAST = {**chunk({}), "choices": [], "usage": USAGE}


def stream(*deltas: Any, finish: Any = "stop", given: Context | None = None) -> list[Any]:
    """The events after those at the beginning."""
    made = run(Events(given or context()), [*map(chunk, deltas), chunk({}, finish), DONE])
    assert [event["type"] for event in made[:2]] == ["message_start", "ping"]
    return made[2:]


def message(*deltas: Any, finish: Any = "stop", given: Context | None = None) -> Any:
    return read_messages(run(Events(given or context()), [*map(chunk, deltas), chunk({}, finish), DONE]))


def calls(*made: Any) -> dict[str, Any]:
    return {"tool_calls": list(made)}


def begin(index: int | None, piece: str = "", **members: Any) -> Any:
    return call_chunk(index, piece, **{"id": f"call_{index}", "name": f"tool_{index}", **members})


def inputs(made: Any) -> list[Any]:
    return [
        (block["id"], block["name"], block["input"])
        for block in made["content"]
        if block["type"] == "tool_use"
    ]


def test_stream_has_a_beginning_its_text_and_an_end() -> None:
    made = run(
        Events(context(input_tokens=42)),
        [chunk({"role": "assistant", "content": ""}), chunk({"content": "Hi"})],
    )
    assert made[0]["message"] == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "gpt-6",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 42, "output_tokens": 0},
    }
    assert made[1:4] == [
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
    ]
    assert stream({"content": "Hi"})[2:] == [
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 0},
        },
        {"type": "message_stop"},
    ]


def test_client_gets_the_name_of_the_model_that_it_may_know() -> None:
    assert message({"content": "Hi"}, given=context(model="fast"))["model"] == "fast"


def test_usage_that_comes_after_the_reason_to_stop_is_in_the_end() -> None:
    made = run(Events(context()), [chunk({"content": "Hi"}), chunk({}, "stop"), LAST, DONE])
    usage = {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 5}
    assert (made[-2]["usage"], made[-1]["type"]) == (usage, "message_stop")


def test_usage_as_the_last_chunk_ends_the_message_at_once() -> None:
    events = Events(context())
    run_so_far = [made for one in (chunk({"content": "Hi"}), chunk({}, "stop")) for made in events.feed(one)]
    assert run_so_far[-1]["type"] == "content_block_delta"
    assert events.feed(LAST)[-1] == {"type": "message_stop"}
    assert events.feed(DONE) == events.end() == []


@pytest.mark.parametrize("member", ["usage", "x_groq"])
def test_usage_on_any_chunk_counts_and_null_does_not(member: str) -> None:
    usage = {"usage": USAGE} if member == "usage" else {"x_groq": {"usage": USAGE}}
    chunks = [chunk({"content": "Hi"}, **usage), chunk({}, "stop", usage=None)]
    assert run(Events(context()), chunks)[-2]["usage"]["output_tokens"] == 5


def test_stream_may_end_without_its_sign() -> None:
    assert run(Events(context()), [chunk({"content": "Hi"}), chunk({}, "stop")])[-1] == {
        "type": "message_stop"
    }


def test_chunks_without_choices_are_no_beginning_and_no_end() -> None:
    filters = {"id": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    events = Events(context())
    assert events.feed(filters) == events.feed({"choices": None}) == events.feed(LAST) == []
    assert events.feed(chunk({"content": "Hi"}))[0]["message"]["id"] == "msg_1"


def test_kinds_of_text_are_blocks_in_their_order() -> None:
    made = message(
        {"reasoning_content": "Hm."}, {"reasoning": " Yes."}, {"content": "Hi"}, {"reasoning": "More."}
    )
    assert made["content"] == [
        {"type": "thinking", "thinking": "Hm. Yes.", "signature": ""},
        {"type": "text", "text": "Hi"},
        {"type": "thinking", "thinking": "More.", "signature": ""},
    ]


def test_thought_in_two_members_is_one() -> None:
    assert message({"reasoning_content": "Hm.", "reasoning": "Hm."})["content"][0]["thinking"] == "Hm."


def test_thoughts_are_hidden_by_the_setting() -> None:
    hidden = context(settings=Settings(reasoning=HIDE))
    made = message({"reasoning_content": "Hm.", "content": "Hi"}, given=hidden)
    assert made["content"] == [{"type": "text", "text": "Hi"}]


def test_text_in_parts_is_text() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert message({"content": parts})["content"] == [{"type": "text", "text": "ab"}]


def test_refusal_is_a_text_and_the_reason_to_stop() -> None:
    made = message({"refusal": "I can"}, {"refusal": "not."})
    assert (made["content"], made["stop_reason"]) == ([{"type": "text", "text": "I cannot."}], "refusal")


def test_calls_keep_ids_names_and_arguments() -> None:
    made = message(
        calls(begin(0)),
        calls(call_chunk(0, '{"a":')),
        calls(call_chunk(0, "1}")),
        calls(begin(1, "{}"), begin(2)),
    )
    assert inputs(made) == [
        ("call_0", "tool_0", {"a": 1}),
        ("call_1", "tool_1", {}),
        ("call_2", "tool_2", {}),
    ]
    assert made["stop_reason"] == "tool_use"


def test_call_goes_on_at_once_and_the_next_one_when_it_is_complete() -> None:
    events = Events(context())
    deltas = (begin(0, '{"a":'), call_chunk(0, "1}"), begin(1, "{}"), call_chunk(1, " "))
    kinds = [[made["type"] for made in events.feed(chunk(calls(delta)))][-3:] for delta in deltas]
    begun = ["content_block_start", "content_block_delta"]
    assert kinds == [
        ["ping", *begun],
        ["content_block_delta"],
        ["content_block_stop", *begun],
        ["content_block_delta"],
    ]


def test_pieces_of_calls_in_any_order_are_none_of_another_call() -> None:
    deltas = [
        begin(0),
        begin(1),
        call_chunk(1, '{"b":'),
        call_chunk(0, '{"a":'),
        call_chunk(1, "2}"),
        call_chunk(0, "1}"),
    ]
    assert inputs(message(*map(calls, deltas))) == [
        ("call_0", "tool_0", {"a": 1}),
        ("call_1", "tool_1", {"b": 2}),
    ]


def test_text_between_the_pieces_of_a_call_loses_nothing() -> None:
    made = message(
        calls(begin(0, '{"a":')), {"content": "Wait."}, calls(call_chunk(0, "1}")), {"content": " Yes."}
    )
    assert [block["type"] for block in made["content"]] == ["tool_use", "text"]
    assert (inputs(made)[0][2], made["content"][1]["text"]) == ({"a": 1}, "Wait. Yes.")


@pytest.mark.parametrize("index", [0, None])
def test_calls_that_a_server_numbers_alike_are_different_by_their_ids(index: Any) -> None:
    made = message(calls(begin(index, '{"a": 1}', id="a")), calls(begin(index, '{"b": 2}', id="b")))
    assert [(id_, value) for id_, _, value in inputs(made)] == [("a", {"a": 1}), ("b", {"b": 2})]


def test_calls_without_ids_and_numbers_are_different_by_their_names() -> None:
    made = message(calls(begin(None, "{}", id=None)), calls(begin(None, "{}", id="")))
    first = f"toolu_{TOKEN[:24]}"
    assert [id_ for id_, _, _ in inputs(made)] == [first, f"{first}_2"]


def test_head_of_a_call_that_is_repeated_is_no_other_call() -> None:
    made = message(calls(begin(0, '{"a":')), calls(begin(0, "1}")), calls(begin(0, "")))
    assert inputs(made) == [("call_0", "tool_0", {"a": 1})]
    made = message(calls(begin(0, '{"a":', id=None)), calls(begin(0, "1}", id=None)))
    assert [value for _, _, value in inputs(made)] == [{"a": 1}]


def test_arguments_that_are_repeated_at_the_end_are_not_sent_twice() -> None:
    given = context()
    made = message(calls(begin(0, '{"a": 1}')), calls(call_chunk(0, '{"a": 1}', id="call_0")), given=given)
    assert (inputs(made), given.notes.changed) == ([("call_0", "tool_0", {"a": 1})], ["tool_arguments"])


def test_name_of_a_call_may_come_late() -> None:
    made = message(calls(call_chunk(0, "", id="call_0")), calls(call_chunk(0, "{}", name="tool_0")))
    assert inputs(made) == [("call_0", "tool_0", {})]


def test_id_of_a_call_that_comes_late_makes_no_other_call() -> None:
    made = message(calls(begin(0, id=None)), calls(call_chunk(0, "{}", id="call_0")))
    assert len(inputs(made)) == 1


def test_call_without_a_name_is_none() -> None:
    made = message(calls(call_chunk(0, "{}", id="call_0")), calls(begin(1, "{}")))
    assert inputs(made) == [("call_1", "tool_1", {})]


def test_tool_whose_name_was_too_long_has_its_own_name_again() -> None:
    given = context()
    given.notes.tool_names = {"tool_0": "the_longer_name"}
    assert inputs(message(calls(begin(0, "{}")), given=given))[0][1] == "the_longer_name"


@pytest.mark.parametrize("finish", ["error", "of_next_year", None])
def test_stream_that_did_not_end_normally_is_an_error(finish: Any) -> None:
    assert stream({"content": "Hi"}, finish=finish)[-1]["type"] == "error"


@pytest.mark.parametrize(
    "ends", [[], [DONE], [chunk({"content": "Hi"})], [chunk({"content": "Hi"}), DONE], [LAST]]
)
def test_stream_without_a_reason_to_stop_is_an_error(ends: Any) -> None:
    assert run(Events(context()), ends)[-1]["error"]["type"] == "api_error"


def test_error_in_a_stream_is_one_of_messages_and_its_end() -> None:
    error = {"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}}
    made = run(Events(context()), [chunk({"content": "Hi"}), error, chunk({}, "stop"), DONE])
    assert made[-1] == {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down."}}
    assert run(Events(context()), [{"error": "No."}])[0]["error"] == {"type": "api_error", "message": "No."}


@pytest.mark.parametrize("event", ["<html>", 7, None, []])
def test_event_that_is_none_of_the_api_is_an_error(event: Any) -> None:
    assert Events(context()).feed(event)[0]["type"] == "error"


def test_comment_of_the_upstream_is_a_ping_once_the_message_has_begun() -> None:
    events = Events(context())
    assert events.feed(PING) == [PING]
    events.feed(chunk({"content": "Hi"}))
    assert events.feed(PING) == [{"type": "ping"}]


def test_chunk_without_what_it_should_have_says_nothing() -> None:
    events = Events(context())
    events.feed(chunk({}))
    odd = [
        {"choices": [7, {"index": 0}]},
        chunk(None),
        chunk({"tool_calls": "x", "content": 7}),
        chunk({"tool_calls": [7]}),
    ]
    assert [events.feed(one) for one in odd] == [[], [], [], []]


def test_other_choices_are_noted() -> None:
    given = context()
    events = Events(given)
    events.feed(
        {**chunk({}), "choices": [{"index": 1, "delta": {"content": "x"}}, {"index": None, "delta": {}}]}
    )
    assert given.notes.dropped == ["choices"]


def test_letter_that_is_cut_between_two_chunks_is_whole() -> None:
    assert (
        message({"content": "a"}, {"content": "\ud83d"}, {"content": "\ude00"})["content"][0]["text"] == "a😀"
    )
    made = message(calls(begin(0, '{"a": "\ud83d')), calls(call_chunk(0, '\ude00"}')))
    assert inputs(made)[0][2] == {"a": "😀"}


def test_very_long_arguments_are_complete_at_the_end_of_the_response() -> None:
    text = "word " * 20_000
    calls = [call_chunk(0, f'{{"text":"{text}"}}', id="a", name="f"), call_chunk(1, "{}", id="b", name="g")]
    made = run(
        Events(context()), [*[chunk({"tool_calls": [one]}) for one in calls], chunk({}, "tool_calls"), DONE]
    )
    message = read_messages(made)
    assert [block["input"] for block in message["content"]] == [{"text": text}, {}]
