"""The items of the input of OpenAI's responses as messages of chat."""

from typing import Any, get_args, get_type_hints

import pytest
from openai.types.responses.response_input_item_param import ResponseInputItemParam

from shared.translation.members import DROP as DROPPED
from shared.translation.members import REJECT as REJECTED
from shared.translation.notes import DROP, REJECT, Settings
from shared.translation.responses_to_chat.conversation import _HANDLERS, ITEMS
from tests.translation.responses_to_chat.requests import USER, literals, pointer_of, translate, translated

HISTORY = {name for name, member in ITEMS.items() if member.action == DROPPED} - {"reasoning"}
KEPT = {name for name, member in ITEMS.items() if member.action == REJECTED}
CALL = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Rome"}'}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "Sunny."}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]}
IMAGE = "data:image/png;base64,iVBO"
FILE = "data:application/pdf;base64,JVBE"


def say(*parts: Any, role: str = "user", **members: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(parts), **members}


def text(words: str = "Hi", kind: str = "input_text", **members: Any) -> dict[str, Any]:
    return {"type": kind, "text": words, **members}


def messages(*items: Any, **given: Any) -> Any:
    return translated(*items, **given)["messages"]


def chat_call(id_: str = "call_1", name: str = "weather", arguments: str = '{"city":"Rome"}') -> Any:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(text: str = "Sunny.", id_: str = "call_1") -> Any:
    return {"role": "tool", "tool_call_id": id_, "content": text}


def test_messages_keep_their_roles_and_order() -> None:
    items = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?", "type": "message"},
        say(text("And now?")),
        {"role": "system", "content": "Be polite."},
    ]
    assert messages(*items) == [
        {"role": "system", "content": "Be brief."},
        USER,
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "And now?"},
        {"role": "system", "content": "Be polite."},
    ]


def test_instructions_at_the_beginning_are_one_message() -> None:
    developer = {"role": "developer", "content": [text("b"), text("c")]}
    found = messages(developer, {"role": "user", "content": "Hi"}, instructions="a")
    assert found == [{"role": "system", "content": "a\n\nb\n\nc"}, USER]
    parts = messages(developer, USER, instructions="a", caps={"array_content": True})[0]["content"]
    assert [part["text"] for part in parts] == ["a", "b", "c"]
    assert messages(developer) == [{"role": "system", "content": "b\n\nc"}]


def test_later_instructions_move_to_the_beginning_if_the_model_takes_no_others() -> None:
    later = {"role": "developer", "content": "b"}
    assert [one["role"] for one in messages(USER, later, instructions="a")] == ["system", "user", "system"]
    made, notes = translate(USER, later, instructions="a", caps={"mid_system": False})
    assert made["messages"] == [{"role": "system", "content": "a\n\nb"}, USER]
    assert notes.changed == ["system_position"]


def test_texts_of_a_message_are_one_text_for_older_servers() -> None:
    assert messages(say(text("a"), text("b"))) == [{"role": "user", "content": "a\n\nb"}]
    parts = messages(say(text("a"), text("b")), caps={"array_content": True})[0]["content"]
    assert parts == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]


def test_mark_of_the_cache_stays_on_its_part() -> None:
    mark = {"mode": "explicit", "ttl": "12h"}
    found = messages(say(text("a", prompt_cache_breakpoint=mark)))[0]["content"]
    assert found == [{"type": "text", "text": "a", "prompt_cache_breakpoint": mark}]


def test_mark_of_the_cache_in_a_text_without_parts_is_reported() -> None:
    marked = text("Sunny.", prompt_cache_breakpoint={"mode": "explicit"})
    made, notes = translate(say(text()), CALL, {**OUTPUT, "output": [marked]})
    assert (made["messages"][2], notes.dropped) == (result(), ["prompt_cache_breakpoint"])


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"type": "input_image", "image_url": IMAGE, "detail": "auto"},
            {"type": "image_url", "image_url": {"url": IMAGE}},
        ),
        (
            {"type": "input_image", "image_url": "https://a.example/b", "detail": "high"},
            {"type": "image_url", "image_url": {"url": "https://a.example/b", "detail": "high"}},
        ),
        (
            {"type": "input_file", "file_data": FILE, "filename": "a.pdf"},
            {"type": "file", "file": {"file_data": FILE, "filename": "a.pdf"}},
        ),
        ({"type": "input_file", "file_id": "file_1"}, {"type": "file", "file": {"file_id": "file_1"}}),
        (
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
        ),
    ],
)
def test_pictures_files_and_sounds_are_parts(part: Any, expected: Any) -> None:
    assert messages(say(text(), part))[0]["content"] == [{"type": "text", "text": "Hi"}, expected]


