"""A whole response of OpenAI's chat for the SDK of Anthropic."""

from typing import Any

import pytest

from shared.translation.messages_to_chat.response import response
from shared.translation.notes import HIDE, BadResponse, Context, Settings
from tests.translation import oracles
from tests.translation.contexts import TOKEN, context

MESSAGE = {"role": "assistant", "content": "Hello", "refusal": None}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-6",
    "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
}


def call(arguments: str = '{"city": "Rome"}', **members: Any) -> dict[str, Any]:
    function = {"name": "weather", "arguments": arguments}
    return {"id": "call_1", "type": "function", "function": function, **members}


def translated(_context: Context | None = None, finish: Any = "stop", **members: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {**MESSAGE, **members}, "finish_reason": finish}
    made = response({**COMPLETION, "choices": [choice]}, _context or context())
    oracles.message(made)
    return made


def test_completion_becomes_a_message_with_its_id_model_and_usage() -> None:
    assert translated() == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "gpt-6",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 2},
    }


def test_client_gets_the_name_of_the_model_that_it_may_know() -> None:
    assert translated(context(model="fast"))["model"] == "fast"


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_a_thought_before_the_text(name: str) -> None:
    thought, text = translated(**{name: "Hm."})["content"]
    assert thought == {"type": "thinking", "thinking": "Hm.", "signature": ""}
    assert text["text"] == "Hello"


def test_reasoning_is_hidden_by_the_setting() -> None:
    hidden = context(settings=Settings(reasoning=HIDE))
    assert len(translated(hidden, reasoning_content="Hm.")["content"]) == 1


def test_text_in_parts_is_one_text_and_no_text_is_no_block() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, {"type": "other"}, 7]
    assert translated(content=parts)["content"] == [{"type": "text", "text": "ab"}]
    assert translated(content="")["content"] == translated(content=None)["content"] == []


def test_calls_of_tools_keep_order_ids_names_and_arguments() -> None:
    made = translated(tool_calls=[call(), call("", id="call_2")], finish="tool_calls", content=None)
    assert made["content"] == [
        {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Rome"}},
        {"type": "tool_use", "id": "call_2", "name": "weather", "input": {}},
    ]


def test_calls_of_a_weak_server_get_ids_of_their_own() -> None:
    calls = [call(), call(), call(id=None), call(id="")]
    made = translated(tool_calls=calls, finish="tool_calls", content=None)["content"]
    first = f"toolu_{TOKEN[:24]}"
    assert [one["id"] for one in made] == ["call_1", "call_1_2", first, f"{first}_2"]


def test_tool_whose_name_was_too_long_has_its_own_name_again() -> None:
    given = context()
    given.notes.tool_names = {"weather": "the_longer_name"}
    assert translated(given, tool_calls=[call()])["content"][1]["name"] == "the_longer_name"


def test_arguments_that_are_no_object_are_empty_and_reported() -> None:
    given = context()
    made = translated(given, tool_calls=[call('{"city": ')], finish="tool_calls", content=None)
    assert (made["content"][0]["input"], given.notes.changed) == ({}, ["tool_arguments"])


def test_what_messages_cannot_say_is_reported() -> None:
    given = context()
    translated(given, annotations=[{"type": "url_citation"}], tool_calls=["?", {"type": "custom"}])
    assert given.notes.dropped == ["annotations", "tool_calls"]


@pytest.mark.parametrize(
    ("finish", "stop"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("model_length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("function_call", "tool_use"),
        ("content_filter", "refusal"),
    ],
)
def test_reason_to_stop_is_the_one_of_messages(finish: str, stop: str) -> None:
    assert translated(finish=finish)["stop_reason"] == stop


def test_stop_with_a_call_of_a_tool_is_tool_use() -> None:
    assert translated(tool_calls=[call()], finish="stop")["stop_reason"] == "tool_use"


@pytest.mark.parametrize("finish", ["error", "of_next_year", None, 7])
def test_response_that_did_not_end_normally_is_an_error(finish: Any) -> None:
    with pytest.raises(BadResponse, match="did not end"):
        translated(finish=finish)


def test_refusal_is_a_text_and_the_reason_to_stop() -> None:
    made = translated(refusal="I cannot.", content=None)
    assert (made["content"], made["stop_reason"]) == ([{"type": "text", "text": "I cannot."}], "refusal")


@pytest.mark.parametrize(
    "document", [{}, {"choices": []}, {"choices": [7]}, {"choices": [{"message": None}]}, {"choices": "x"}]
)
def test_response_without_a_choice_is_an_error(document: Any) -> None:
    with pytest.raises(BadResponse, match="no choice"):
        response(document, context())
