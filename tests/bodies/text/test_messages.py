"""The text that a model reads or writes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.text.messages import texts_of
from shared.providers.apis.text_fields import is_messages
from tests.support.cases import pairwise

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,SECRET"}}


@pytest.mark.parametrize(
    "document",
    [
        {"messages": [{"role": "user", "content": "needle"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "needle"}, IMAGE]}]},
        {"messages": [{"tool_calls": [{"function": {"name": "f", "arguments": '{"a":"needle"}'}}]}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "tool_result", "content": [{"text": "needle"}]}]}
            ]
        },
        {"messages": [{"content": [{"type": "document", "source": {"type": "text", "data": "needle"}}]}]},
        {"system": "needle", "messages": []},
        {"system": [{"type": "text", "text": "needle"}], "messages": []},
        {"input": "needle"},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "needle"}]}]},
        {"instructions": "needle", "input": "x"},
        {"prompt": ["x", "needle"]},
        {"choices": [{"index": 0, "message": {"role": "assistant", "content": "needle"}}]},
        {"choices": [{"index": 0, "text": "needle"}]},
        {"choices": [{"index": 0, "message": {"content": None, "refusal": "needle"}}]},
        {"output": [{"type": "message", "content": [{"type": "output_text", "text": "needle"}]}]},
        {"content": [{"type": "text", "text": "needle"}]},
        {"content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"query": ["needle"]}}]},
        {"messages": [], "tools": [{"function": {"description": "needle"}}]},
        {"messages": [], "something_new": {"deep": ["needle"]}},
        {"messages": [], "something_new": {"user": "needle", "content": [{"id": "needle"}]}},
        {"messages": [], "user": ["needle"]},
        {"messages": [{"role": {"deep": "needle"}, "content": "x"}]},
        {"messages": [], "type": "needle"},
        {"input": "x", "prompt": {"id": "p", "variables": {"user": "needle"}}},
        {"choices": [{"index": 0, "message": {"audio": {"id": "a", "transcript": "needle"}}}]},
        {"choices": [{"index": "needle", "message": {}}]},
        {"messages": [{"content": [{"type": "file", "file": {"file_data": "data:text/plain,needle"}}]}]},
        {"messages": [{"content": [{"type": "image_url", "image_url": {"text": "needle"}}]}]},
        {"messages": [], "audio": "needle"},
        {"messages": [{"tool_calls": [{"function": {"name": "f", "arguments": {"role": "needle"}}}]}]},
        # The arguments of a tool are read with its escapes undone.
        {"messages": [{"tool_calls": [{"function": {"arguments": r'{"a":"n\u0065edle"}'}}]}]},
        {"choices": [{"message": {"function_call": {"arguments": r'{"a":"n\u0065edle"}'}}}]},
        {"output": [{"type": "function_call", "arguments": r'"n\u0065edle"'}]},
        {"content": [{"type": "tool_use", "input": {"id": "needle"}}]},
        {"input": [{"type": "local_shell_call", "action": {"needle": 1}}]},
        {"output": [{"type": "local_shell_call", "action": {"env": {"needle": "x"}}}]},
    ],
)
def test_text_is_found_wherever_the_apis_put_it(document: dict[str, Any]) -> None:
    assert is_messages(document)
    assert "needle" in " ".join(texts_of(document))


@pytest.mark.parametrize(
    "document",
    [
        {"model": "needle", "messages": [{"role": "user", "content": "x"}]},
        {
            "messages": [
                {"content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,needle"}}]}
            ]
        },
        {"messages": [{"content": [{"type": "image", "source": {"type": "base64", "data": "needle"}}]}]},
        {"id": "needle", "choices": [{"finish_reason": "needle", "message": {"content": "x"}}]},
        {"choices": [{"text": "nee"}, {"text": "dle"}]},
    ],
)
def test_labels_and_media_are_no_text(document: dict[str, Any]) -> None:
    assert "needle" not in " ".join(texts_of(document))


NAMES = (
    *("user", "id", "status", "detail", "model", "type", "role", "index", "audio", "file_id", "logprobs"),
    "input",
)


AROUND = [
    lambda schema: {"messages": [], "tools": [{"type": "function", "function": {"parameters": schema}}]},
    lambda schema: {"input": "x", "tools": [{"type": "function", "name": "f", "parameters": schema}]},
    lambda schema: {"messages": [], "tools": [{"name": "f", "input_schema": schema}]},
    lambda schema: {"messages": [], "response_format": {"json_schema": {"name": "x", "schema": schema}}},
    lambda schema: {"input": "x", "text": {"format": {"type": "json_schema", "schema": schema}}},
]
PARTS = [{"type": "string", "description": "needle"}, {"enum": ["needle"]}, "needle"]


@pytest.mark.parametrize(
    ("around", "name", "part"), pairwise(AROUND, [*NAMES, "arguments", "source", "properties", "city"], PARTS)
)
def test_schema_is_read_with_any_property_name(around: Any, name: str, part: Any) -> None:
    assert "needle" in " ".join(texts_of(around({"type": "object", "properties": {name: part}})))
    assert "needle" in " ".join(texts_of(around({"type": "object", "properties": {"needle": part}})))
    assert name in list(texts_of(around({"type": "object", "properties": {name: part}})))


def test_a_body_is_not_taken_for_a_known_one_because_it_has_an_empty_content() -> None:
    for more in ({"user": "needle"}, {"id": "needle"}, {"detail": "needle"}, {"model": {"a": "needle"}}):
        assert "needle" in list(texts_of({"content": [], **more}))
    assert "needle" not in list(
        texts_of({"content": [], "type": "message", "role": "assistant", "id": "needle"})
    )
    assert "needle" in list(texts_of({"content": [], "type": "message", "user": "needle"}))


@pytest.mark.parametrize("kind", [{"a": 1}, [], None, 1])
def test_part_whose_type_is_no_text_has_texts_too(kind: Any) -> None:
    body = {"messages": [{"role": "user", "content": [{"type": kind, "data": "aGVsbG8="}]}]}
    assert "aGVsbG8=" in list(texts_of(body))


def test_a_word_in_two_parts_is_seen_whole() -> None:
    parts = [{"type": "text", "text": "nee"}, {"type": "text", "text": "dle"}]
    assert "needle" in list(texts_of({"messages": [{"role": "user", "content": parts}]}))


def test_texts_of_a_document_without_messages_are_all_its_strings() -> None:
    assert not is_messages({"query": "x"})
    assert set(texts_of({"model": "a", "deep": [{"b": "c"}, 1, None]})) == {"model", "a", "deep", "b", "c"}


@given(
    st.recursive(
        st.text(max_size=5), lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x)
    )
)
def test_no_string_of_an_unknown_document_is_missed(document: Any) -> None:
    if not is_messages(document):
        texts = set(texts_of(document))
        assert all(string in texts for string in _strings(document))


def _strings(node: Any) -> list[str]:
    if isinstance(node, str):
        return [node]
    nodes = [*node, *node.values()] if isinstance(node, dict) else node
    return [string for child in nodes for string in _strings(child)]


@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "role"]),
        st.recursive(
            st.sampled_from(["x", "y z", ""]) | st.integers() | st.none() | st.booleans(),
            lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(["c", "d"]), x),
            max_leaves=6,
        ),
    )
)
def test_a_tools_input_reads_as_it_is_streamed(given_input: dict[str, Any]) -> None:
    assert list(texts_of({"content": [{"type": "tool_use", "input": given_input}]})) == [
        json.dumps(given_input)
    ]


def test_padding_is_no_text() -> None:
    assert list(texts_of({"choices": [], "obfuscation": "needle"})) == []
