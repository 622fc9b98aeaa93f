"""Calls of tools and their results in OpenAI's chat, as turns of Anthropic's messages."""

import re

import pytest

from shared.translation.notes import DROP, Settings
from tests.translation.chat_to_messages.request_messages import (
    PNG,
    call,
    calls,
    pointer_of,
    result,
    text,
)
from tests.translation.chat_to_messages.requests import USER, translate, translated


def test_call_of_a_tool_has_its_id_name_and_input() -> None:
    made = translated(
        USER, calls(call(1, '{"a": [1]}'), call(2, ""), call(3, None)), result(1), result(2), result(3)
    )
    assert made["messages"][1]["content"] == [
        {"type": "tool_use", "id": "call_1", "name": "tool_1", "input": {"a": [1]}},
        {"type": "tool_use", "id": "call_2", "name": "tool_2", "input": {}},
        {"type": "tool_use", "id": "call_3", "name": "tool_3", "input": {}},
    ]


@pytest.mark.parametrize("arguments", ['{"city": "Ro', "[1]", "7"])
def test_arguments_that_are_no_object_are_kept_as_text_and_reported(arguments: str) -> None:
    made, notes = translate(USER, calls(call(1, arguments)), result(1))
    assert made["messages"][1]["content"][0]["input"] == {"_arguments": arguments}
    assert notes.changed == ["tool_arguments"]


def test_text_comes_before_the_calls_and_a_refusal_is_text() -> None:
    made = translated(USER, calls(call(1), content="Wait.", refusal="Not that."), result(1))
    assert [block.get("text", "call") for block in made["messages"][1]["content"]] == [
        "Wait.",
        "Not that.",
        "call",
    ]
    parts = [{"type": "refusal", "refusal": "No."}]
    assert translated(USER, {"role": "assistant", "content": parts}, USER)["messages"][1]["content"] == [
        text("No.")
    ]


def test_results_of_tools_are_one_turn_in_the_order_of_the_calls_with_what_the_user_says() -> None:
    said = {"role": "user", "content": "And then?"}
    made = translated(USER, calls(call(1), call(2)), result(2, "two"), result(1, "one"), said)
    assert made["messages"][2] == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "call_1", "content": "one"},
            {"type": "tool_result", "tool_use_id": "call_2", "content": "two"},
            text("And then?"),
        ],
    }


def test_id_that_anthropic_rejects_is_another_one_in_the_call_and_its_result() -> None:
    odd = {**call(1), "id": "functions.weather:0"}
    made = translated(
        USER, calls(odd, call(2)), result(2), {**result(1), "tool_call_id": "functions.weather:0"}
    )
    [asked, _], results = made["messages"][1]["content"], made["messages"][2]["content"]
    assert re.fullmatch("[A-Za-z0-9_-]+", asked["id"])
    assert [one["tool_use_id"] for one in results] == [asked["id"], "call_2"]


def test_result_comes_before_what_the_user_said_earlier() -> None:
    made = translated(USER, calls(call(1)), USER, result(1))
    assert [block["type"] for block in made["messages"][2]["content"]] == ["tool_result", "text"]


def test_result_without_a_call_is_for_the_provider_to_judge() -> None:
    assert translated(result(9))["messages"][0]["content"][0]["tool_use_id"] == "call_9"


def test_result_in_parts_is_blocks() -> None:
    parts = [text("Look:"), {"type": "image_url", "image_url": {"url": PNG}}]
    content = translated(USER, calls(call(1)), result(1, parts))["messages"][2]["content"][0]["content"]
    assert [block["type"] for block in content] == ["text", "image"]


@pytest.mark.parametrize("blank", ["", " \n"])
def test_blank_result_is_an_empty_one(blank: str) -> None:
    assert translated(USER, calls(call(1)), result(1, blank))["messages"][2]["content"][0]["content"] == ""


def test_result_is_no_error_because_of_its_words() -> None:
    made = translated(USER, calls(call(1)), result(1, '{"error": "none"}'))
    assert "is_error" not in made["messages"][2]["content"][0]


def test_deprecated_functions_are_rejected_with_what_to_use() -> None:
    old = {"role": "function", "name": "f", "content": "x"}
    assert pointer_of(USER, old) == "/messages/1/role"
    asked = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    assert pointer_of(USER, asked) == "/messages/1/function_call"
    made, notes = translate(USER, asked, old, USER, settings=Settings(unsupported=DROP))
    assert (len(made["messages"]), notes.dropped) == (1, ["function_call", "function", "name"])


def test_call_of_a_custom_tool_is_rejected() -> None:
    custom = {"id": "call_1", "type": "custom", "custom": {"name": "a", "input": "b"}}
    assert pointer_of(USER, calls(custom)) == "/messages/1/tool_calls/0/type"
    _, notes = translate(USER, calls(custom), settings=Settings(unsupported=DROP))
    assert notes.dropped == ["tool_calls"]


def test_very_many_results_are_one_turn_in_the_order_of_the_calls() -> None:
    numbers = range(20_000)
    turns = translated(USER, calls(*map(call, numbers)), *map(result, reversed(numbers)))["messages"]
    assert [one["tool_use_id"] for one in turns[-1]["content"]] == [f"call_{number}" for number in numbers]


def test_message_of_the_model_that_says_nothing_leaves_the_results_in_their_order() -> None:
    silent = {"role": "assistant", "content": " "}
    turns = translated(USER, calls(call(1), call(2)), result(2), silent, result(1))["messages"]
    assert [one["tool_use_id"] for one in turns[-1]["content"]] == ["call_1", "call_2"]
