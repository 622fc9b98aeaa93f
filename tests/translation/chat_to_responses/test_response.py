"""A whole response of OpenAI's responses for clients of OpenAI's chat."""

from typing import Any

import pytest

from shared.translation.chat_to_responses.response import response
from shared.translation.notes import HIDE, BadResponse, Context, Settings
from tests.translation import oracles
from tests.translation.contexts import TOKEN, context

TEXT = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 14,
}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": '{"a":1}'}
CUSTOM = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "call_2", "name": "patch", "input": "***"}


def said(*parts: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": list(parts),
    }


def translated(
    *items: Any, _context: Context | None = None, status: Any = "completed", **members: Any
) -> dict[str, Any]:
    document = {"id": "resp_1", "model": "gpt-6", "status": status, "output": list(items), "usage": USAGE}
    made = response({**document, **members}, _context or context())
    oracles.completion(made)
    return made


def message(*items: Any, **given: Any) -> Any:
    return translated(*items, **given)["choices"][0]["message"]


def finish(*items: Any, **given: Any) -> Any:
    return translated(*items, **given)["choices"][0]["finish_reason"]


def test_response_becomes_a_completion_with_its_id_model_and_usage() -> None:
    assert translated(said(TEXT)) == {
        "id": "chatcmpl-resp_1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "gpt-6",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 9,
            "completion_tokens": 5,
            "total_tokens": 14,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    }


def test_response_without_id_and_usage_is_a_completion_too() -> None:
    made = translated(id=None, usage=None, _context=context(model="fast"))
    assert (made["id"], made["model"], "usage" in made) == (f"chatcmpl-{TOKEN}", "fast", False)


def test_texts_of_all_messages_are_one_text() -> None:
    declined = {"type": "refusal", "refusal": "No."}
    found = message(said(TEXT, TEXT), said(TEXT, declined))
    assert (found["content"], found["refusal"]) == ("HelloHelloHello", "No.")
    assert message()["content"] is None


def test_calls_of_functions_and_custom_tools_are_calls() -> None:
    assert message(CALL, CUSTOM)["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"a":1}'}},
        {"id": "call_2", "type": "custom", "custom": {"name": "patch", "input": "***"}},
    ]
    assert finish(CALL) == "tool_calls"
    bare = message({"type": "function_call"})["tool_calls"][0]
    assert bare == {
        "id": f"call_{TOKEN[:24]}",
        "type": "function",
        "function": {"name": "", "arguments": ""},
    }


def test_thoughts_are_reasoning() -> None:
    summary = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]
    thought = {"type": "reasoning", "id": "rs_1", "summary": summary}
    full = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "c"}, {}]}
    assert message(thought, full, said(TEXT))["reasoning_content"] == "a\n\nb\n\nc"
    assert "reasoning_content" not in message({"type": "reasoning", "summary": [], "encrypted_content": "x"})
    assert "reasoning_content" not in message(thought, _context=context(settings=Settings(reasoning=HIDE)))


def test_citations_and_probabilities_stay_with_the_text() -> None:
    cited = {"start_index": 0, "end_index": 2, "title": "A", "url": "https://a.example"}
    token = {"token": "He", "bytes": [72, 101], "logprob": -0.5, "top_logprobs": []}
    annotations = [{"type": "url_citation", **cited}, {"type": "file_path", "file_id": "f", "index": 0}]
    given = context()
    made = translated(said({**TEXT, "annotations": annotations, "logprobs": [token]}), _context=given)
    choice = made["choices"][0]
    assert choice["message"]["annotations"] == [{"type": "url_citation", "url_citation": cited}]
    assert choice["logprobs"] == {"content": [token], "refusal": None}
    assert given.notes.dropped == ["annotations"]


def test_what_chat_cannot_say_is_reported() -> None:
    given = context()
    translated({"type": "web_search_call"}, said({"type": "x"}), 7, {}, _context=given)
    assert given.notes.dropped == ["web_search_call", "content", "None"]


@pytest.mark.parametrize(
    ("details", "expected", "changed"),
    [
        ({"reason": "max_output_tokens"}, "length", []),
        ({"reason": "content_filter"}, "content_filter", []),
        ({"reason": "steered"}, "stop", ["incomplete_details"]),
        (None, "stop", ["incomplete_details"]),
        ({"reason": 7}, "stop", ["incomplete_details"]),
    ],
)
def test_incomplete_response_has_the_reason_of_chat(details: Any, expected: str, changed: Any) -> None:
    given = context()
    assert finish(said(TEXT), status="incomplete", incomplete_details=details, _context=given) == expected
    assert given.notes.changed == changed


@pytest.mark.parametrize("status", ["failed", "cancelled", "queued", "in_progress", None, 7])
def test_response_that_did_not_end_normally_is_an_error(status: Any) -> None:
    with pytest.raises(BadResponse, match="did not end"):
        translated(said(TEXT), status=status)


@pytest.mark.parametrize("document", [{}, {"output": None}, {"output": "text"}])
def test_response_without_output_is_an_error(document: Any) -> None:
    with pytest.raises(BadResponse, match="no list of output"):
        response(document, context())
