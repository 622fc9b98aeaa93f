"""Clients of Anthropic's messages with upstreams of OpenAI's responses, and the reverse: through chat."""

from typing import Any

import pytest

from shared.providers.calls import ANTHROPIC_MESSAGES, OPENAI_RESPONSES
from shared.translation.framing import DONE
from shared.translation.notes import REJECT, Settings, Untranslatable
from shared.translation.pairs import TRANSLATIONS
from tests.translation import oracles
from tests.translation.contexts import context
from tests.translation.response_streams import read_events
from tests.translation.streams import read_messages, run

TO_RESPONSES = TRANSLATIONS[ANTHROPIC_MESSAGES, OPENAI_RESPONSES]
TO_MESSAGES = TRANSLATIONS[OPENAI_RESPONSES, ANTHROPIC_MESSAGES]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}
TOOL = {"name": "weather", "input_schema": SCHEMA, "strict": True}
CALLS = [("call_1", {"city": "Rome"}), ("call_2", {"city": "Oslo"})]


def call_items() -> list[Any]:
    arguments = ['{"city":"Rome"}', '{"city":"Oslo"}']
    return [
        {"type": "function_call", "call_id": id_, "name": "weather", "arguments": text}
        for (id_, _), text in zip(CALLS, arguments, strict=True)
    ]


def call_blocks() -> list[Any]:
    return [{"type": "tool_use", "id": id_, "name": "weather", "input": given} for id_, given in CALLS]


#: The same two turns with two parallel calls, in both APIs.
INPUT = [
    {"type": "message", "role": "user", "content": "How is it?"},
    *call_items(),
    {"type": "function_call_output", "call_id": "call_1", "output": "Sunny."},
    {"type": "function_call_output", "call_id": "call_2", "output": "Rain."},
]
MESSAGES = [
    {"role": "user", "content": [{"type": "text", "text": "How is it?"}]},
    {"role": "assistant", "content": call_blocks()},
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "Sunny."},
            {"type": "tool_result", "tool_use_id": "call_2", "content": "Rain."},
        ],
    },
]


def test_request_for_responses_reaches_anthropic() -> None:
    given = {
        "model": "claude-sonnet-5",
        "instructions": "Be brief.",
        "input": INPUT,
        "tools": [FUNCTION],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_output_tokens": 5000,
        "reasoning": {"effort": "none"},
        "stream": True,
        "store": False,
    }
    made, notes = TO_MESSAGES.request(given, {"thinking": "adaptive", "efforts": ["low"]}, Settings())
    oracles.messages_request(made)
    assert made == {
        "model": "claude-sonnet-5",
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": MESSAGES,
        "tools": [TOOL],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "max_tokens": 5000,
        "thinking": {"type": "disabled"},
        "stream": True,
    }
    assert (notes.include_usage, notes.dropped, notes.changed) == (True, [], [])
    assert notes.repeated["tools"] == [FUNCTION]


def test_request_for_messages_reaches_responses() -> None:
    given = {
        "model": "gpt-6",
        "system": "Be brief.",
        "messages": MESSAGES,
        "tools": [{"type": "custom", **TOOL}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "max_tokens": 5000,
        "output_config": {"effort": "max"},
        "stream": True,
    }
    made, notes = TO_RESPONSES.request(given, {"efforts": ["low", "max"], "stream_usage": False}, Settings())
    oracles.responses_request(made)
    assert made == {
        "model": "gpt-6",
        "instructions": "Be brief.",
        "input": [{**INPUT[0], "content": [{"type": "input_text", "text": "How is it?"}]}, *INPUT[1:]],
        "tools": [FUNCTION],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_output_tokens": 5000,
        "reasoning": {"effort": "max"},
        "stream": True,
        "store": False,
    }
    assert (notes.include_usage, notes.dropped, notes.changed) == (True, [], [])


def test_rejection_of_the_second_translation_points_into_the_clients_request() -> None:
    given = {"model": "m", "input": "Hi", "tools": [{**FUNCTION, "name": "no name"}]}
    with pytest.raises(Untranslatable) as caught:
        TO_MESSAGES.request(given, {}, Settings())
    assert caught.value.pointer == "/tools"
    given = {"model": "m", "input": [{"role": "user", "content": ""}, {"role": "assistant", "content": "x"}]}
    with pytest.raises(Untranslatable) as caught:
        TO_MESSAGES.request(given, {"prefill": False}, Settings(unsupported=REJECT))
    assert caught.value.pointer == ""
    with pytest.raises(Untranslatable) as caught:
        TO_MESSAGES.request({"model": "m", "input": "Hi", "store": True}, {}, Settings())
    assert caught.value.pointer == "/store"


#: The same response in both APIs.
OUTPUT = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt-6",
    "status": "completed",
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
        },
        *[{**item, "id": f"fc_{item['call_id']}", "status": "completed"} for item in call_items()],
    ],
    "usage": {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 5},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 39,
    },
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
MESSAGE = {
    "id": "msg_resp_1",
    "type": "message",
    "role": "assistant",
    "model": "gpt-6",
    "content": [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "I look."},
        *call_blocks(),
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 5,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 20,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 4},
    },
}


