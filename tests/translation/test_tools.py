"""Ids, names and arguments of the calls of tools."""

from typing import Any

import pytest

from shared.translation.tools import (
    NAME,
    ToolIds,
    arguments_of,
    chat_id,
    input_of,
    messages_id,
    short_name,
)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"a": [1]}', {"a": [1]}),
        ('{"n": 1180591620717411303424}', {"n": 2**70}),
        ("", {}),
        (" \n", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ("[1]", None),
        ('{"a": 1', None),
        ('{"a": 1, "a": 2}', None),
        ("\ud83d", None),
        (7, None),
    ],
)
def test_arguments_are_an_object_or_none_at_all(arguments: Any, expected: Any) -> None:
    assert input_of(arguments) == expected


def test_input_of_a_tool_is_compact_json() -> None:
    assert arguments_of({"a": [1, 2**70], "é": None}) == '{"a":[1,1180591620717411303424],"é":null}'
    assert arguments_of(None) == "{}"


def test_long_names_of_tools_stay_different_and_are_allowed() -> None:
    first, second = [short_name("mcp__server__" + "x" * 60 + end) for end in "ab"]
    assert first != second
    assert first[:55] == second[:55]
    assert NAME.fullmatch(first)
    assert short_name("x" * 64) == "x" * 64


def test_id_of_a_response_leads_back_to_the_upstreams() -> None:
    assert chat_id("msg_1", "tok") == "chatcmpl-msg_1"
    assert messages_id(chat_id("msg_1", "tok"), "tok") == "msg_1"
    assert messages_id("gen-7", "tok") == "msg_gen-7"


def test_response_without_an_id_gets_one() -> None:
    assert (chat_id(None, "tok"), messages_id(None, "tok"), messages_id("", "tok")) == (
        "chatcmpl-tok",
        "msg_tok",
        "msg_tok",
    )


def test_ids_of_very_many_calls_with_one_id_differ() -> None:
    ids = ToolIds("tok")
    made = [ids.make("call") for _ in range(50_000)]
    assert len(set(made)) == len(made)
    assert (made[1], made[-1]) == ("call_2", "call_50000")


def test_id_that_was_made_for_another_call_is_not_given_again() -> None:
    ids = ToolIds("tok")
    assert [ids.make(given) for given in ("a_2", "a", "a", "a_2", "a")] == ["a_2", "a", "a_3", "a_2_2", "a_4"]
