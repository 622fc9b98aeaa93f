"""The errors of other gateways in a translation, each promised here."""

from typing import Any

import pytest

from shared.translation import chat_to_messages, messages_to_chat
from shared.translation.framing import DONE
from shared.translation.notes import Settings, Untranslatable
from tests.translation.contexts import context
from tests.translation.streams import call_chunk, chunk, read_chunks, read_messages, run

TO_MESSAGES = messages_to_chat.TRANSLATION
TO_CHAT = chat_to_messages.TRANSLATION
USER = {"role": "user", "content": "Hi"}
START = {"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 9}}}
USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 4},
}
LAST = {**chunk({}), "choices": [], "usage": USAGE}
CALL = {"id": "call_0", "type": "function", "name": "weather"}


def for_messages(*chunks: Any) -> Any:
    """The message that a client of Anthropic reads."""
    return read_messages(run(TO_MESSAGES.events(context()), [*chunks, DONE]))


def to_messages(*messages: Any, **members: Any) -> Any:
    """The request that Anthropic gets."""
    return TO_CHAT.request({"model": "m", "messages": [USER, *messages], **members}, {}, Settings())[0]


def to_chat(*messages: Any, **members: Any) -> Any:
    """The request that a server with OpenAI's chat gets."""
    return TO_MESSAGES.request({"model": "m", "messages": [USER, *messages], **members}, {}, Settings())[0]


def test_request_without_max_tokens_is_not_sent_with_0() -> None:
    assert to_messages()["max_tokens"] > 0


def test_call_with_broken_arguments_neither_fails_the_request_nor_loses_them() -> None:
    call = {"id": "call_0", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Ro'}}
    result = {"role": "tool", "tool_call_id": "call_0", "content": "Sun"}
    made = to_messages({"role": "assistant", "tool_calls": [call]}, result)
    assert made["messages"][1]["content"][0]["input"] == {"_arguments": '{"city": "Ro'}


def test_results_of_parallel_calls_are_one_message() -> None:
    calls = [{"id": id_, "type": "function", "function": {"name": "a", "arguments": "{}"}} for id_ in "xy"]
    results = [{"role": "tool", "tool_call_id": id_, "content": "done"} for id_ in "xy"]
    made = to_messages({"role": "assistant", "tool_calls": calls}, *results)
    assert [len(turn["content"]) for turn in made["messages"]] == [1, 2, 2]


def test_result_with_a_member_error_is_no_error() -> None:
    assert "is_error" not in str(
        to_messages({"role": "tool", "tool_call_id": "x", "content": '{"error": null}'})
    )


def test_thought_without_a_signature_is_not_sent_to_anthropic() -> None:
    made = to_messages({"role": "assistant", "content": "Hello", "reasoning_content": "Hm."}, USER)
    assert "Hm." not in str(made)


def test_message_that_a_model_cannot_continue_is_rejected_before_the_upstream_does() -> None:
    document = {"model": "m", "messages": [USER, {"role": "assistant", "content": "The"}]}
    with pytest.raises(Untranslatable, match="End with a user or tool message"):
        TO_CHAT.request(document, {"prefill": False}, Settings())


def test_type_of_a_tool_is_not_the_type_of_its_schema() -> None:
    tool = {"type": "custom", "name": "a", "input_schema": {"type": "object", "properties": {}}}
    assert to_chat(tools=[tool])["tools"][0]["function"]["parameters"]["type"] == "object"


def test_picture_in_the_result_of_a_tool_is_not_lost() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}}
    result = {"type": "tool_result", "tool_use_id": "x", "content": [picture]}
    made = to_chat({"role": "user", "content": [result]})["messages"]
    assert made[-1]["role"] == "user"
    assert made[-1]["content"][1]["image_url"]["url"] == "data:image/png;base64,iVBORw0="


@pytest.mark.parametrize("is_text", [True, False])
def test_billing_header_of_claude_code_does_not_break_the_caches(is_text: bool) -> None:
    words = "x-anthropic-billing-header: cc_version=2.1.2; cch=a1b2c"
    system = words if is_text else [{"type": "text", "text": words}, {"type": "text", "text": "Be brief."}]
    roles = [] if is_text else [{"role": "system", "content": "Be brief."}]
    assert to_chat(system=system)["messages"] == [*roles, USER]


