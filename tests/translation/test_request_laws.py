"""The laws of every request: it says the same in both APIs, or is rejected."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.translation import chat_to_messages, messages_to_chat
from shared.translation.notes import UNSUPPORTED, BadResponse, Settings, Untranslatable
from tests.translation import oracles
from tests.translation.contexts import context
from tests.translation.streams import ARGUMENTS

TO_MESSAGES = messages_to_chat.TRANSLATION
TO_CHAT = chat_to_messages.TRANSLATION

WORDS = st.text(st.sampled_from('abé😀"\\'), min_size=1, max_size=8)
PNG = "data:image/png;base64,iVBORw0="
TEXT_PARTS = st.builds(lambda words: {"type": "text", "text": words}, WORDS)
PARTS = st.one_of(TEXT_PARTS, st.just({"type": "image_url", "image_url": {"url": PNG}}))
NAMES = st.text(st.sampled_from("abc_-9"), min_size=1, max_size=64)


@st.composite
def turns(draw: st.DrawFn) -> list[Any]:
    """The turn of a user and the following ones: a text, or calls of tools with their results and a text."""
    made: list[Any] = [
        {"role": "user", "content": draw(st.one_of(WORDS, st.lists(PARTS, min_size=1, max_size=3)))}
    ]
    names = draw(st.lists(NAMES, max_size=3))
    if names:
        ids = [f"call_{draw(st.integers(0, 10**9))}_{number}" for number, _ in enumerate(names)]
        calls = [
            {
                "id": id_,
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(draw(ARGUMENTS))},
            }
            for id_, name in zip(ids, names, strict=True)
        ]
        made.append({"role": "assistant", "content": draw(st.one_of(st.none(), WORDS)), "tool_calls": calls})
        made += [{"role": "tool", "tool_call_id": id_, "content": draw(WORDS)} for id_ in ids]
    return [*made, {"role": "assistant", "content": draw(WORDS)}]


FUNCTIONS = st.builds(
    lambda name, **more: {"type": "function", "function": {"name": name, **more}},
    NAMES,
    description=WORDS,
    parameters=st.just({"type": "object", "properties": {"a": {"type": "string"}}}),
    strict=st.booleans(),
)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": st.integers(16, 10**6),  # OpenAI's responses take no less
    "temperature": st.sampled_from([0, 0.5, 1]),
    "stop": st.lists(WORDS, min_size=1, max_size=4),
    "tools": st.lists(FUNCTIONS, min_size=1, max_size=3),
    "tool_choice": st.sampled_from(["auto", "required", "none"]),
    "parallel_tool_calls": st.just(False),
    "stream": st.just(True),
}


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    system = draw(st.lists(st.builds(lambda words: {"role": "system", "content": words}, WORDS), max_size=1))
    said = [message for turn in draw(st.lists(turns(), max_size=3)) for message in turn]
    members = draw(st.fixed_dictionaries({}, optional=MEMBERS))
    if members.get("tool_choice") == "none":
        members.pop("parallel_tool_calls", None)  # they say nothing together
    last = {"role": "user", "content": draw(WORDS)}
    return {"model": "m", "max_tokens": 99, "messages": [*system, *said, last], **members}


def plain(document: dict[str, Any]) -> list[Any]:
    """The messages of a request: who says what, without how it is divided."""
    said: list[Any] = []
    for message in document["messages"]:
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        text = "".join([part["text"].replace("\n\n", "") for part in parts if part["type"] == "text"])
        pictures = [part["image_url"] for part in parts if part["type"] == "image_url"]
        calls = [
            (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
            for call in message.get("tool_calls", ())
        ]
        said.append([message["role"], message.get("tool_call_id"), text, pictures, calls])
    return said


@given(requests())
def test_request_comes_back_as_it_was(document: dict[str, Any]) -> None:
    there, notes = TO_CHAT.request(document, {}, Settings())
    oracles.messages_request(there)
    back, others = TO_MESSAGES.request(there, {}, Settings())
    oracles.chat_request(back)
    assert (notes.dropped, notes.changed, others.dropped, others.changed) == ([], [], [], [])
    assert plain(back) == plain(document)
    names = MEMBERS if "tools" in document else set(MEMBERS) - {"tool_choice", "parallel_tool_calls"}
    expected = {name: document[name] for name in names if name in document}
    if expected.get("parallel_tool_calls") is False:
        expected.setdefault("tool_choice", "auto")
    assert {name: back[name] for name in MEMBERS if name in back} == expected


# fmt: off
TYPES = [
    "text", "image_url", "file", "input_audio", "refusal", "function", "custom", "allowed_tools", "json_schema",
    "json_object", "tool_use", "tool_result", "image", "document", "thinking", "redacted_thinking", "base64",
    "url", "content", "search_result", "tool", "any", "auto", "none", "enabled", "adaptive", "disabled",
    "message_start", "message_delta", "message_stop", "content_block_start", "content_block_delta",
    "content_block_stop", "ping", "error", "text_delta", "thinking_delta", "input_json_delta", "stop", "length",
    "end_turn",
]
KEYS = [
    "type", "role", "content", "text", "image_url", "url", "detail", "file", "file_data", "file_id", "filename",
    "tool_calls", "tool_call_id", "id", "function", "name", "arguments", "refusal", "reasoning_content",
    "thinking_blocks", "reasoning_details", "signature", "thinking", "data", "source", "media_type",
    "tool_use_id", "input", "is_error", "title", "schema", "json_schema", "mode", "tools", "allowed_tools",
    "ttl", "cache_control", "format", "effort", "budget_tokens", "user_id", "include_usage", "message", "delta",
    "index", "choices", "finish_reason", "stop_reason", "usage", "error", "code", "content_block",
    "partial_json", "citations", "prompt_tokens", "output_tokens", "input_tokens", "stop_details",
    "explanation",
]
# fmt: on
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-1, 9),
    st.floats(0, 2),
    st.sampled_from([*TYPES, *ROLES, PNG, "", " ", "{}"]),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=12,
)
MESSAGES = st.builds(
    lambda message, role, content: {**message, "role": role, "content": content},
    st.dictionaries(st.sampled_from(KEYS), JSON, max_size=3),
    st.sampled_from(ROLES),
    JSON,
)
SETTINGS = st.builds(Settings, unsupported=st.sampled_from(UNSUPPORTED))


@pytest.mark.parametrize("pair", [chat_to_messages, messages_to_chat])
@given(st.data())
def test_request_of_any_form_is_translated_or_rejected(pair: Any, data: st.DataObject) -> None:
    names = [*pair.TABLES["member of a request"], "unknown"]
    members = data.draw(st.dictionaries(st.sampled_from(names), JSON, max_size=4))
    document = {**members, "messages": data.draw(st.one_of(JSON, st.lists(MESSAGES, max_size=3)))}
    try:
        made, notes = pair.TRANSLATION.request(document, {}, data.draw(SETTINGS))
    except Untranslatable as error:
        assert error.pointer.startswith("/")
    else:
        json.dumps(made)
        notes.header("x").encode("ascii")


@pytest.mark.parametrize("translation", [TO_CHAT, TO_MESSAGES], ids=["chat", "messages"])
@given(st.dictionaries(st.sampled_from(KEYS), JSON), st.integers(400, 599))
def test_response_of_any_form_is_translated_or_an_error(translation: Any, document: Any, status: int) -> None:
    assert translation.error(status, document).document["error"]["message"]
    with suppress(BadResponse):
        translation.response(document, context())


@pytest.mark.parametrize("translation", [TO_CHAT, TO_MESSAGES], ids=["chat", "messages"])
@given(st.data())
def test_stream_of_any_form_is_translated_or_an_error(translation: Any, data: st.DataObject) -> None:
    choice = st.builds(lambda delta, finish: {"delta": delta, "finish_reason": finish}, JSON, SCALARS)
    chunk = st.builds(
        lambda choices, more: {**more, "choices": choices}, st.lists(choice, max_size=2), st.just({})
    )
    event = st.builds(
        lambda kind, more: {**more, "type": kind},
        st.sampled_from(TYPES),
        st.dictionaries(st.sampled_from(KEYS), JSON),
    )
    events = translation.events(context())
    for one in data.draw(st.lists(st.one_of(JSON, chunk, event), max_size=6)):
        events.feed(one)
    events.end()
    assert events.feed({"type": "ping"}) == events.end() == []