@pytest.mark.parametrize("kind", ["openai", "xai"])
def test_response_reaches_a_client_of_messages_with_its_usage(kind: str) -> None:
    # Only the first translation reads usage in the way of the provider.
    given = context(settings=Settings(kind=kind))
    assert TO_RESPONSES.response(OUTPUT, given) == MESSAGE


def test_message_reaches_a_client_of_responses_with_its_usage() -> None:
    made = TO_MESSAGES.response(MESSAGE, context())
    oracles.response(made)
    assert (made["id"], made["status"], made["usage"]) == ("resp_msg_resp_1", "completed", OUTPUT["usage"])
    assert [plain(item) for item in made["output"]] == [plain(item) for item in OUTPUT["output"]]


def plain(item: Any) -> Any:
    """An item without its id."""
    parts = [part["text"] for name in ("content", "summary") for part in item.get(name, ())]
    return item["type"], parts, item.get("call_id"), item.get("arguments")


def message_events(stop: str = "tool_use") -> list[Any]:
    start = {**MESSAGE, "content": [], "stop_reason": None}
    events: list[Any] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(MESSAGE["content"]):
        kind = block["type"]
        text = {
            "thinking": {"type": "thinking_delta", "thinking": "Hm."},
            "text": {"type": "text_delta", "text": "I look."},
        }.get(kind, {"type": "input_json_delta", "partial_json": str(block.get("input")).replace("'", '"')})
        empty = {"input": {}} if kind == "tool_use" else {kind: ""}
        events += [
            {"type": "content_block_start", "index": index, "content_block": {**block, **empty}},
            {"type": "content_block_delta", "index": index, "delta": text},
            {"type": "content_block_stop", "index": index},
        ]
    delta = {"stop_reason": stop, "stop_sequence": None}
    return [
        *events,
        {"type": "message_delta", "delta": delta, "usage": MESSAGE["usage"]},
        {"type": "message_stop"},
    ]


def with_usage() -> Any:
    made = context()
    made.notes.include_usage = True
    return made


@pytest.mark.parametrize(
    ("stop", "status"), [("tool_use", "completed"), ("max_tokens", "incomplete"), ("refusal", "incomplete")]
)
def test_stream_of_messages_reaches_a_client_of_responses(stop: str, status: str) -> None:
    made = read_events(run(TO_MESSAGES.events(with_usage()), message_events(stop)))
    assert (made["status"], made["usage"]) == (status, OUTPUT["usage"])
    assert [item["type"] for item in made["output"]] == [item["type"] for item in OUTPUT["output"]]
    assert made["output"][2]["arguments"] == '{"city": "Rome"}'


def test_stream_of_responses_reaches_a_client_of_messages() -> None:
    events = run(TO_MESSAGES.events(with_usage()), message_events())
    made = read_messages(run(TO_RESPONSES.events(with_usage()), events))
    assert (made["content"], made["stop_reason"]) == (MESSAGE["content"], "tool_use")
    assert {name: value for name, value in made["usage"].items() if value is not None} == MESSAGE["usage"]


def test_stream_that_is_cut_off_or_fails_is_an_error_for_both_clients() -> None:
    events = message_events()
    cut = run(TO_MESSAGES.events(context()), events[:-1])
    assert read_events(cut)["status"] == "failed"
    assert run(TO_RESPONSES.events(context()), cut)[-1]["type"] == "error"
    busy = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down."}}
    failed = run(TO_MESSAGES.events(context()), [*events[:3], busy])
    assert failed[-1]["response"]["error"] == {"code": "rate_limit_exceeded", "message": "Slow down."}
    back = run(TO_RESPONSES.events(context()), failed)
    assert back[-1] == busy
    assert DONE not in back


def test_error_is_one_of_the_clients_api() -> None:
    assert TO_RESPONSES.error(503, "Busy.").document["error"]["type"] == "overloaded_error"
    assert TO_MESSAGES.error(529, "Busy.") == (503, TO_MESSAGES.error(503, "Busy.").document)