@pytest.mark.parametrize(
    ("part", "where"),
    [
        ({"type": "input_image", "file_id": "file_1"}, "file_id"),
        ({"type": "input_image"}, "image_url"),
        ({"type": "input_file", "file_url": "https://a.example/b"}, "file_url"),
        ({"type": "input_file"}, "file_data"),
        ({"type": "of_next_year"}, "type"),
        ({"type": "input_text", "text": 7}, "text"),
    ],
)
def test_part_that_chat_lacks_is_rejected(part: Any, where: str) -> None:
    assert pointer_of(say(part)) == f"/input/0/content/0/{where}"


def test_part_that_chat_lacks_is_left_out_by_the_setting() -> None:
    parts = [{"type": "input_image"}, {"type": "input_file"}, {"type": "?"}, text()]
    made, notes = translate(say(*parts), settings=Settings(unsupported=DROP))
    assert (made["messages"], notes.dropped) == ([USER], ["input_image", "input_file", "content"])


def test_detail_of_a_file_is_reported() -> None:
    part = {"type": "input_file", "file_data": FILE, "filename": "a.pdf", "detail": "low"}
    assert translate(say(part))[1].dropped == ["input_file.detail"]


def test_what_the_model_said_is_one_text() -> None:
    parts = [text("a", "output_text", annotations=[]), text("b", "output_text", annotations=[])]
    given = say(*parts, {"type": "refusal", "refusal": "No."}, role="assistant", id="msg_1")
    assert messages(say(text()), given)[1] == {"role": "assistant", "content": "abNo."}


def test_what_of_an_earlier_response_chat_lacks_is_reported() -> None:
    said = text("a", "output_text", annotations=[{"type": "file_path"}])
    picture = {"type": "input_image", "image_url": IMAGE}
    _, notes = translate(say(text()), say(said, picture, role="assistant", phase="commentary"))
    assert notes.dropped == ["phase", "annotations", "image_url"]


def test_calls_and_their_results_are_messages_in_the_order_of_chat() -> None:
    second = {**CALL, "call_id": "call_2", "arguments": "{}"}
    items = [
        say(text()),
        say(text("I look.", "output_text"), role="assistant"),
        CALL,
        second,
        {**OUTPUT, "call_id": "call_2", "output": "Rain."},
        OUTPUT,
        say(text("Thanks")),
    ]
    assert messages(*items) == [
        USER,
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [chat_call(), chat_call("call_2", arguments="{}")],
        },
        result("Rain.", "call_2"),
        result(),
        {"role": "user", "content": "Thanks"},
    ]


def test_results_follow_their_calls_whatever_came_between() -> None:
    said = say(text("Wait.", "output_text"), role="assistant")
    found = messages(say(text()), CALL, said, said, say(text("Well?")), OUTPUT)
    calls = {"role": "assistant", "content": "Wait.\n\nWait.", "tool_calls": [chat_call()]}
    assert found == [USER, calls, result(), {"role": "user", "content": "Well?"}]


def test_calls_of_two_turns_are_two_messages() -> None:
    second = {**CALL, "call_id": "call_2"}
    found = messages(say(text()), CALL, OUTPUT, second, {**OUTPUT, "call_id": "call_2"})
    assert [one["role"] for one in found] == ["user", "assistant", "tool", "assistant", "tool"]
    assert found[1]["content"] is None
    twice = messages({"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"})
    assert [one["content"] for one in twice] == ["a", "b"]


def test_pictures_of_a_result_are_in_a_message_after_the_results() -> None:
    parts = [text("See:"), {"type": "input_image", "image_url": IMAGE}, text("There.")]
    second = {**CALL, "call_id": "call_2"}
    found = messages(say(text()), CALL, second, {**OUTPUT, "output": parts}, {**OUTPUT, "call_id": "call_2"})
    assert found[2:] == [
        result("See:\n\nThere."),
        result(id_="call_2"),
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "[files of the output of call_1]"},
                {"type": "image_url", "image_url": {"url": IMAGE}},
            ],
        },
    ]


def test_result_without_its_call_is_rejected() -> None:
    assert pointer_of(say(text()), OUTPUT) == "/input/1/call_id"
    made, notes = translate(say(text()), OUTPUT, settings=Settings(unsupported=DROP))
    assert (made["messages"], notes.dropped) == ([USER], ["function_call_output"])
    assert pointer_of(say(text()), {**OUTPUT, "call_id": None}) == "/input/1/call_id"


def test_call_of_a_custom_tool_is_one_of_a_function_with_its_text() -> None:
    call = {"type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": 'a "b"'}
    found = messages(say(text()), call, {**OUTPUT, "type": "custom_tool_call_output"})
    assert found[1]["tool_calls"] == [chat_call(name="patch", arguments=r'{"input":"a \"b\""}')]
    assert found[2] == result()


