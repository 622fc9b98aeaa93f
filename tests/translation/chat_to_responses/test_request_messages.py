"""The messages of OpenAI's chat as items of OpenAI's responses."""

from typing import Any

import pytest

from shared.translation.notes import DROP, REJECT, Settings
from tests.translation.chat_to_responses.requests import ITEM, USER, pointer_of, translate, translated

CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"a":1}'}}
CUSTOM = {"id": "call_2", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
IMAGE = "data:image/png;base64,iVBO"
FILE = "data:application/pdf;base64,JVBE"


def items(*messages: Any, **given: Any) -> Any:
    return translated(*messages, **given)["input"]


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def text(words: str = "Hi", **members: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **members}


@pytest.mark.parametrize("role", ["system", "developer"])
def test_first_instructions_are_a_member_and_later_ones_are_items(role: str) -> None:
    first, later = {"role": role, "content": "Be brief."}, {"role": role, "content": "Be polite."}
    made = translated(first, USER, later)
    assert made["instructions"] == "Be brief."
    assert made["input"] == [ITEM, {"type": "message", **later}]
    parts = {"role": role, "content": [text("a"), text("b")]}
    assert translated(parts, USER)["instructions"] == "a\n\nb"
    marked = text("a", prompt_cache_breakpoint={"mode": "explicit"})
    found = translated({"role": role, "content": [marked]}, USER)
    assert ("instructions" in found, found["input"][0]["content"][0]["text"]) == (False, "a")
    assert pointer_of({"role": role, "content": 7}, USER) == "/messages/0/content"


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"type": "image_url", "image_url": {"url": IMAGE}},
            {"type": "input_image", "image_url": IMAGE, "detail": "auto"},
        ),
        (
            {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}},
            {"type": "input_image", "image_url": IMAGE, "detail": "low"},
        ),
        (
            {"type": "file", "file": {"file_data": FILE, "filename": "a.pdf"}},
            {"type": "input_file", "file_data": FILE, "filename": "a.pdf"},
        ),
    ],
)
def test_pictures_and_files_are_parts(part: Any, expected: Any) -> None:
    assert items(user(text(), part))[0]["content"] == [{"type": "input_text", "text": "Hi"}, expected]


def test_mark_of_the_cache_stays_on_its_part() -> None:
    mark = {"mode": "explicit"}
    found = items(user(text(prompt_cache_breakpoint=mark)))[0]["content"]
    assert found == [{"type": "input_text", "text": "Hi", "prompt_cache_breakpoint": mark}]


@pytest.mark.parametrize(
    ("part", "where", "name"),
    [
        ({"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}, "", "input_audio"),
        ({"type": "of_next_year"}, "/type", "content"),
    ],
)
def test_part_that_the_api_lacks_is_rejected(part: Any, where: str, name: str) -> None:
    assert pointer_of(user(part)) == f"/messages/0/content/0{where}"
    made, notes = translate(user(text(), part), settings=Settings(unsupported=DROP))
    assert (len(made["input"][0]["content"]), notes.dropped) == (1, [name])


def test_calls_and_results_are_items() -> None:
    said = {"role": "assistant", "content": "I look.", "tool_calls": [CALL, CUSTOM]}
    results = [
        {"role": "tool", "tool_call_id": "call_2", "content": "Done."},
        {"role": "tool", "tool_call_id": "call_1", "content": [text("Sunny.")]},
    ]
    assert items(USER, said, *results) == [
        ITEM,
        {"type": "message", "role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"a":1}'},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "patch", "input": "*** Begin"},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "Done."},
        {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": [{"type": "input_text", "text": "Sunny."}],
        },
    ]


def test_call_without_text_is_no_message() -> None:
    said = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    assert [item["type"] for item in items(USER, said)] == ["message", "function_call"]


def test_what_the_model_said_is_one_text() -> None:
    parts = [text("a"), {"type": "refusal", "refusal": "b"}]
    said = {"role": "assistant", "content": parts, "refusal": "c"}
    assert items(USER, said)[1]["content"] == "abc"
    bad = {"role": "assistant", "content": [{"type": "image_url"}]}
    assert pointer_of(USER, bad) == "/messages/1/content/0/type"
    made, notes = translate(USER, bad, settings=Settings(unsupported=DROP))
    assert (made["input"], notes.dropped) == ([ITEM], ["content"])


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "reasoning_details", "thinking_blocks"])
def test_thoughts_are_lost_on_any_setting_since_the_client_sends_them_back(name: str) -> None:
    said = {"role": "assistant", "content": "So.", name: "Hm."}
    made, notes = translate(USER, said, settings=Settings(unsupported=REJECT))
    assert (len(made["input"]), notes.dropped) == (2, [name])


@pytest.mark.parametrize("name", ["audio", "function_call"])
def test_old_members_of_what_the_model_said_are_rejected(name: str) -> None:
    said = {"role": "assistant", "content": "So.", name: {"id": "x"}}
    assert pointer_of(USER, said) == f"/messages/1/{name}"
    assert translate(USER, said, settings=Settings(unsupported=DROP))[1].dropped == [name]


def test_name_of_who_speaks_is_reported() -> None:
    assert translate({**USER, "name": "ann"})[1].dropped == ["name"]


def test_result_of_a_function_that_is_no_tool_is_rejected() -> None:
    old = {"role": "function", "name": "f", "content": "x"}
    assert pointer_of(USER, old) == "/messages/1/role"
    assert translate(USER, old, settings=Settings(unsupported=DROP))[0]["input"] == [ITEM]


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ({"role": "critic"}, "role"),
        ({"role": "user"}, "content"),
        ({"role": "tool", "content": "x"}, "tool_call_id"),
        ({"role": "assistant", "content": 7}, "content"),
        ({"role": "assistant", "tool_calls": [{"type": "x"}]}, "tool_calls/0/type"),
        ({"role": "assistant", "tool_calls": [{**CALL, "id": 7}]}, "tool_calls/0/id"),
        (user({"type": "image_url", "image_url": {}}), "content/0/image_url/url"),
    ],
)
def test_message_that_is_none_is_rejected(message: Any, where: str) -> None:
    assert pointer_of(message) == f"/messages/0/{where}"


def test_call_of_another_kind_is_left_out_by_the_setting() -> None:
    said = {"role": "assistant", "content": "a", "tool_calls": [{"type": "x"}]}
    made, notes = translate(USER, said, settings=Settings(unsupported=DROP))
    assert (len(made["input"]), notes.dropped) == (2, ["tool_calls"])


@pytest.mark.parametrize("messages", [None, [], "Hi", [{"role": "system", "content": "Be brief."}]])
def test_request_without_a_message_is_rejected(messages: Any) -> None:
    assert pointer_of(messages=messages) == "/messages"
