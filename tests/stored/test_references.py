"""The names in a request of objects that its provider has stored."""

import time
from typing import Any

import pytest

from shared.stored.references import account_member, conversation_ids, stored_ids


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        ({"previous_response_id": "resp_1", "conversation": "conv_1"}, ("conv_1", "resp_1")),
        ({"conversation": {"id": "conv_1"}, "input": "hello"}, ("conv_1",)),
        ({"Previous_Response_Id": "resp_1"}, ("resp_1",)),
        ({"previous_response_id": 7}, ("7",)),
        ({"conversation": {"ID": "conv_1", "id": "conv_2"}}, ("conv_1", "conv_2")),
        ({"conversation": {}, "previous_response_id": "", "input": [1, None]}, ()),
        ({"previous_response_id": None}, ()),
        (None, ()),
    ],
)
def test_stored_response_and_conversation_are_named_by_their_ids(body: Any, ids: tuple[str, ...]) -> None:
    assert stored_ids(body) == ids


@pytest.mark.parametrize(
    ("item", "is_named"),
    [
        ({"type": "item_reference"}, True),
        ({}, True),
        ({"type": None, "role": "user"}, True),
        ({"type": "image_generation_call"}, True),
        ({"type": ["message"]}, True),
        ({"type": "reasoning", "summary": []}, True),
        ({"type": "reasoning", "encrypted_content": None}, True),
        ({"type": "reasoning", "encrypted_content": "gAAA"}, False),
        ({"type": "message", "role": "assistant", "content": "hi"}, False),
        ({"role": "assistant", "content": "hi"}, False),
        ({"type": "function_call", "arguments": "{}"}, False),
        ({"type": "message", "Type": "item_reference"}, True),
    ],
)
def test_item_without_its_content_is_named_by_its_id(item: dict[str, Any], is_named: bool) -> None:
    assert stored_ids({"input": [{**item, "id": "x_1"}]}) == (("x_1",) if is_named else ())


def test_conversation_alone_can_be_asked_for() -> None:
    assert conversation_ids({"conversation": "conv_1", "previous_response_id": "resp_1"}) == ["conv_1"]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"input": [{"content": [{"type": "input_file", "file_id": "file_1"}]}]}, "file_id"),
        ({"messages": [{"content": [{"type": "file", "file": {"file_id": "file_1"}}]}]}, "file_id"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, "vector_store_ids"),
        ({"tools": [{"type": "code_interpreter", "container": "cntr_1"}]}, "container"),
        ({"tools": [{"container": {"type": "auto", "file_ids": ["file_1"]}}]}, "file_ids"),
        ({"Container": {"Id": "container_1"}}, "container"),
        ({"messages": [{"role": "assistant", "audio": {"id": "audio_1"}}]}, "audio"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"tools": [{"container": {"type": "auto"}}], "audio": {"voice": "alloy"}}, None),
        ({"tools": [{"parameters": {"properties": {"file_id": {"default": "a"}}}}]}, None),
        ({"messages": [{"content": [{"type": "tool_use", "input": {"file_id": "a"}}]}]}, None),
        ({"metadata": {"file_id": "a"}, "file_ids": [], "file_id": ""}, None),
        ({"messages": [{"type": ["tool_use"], "content": "a file_id"}]}, None),
        ({"prompt": "text", "model": "m", "a": {"prompt": {}}}, None),
        (None, None),
    ],
)
def test_other_things_of_the_account_are_found_where_apis_have_them(body: Any, name: str | None) -> None:
    assert account_member(body) == name


def test_million_numbers_are_not_looked_through_one_by_one() -> None:
    document = {"input": [1] * 500_000 + [{"ID": "rs_1", "type": "item_reference"}]}
    began = time.process_time()
    assert stored_ids(document) == ("rs_1",)
    assert account_member(document) is None
    assert time.process_time() - began < 0.3