def test_call_of_the_local_shell_is_one_of_a_function_with_its_command() -> None:
    action = {"type": "exec", "command": ["ls"], "env": {}}
    call = {"type": "local_shell_call", "id": "lsh_1", "call_id": "call_1", "action": action}
    output = {"type": "local_shell_call_output", "id": "call_1", "output": "a.txt"}
    found = messages(say(text()), call, output)
    assert found[1]["tool_calls"] == [chat_call(name="local_shell", arguments='{"command":["ls"],"env":{}}')]
    assert found[2] == result("a.txt")


def test_call_of_a_tool_in_a_group_has_the_name_of_both() -> None:
    found = messages(say(text()), {**CALL, "namespace": "maps"}, OUTPUT)
    assert found[1]["tool_calls"][0]["function"]["name"] == "maps__weather"


@pytest.mark.parametrize(
    ("item", "where"),
    [
        ({**CALL, "arguments": {}}, "arguments"),
        ({**CALL, "name": None}, "name"),
        ({**CALL, "call_id": 7}, "call_id"),
        ({"type": "custom_tool_call", "call_id": "c", "name": "n"}, "input"),
        ({"type": "local_shell_call", "call_id": "c"}, "action"),
        ({"role": "critic", "content": "x"}, "role"),
    ],
)
def test_item_that_is_none_of_its_kind_is_rejected(item: Any, where: str) -> None:
    assert pointer_of(item) == f"/input/0/{where}"


def test_thoughts_are_lost_on_any_setting_since_the_client_must_send_them_back() -> None:
    made, notes = translate(say(text()), THOUGHT, settings=Settings(unsupported=REJECT))
    assert (made["messages"], notes.dropped) == ([USER], ["reasoning"])


def test_thoughts_go_to_servers_that_read_them() -> None:
    caps = {"reasoning_content": True}
    found = messages(say(text()), THOUGHT, THOUGHT, CALL, OUTPUT, caps=caps)
    assert (found[1]["reasoning_content"], found[1]["content"]) == ("Hm.Hm.", None)
    said = {"role": "assistant", "content": "So."}
    assert messages(say(text()), THOUGHT, said, caps=caps)[1]["content"] == "So."
    full = {**THOUGHT, "summary": [], "content": [text("All of it.", "reasoning_text")]}
    assert messages(say(text()), full, CALL, caps=caps)[1]["reasoning_content"] == "All of it."
    sealed = {**THOUGHT, "summary": [], "encrypted_content": "x"}
    assert translate(say(text()), sealed, caps=caps)[1].dropped == ["reasoning"]


@pytest.mark.parametrize("kind", sorted(KEPT))
def test_item_that_stands_for_what_a_server_keeps_is_rejected(kind: str) -> None:
    assert pointer_of(say(text()), {"type": kind, "id": "x"}) == "/input/1/type"
    _, notes = translate(say(text()), {"type": kind}, settings=Settings(unsupported=DROP))
    assert notes.dropped == [kind]


def test_reference_without_a_type_is_rejected() -> None:
    assert pointer_of({"id": "msg_1"}) == "/input/0/type"


def test_items_are_those_of_the_sdk_and_none_is_forgotten() -> None:
    hints = [get_type_hints(item)["type"] for item in get_args(ResponseInputItemParam)]
    kinds = {kind for hint in hints for kind in literals(hint)}
    assert kinds == set(ITEMS)
    assert set(_HANDLERS) == kinds - HISTORY - KEPT


@pytest.mark.parametrize("kind", sorted(HISTORY))
def test_what_tools_of_servers_did_is_dropped(kind: str) -> None:
    made, notes = translate(say(text()), {"type": kind, "id": "ws_1"})
    assert (made["messages"], notes.dropped) == ([USER], [kind])
    assert translate(say(text()), {"type": 7})[1].dropped == ["input"]


@pytest.mark.parametrize("given", [7, None, ["Hi"], {"role": "user"}])
def test_input_that_is_neither_a_text_nor_a_list_of_items_is_rejected(given: Any) -> None:
    assert pointer_of(input=given).startswith("/input")


def test_input_without_a_message_is_rejected() -> None:
    assert pointer_of(input=[]) == "/input"


def test_very_many_texts_of_the_model_beside_a_call_are_one_message() -> None:
    spoken = {"role": "assistant", "content": "y" * 100}
    found = messages(say(text()), CALL, *[spoken] * 50_000)
    assert len(found[1]["content"]) == 50_000 * 102 - 2
