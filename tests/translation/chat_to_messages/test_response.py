"""A whole response of Anthropic's messages for the SDK of OpenAI."""

from typing import Any

import pytest

from shared.translation.chat_to_messages.response import response
from shared.translation.notes import HIDE, BadResponse, Context, Settings
from tests.translation import oracles
from tests.translation.contexts import TOKEN, context

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 2},
}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome", "days": [1]}}


def translated(document: Any = None, /, _context: Context | None = None, **members: Any) -> dict[str, Any]:
    made = response({**MESSAGE, **members} if document is None else document, _context or context())
    oracles.completion(made)
    return made


def message(*blocks: Any, **members: Any) -> dict[str, Any]:
    return translated(content=list(blocks), **members)["choices"][0]["message"]


def test_message_becomes_a_completion_with_its_id_model_and_usage() -> None:
    assert translated() == {
        "id": "chatcmpl-msg_1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "claude-sonnet-5",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 13,
            "completion_tokens": 2,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
    }


def test_message_without_id_and_usage_is_a_completion_too() -> None:
    made = translated({"content": [], "model": None})
    assert made["model"] == ""
    assert (made["id"], "usage" in made) == (f"chatcmpl-{TOKEN}", False)


def test_client_gets_the_name_of_the_model_that_it_may_know() -> None:
    assert translated(_context=context(model="fast"))["model"] == "fast"


def test_texts_are_joined_and_no_text_is_null() -> None:
    two = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert message(*two)["content"] == "ab"
    assert message({"type": "text", "text": ""})["content"] == ""
    assert message(CALL)["content"] is None


def test_calls_of_tools_keep_order_ids_names_and_arguments() -> None:
    calls = message(CALL, {**CALL, "id": "toolu_2", "input": {}}, stop_reason="tool_use")["tool_calls"]
    assert [call["id"] for call in calls] == ["toolu_1", "toolu_2"]
    assert calls[0]["function"] == {"name": "weather", "arguments": '{"city":"Rome","days":[1]}'}
    assert calls[1]["function"]["arguments"] == "{}"


def test_thoughts_are_reasoning_and_never_content() -> None:
    made = message(THOUGHT, *MESSAGE["content"])
    assert (made["content"], made["reasoning_content"]) == ("Hello", "Hm.")


def test_thoughts_are_hidden_by_the_setting() -> None:
    assert "reasoning_content" not in message(THOUGHT, _context=context(settings=Settings(reasoning=HIDE)))


def test_thought_that_the_model_keeps_to_itself_is_no_reasoning() -> None:
    assert "reasoning_content" not in message({**THOUGHT, "thinking": ""})


def test_what_chat_cannot_say_is_reported() -> None:
    given = context()
    cited = {"type": "text", "text": "a", "citations": [{"type": "char_location"}]}
    blocks = [cited, {"type": "redacted_thinking", "data": "x"}, {"type": "server_tool_use"}, "?"]
    translated(_context=given, content=blocks)
    assert given.notes.dropped == ["citations", "redacted_thinking", "server_tool_use", "content"]


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
    ],
)
def test_reason_to_stop_is_the_one_of_chat(stop: str, finish: str) -> None:
    given = context()
    assert translated(_context=given, stop_reason=stop)["choices"][0]["finish_reason"] == finish
    assert given.notes.changed == []


@pytest.mark.parametrize("stop", ["of_next_year", None, ["end_turn"]])
def test_unknown_reason_to_stop_is_a_normal_end_and_is_reported(stop: Any) -> None:
    given = context()
    assert translated(_context=given, stop_reason=stop)["choices"][0]["finish_reason"] == "stop"
    assert given.notes.changed == ["stop_reason"]


def test_reason_of_a_model_not_to_respond_is_the_refusal_of_the_message() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "Not this."}
    assert message(stop_reason="refusal", stop_details=details)["refusal"] == "Not this."
    assert message(stop_reason="refusal")["refusal"] is None


@pytest.mark.parametrize(
    "document", [{}, {"content": None}, {"content": "text"}, {"type": "error", "error": {}}]
)
def test_response_that_is_no_message_is_an_error(document: Any) -> None:
    with pytest.raises(BadResponse, match="no list of content"):
        response(document, context())