def test_thoughts_are_no_content_and_no_empty_content() -> None:
    thought = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": "Hm."},
    }
    [made] = TO_CHAT.events(context()).feed(thought)
    assert made["choices"][0]["delta"] == {"reasoning_content": "Hm."}


def test_full_context_is_a_reason_to_stop_and_no_failure() -> None:
    end = {"type": "message_delta", "delta": {"stop_reason": "model_context_window_exceeded"}}
    made = read_chunks(run(TO_CHAT.events(context()), [START, end, {"type": "message_stop"}]))
    assert made["choices"][0]["finish_reason"] == "length"


def test_response_that_ended_with_an_error_is_not_complete() -> None:
    assert for_messages(chunk({"content": "Hi"}), chunk({}, "error"))["type"] == "error"


def test_prompt_of_chat_includes_the_cache() -> None:
    usage = {
        "input_tokens": 9,
        "cache_read_input_tokens": 4,
        "cache_creation_input_tokens": 2,
        "output_tokens": 1,
    }
    made = TO_CHAT.response({"content": [], "stop_reason": "end_turn", "usage": usage}, context())
    assert made["usage"]["prompt_tokens"] == 15


def test_stream_that_was_cut_has_no_done() -> None:
    assert DONE not in run(TO_CHAT.events(context()), [START])


def test_second_tool_has_the_index_1_whatever_its_block_is() -> None:
    events = TO_CHAT.events(context())
    made = [
        one
        for index in (1, 3)
        for one in events.feed(
            {
                "type": "content_block_start",
                "index": index,
                "content_block": {"type": "tool_use", "id": f"toolu_{index}", "name": "a", "input": {}},
            }
        )
    ]
    assert [one["choices"][0]["delta"]["tool_calls"][0]["index"] for one in made] == [0, 1]


@pytest.mark.parametrize(
    "calls", [[], None, [{}], [{"index": 0}], [{"index": 0, "id": None, "function": {}}]]
)
def test_empty_calls_beside_a_text_are_none(calls: Any) -> None:
    made = for_messages(
        *[chunk({"content": piece, "tool_calls": calls}) for piece in "ab"], chunk({}, "stop")
    )
    assert (made["content"], made["stop_reason"]) == ([{"type": "text", "text": "ab"}], "end_turn")


def test_text_and_calls_in_one_chunk_are_both_there() -> None:
    made = for_messages(
        chunk({"content": "Hi", "tool_calls": [call_chunk(0, "{}", **CALL)]}), chunk({}, "tool_calls")
    )
    assert [block["type"] for block in made["content"]] == ["text", "tool_use"]


def test_arguments_in_the_chunk_that_begins_a_call_are_not_lost() -> None:
    made = for_messages(
        chunk({"tool_calls": [call_chunk(0, '{"city": "Rome"}', **CALL)]}), chunk({}, "tool_calls")
    )
    assert made["content"][0]["input"] == {"city": "Rome"}


def test_text_beside_a_thought_is_not_lost() -> None:
    made = for_messages(chunk({"reasoning_content": "Hm.", "content": "Hi"}), chunk({}, "stop"))
    assert [block["type"] for block in made["content"]] == ["thinking", "text"]


def test_usage_after_the_reason_to_stop_is_not_lost() -> None:
    made = for_messages(chunk({"content": "Hi"}), chunk({}, "stop"), LAST)
    assert (made["usage"]["output_tokens"], made["usage"]["cache_read_input_tokens"]) == (5, 4)


def test_overloaded_provider_is_no_bad_request() -> None:
    assert TO_CHAT.error(529, {"error": {"message": "x"}}).document["error"]["type"] == "server_error"
    assert TO_MESSAGES.error(503, {"error": {"message": "x"}}).document["error"]["type"] == "overloaded_error"


def test_first_chunk_of_azures_filter_is_no_end() -> None:
    filters = {"id": "", "choices": [], "model": "", "prompt_filter_results": [{"prompt_index": 0}]}
    assert for_messages(filters, chunk({"content": "Hi"}), chunk({}, "stop"))["content"][0]["text"] == "Hi"


def test_call_of_ollama_that_stops_is_a_call() -> None:
    made = for_messages(chunk({"tool_calls": [call_chunk(0, "{}", **CALL)]}), chunk({}, "stop"))
    assert made["stop_reason"] == "tool_use"
