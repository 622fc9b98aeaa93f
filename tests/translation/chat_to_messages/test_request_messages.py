"""The messages of OpenAI's chat as turns of Anthropic's messages."""

import base64
import re
from typing import Any

import pytest

from shared.translation.notes import DROP, REJECT, Settings, Untranslatable
from tests.translation.chat_to_messages.requests import USER, translate, translated

PNG = "data:image/png;base64,iVBORw0="
PDF = "data:application/pdf;base64,JVBERi0="
ANSWER = {"role": "assistant", "content": "Hello"}


def call(number: int, arguments: Any = "{}", **members: Any) -> dict[str, Any]:
    function = {"name": f"tool_{number}", "arguments": arguments}
    return {"id": f"call_{number}", "type": "function", "function": function, **members}


def calls(*made: Any, **members: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(made), **members}


def result(number: int, content: Any = "done") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"call_{number}", "content": content}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def blocks(*parts: Any) -> list[Any]:
    """The blocks of one message of the user."""
    return translated(user(*parts))["messages"][0]["content"]


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def pointer_of(*messages: Any, caps: Any = None) -> str:
    with pytest.raises(Untranslatable) as caught:
        translate(*messages, caps=caps)
    assert caught.value.detail.endswith(".")
    return caught.value.pointer


def test_instructions_are_blocks_of_system_in_their_order() -> None:
    made = translated(
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [text("Be kind."), text("Be right.")]},
        USER,
    )
    assert made["system"] == [text("Be brief."), text("Be kind."), text("Be right.")]
    assert made["messages"] == [{"role": "user", "content": [text("Hi")]}]


def test_late_instruction_stays_in_its_place_if_the_model_takes_it_there() -> None:
    late = {"role": "system", "content": "Now in French."}
    made = translated(USER, late, USER, caps={"mid_system": True})
    assert [turn["role"] for turn in made["messages"]] == ["user", "system", "user"]
    assert "system" not in made


def test_late_instruction_is_moved_to_the_front_and_reported() -> None:
    made, notes = translate(USER, ANSWER, {"role": "developer", "content": "Now in French."}, USER)
    assert (made["system"], notes.changed) == ([text("Now in French.")], ["system_position"])
    assert [turn["role"] for turn in made["messages"]] == ["user", "assistant", "user"]


def test_blank_text_is_left_out_since_the_api_rejects_it() -> None:
    made = translated(USER, {"role": "assistant", "content": " \n"}, user(text(""), text("And?")))
    assert made["messages"] == [{"role": "user", "content": [text("Hi"), text("And?")]}]


@pytest.mark.parametrize(
    "messages", [[], [{"role": "user", "content": " "}], [{"role": "system", "content": "Be brief."}]]
)
def test_request_without_a_text_is_rejected(messages: Any) -> None:
    with pytest.raises(Untranslatable, match="/messages: Send at least one"):
        translate(*(messages or [{"role": "user", "content": None}]))


def test_picture_in_the_request_is_sent_as_it_is() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}
    assert blocks({"type": "image_url", "image_url": {"url": PNG, "detail": "auto"}}) == [
        {"type": "image", "source": source}
    ]
    jpg = PNG.replace("png", "jpg")
    assert blocks({"type": "image_url", "image_url": {"url": jpg}})[0]["source"]["media_type"] == "image/jpeg"


def test_picture_on_the_web_is_fetched_by_the_provider() -> None:
    url = "https://example.com/a.png"
    assert blocks({"type": "image_url", "image_url": {"url": url}}) == [
        {"type": "image", "source": {"type": "url", "url": url}}
    ]


def test_pdf_as_a_picture_is_a_document() -> None:
    assert blocks({"type": "image_url", "image_url": {"url": PDF}})[0]["type"] == "document"


def test_detail_of_a_picture_is_dropped_and_reported() -> None:
    _, notes = translate(user({"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}))
    assert notes.dropped == ["image_url.detail"]


@pytest.mark.parametrize(
    "url", ["data:image/tiff;base64,AAAA", "data:image/png,raw", "ftp://a/b", "file:///a", ""]
)
def test_picture_of_another_kind_is_rejected(url: str) -> None:
    assert (
        pointer_of(user({"type": "image_url", "image_url": {"url": url}}))
        == "/messages/0/content/0/image_url/url"
    )


def test_file_with_a_pdf_is_a_document_with_a_title() -> None:
    assert blocks({"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}) == [
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
            "title": "a.pdf",
        }
    ]


def test_file_with_a_text_is_a_document_with_its_text() -> None:
    data = "data:text/markdown;charset=utf-8;base64," + base64.b64encode("# é".encode()).decode()
    assert blocks({"type": "file", "file": {"file_data": data}}) == [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "# é"}}
    ]


@pytest.mark.parametrize(
    ("file", "member"),
    [
        ({"file_id": "file-1"}, "file_id"),
        ({"file_data": "JVBERi0="}, "file_data"),
        ({"file_data": "data:text/plain;base64,/w=="}, "file_data"),
        ({"file_data": "data:text/plain;base64,?"}, "file_data"),
        ({"file_data": "data:application/zip;base64,AAAA"}, "file_data"),
        ({}, "file_data"),
    ],
)
def test_file_of_another_kind_is_rejected(file: Any, member: str) -> None:
    assert pointer_of(user({"type": "file", "file": file})) == f"/messages/0/content/0/file/{member}"


def test_sound_is_rejected() -> None:
    part = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    assert pointer_of(user(part)) == "/messages/0/content/0"


def test_part_that_would_be_rejected_is_dropped_by_the_setting() -> None:
    sound, unknown = {"type": "input_audio"}, {"type": "video_url"}
    picture = {"type": "image_url", "image_url": {"url": "ftp://a"}}
    file = {"type": "file", "file": {"file_id": "file-1"}}
    parts = [text("Hi"), sound, unknown, picture, file]
    made, notes = translate(user(*parts), settings=Settings(unsupported=DROP))
    assert made["messages"] == [{"role": "user", "content": [text("Hi")]}]
    assert notes.dropped == ["input_audio", "content", "image_url", "file"]


def test_turns_of_one_role_are_one_turn() -> None:
    made = translated(USER, USER, ANSWER, ANSWER, USER)
    assert [(turn["role"], len(turn["content"])) for turn in made["messages"]] == [
        ("user", 2),
        ("assistant", 2),
        ("user", 1),
    ]


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


SIGNED = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
SECRET = {"type": "redacted_thinking", "data": "x"}


def test_signed_thoughts_come_first_in_their_turn() -> None:
    made = translated(
        USER, calls(call(1), thinking_blocks=[SIGNED, SECRET], reasoning_content="Hm."), result(1)
    )
    assert made["messages"][1]["content"][:2] == [SIGNED, SECRET]


def test_signed_thoughts_of_openrouter_are_the_same() -> None:
    details = [
        {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "format": "anthropic-claude-v1"},
        {"type": "reasoning.encrypted", "data": "x"},
    ]
    made = translated(USER, {**ANSWER, "reasoning_details": details}, USER)
    assert made["messages"][1]["content"][:2] == [SIGNED, SECRET]


@pytest.mark.parametrize(
    "members",
    [
        {"reasoning_content": "Hm."},
        {"reasoning": "Hm."},
        {"thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": ""}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "Hm."}, "?"]},
    ],
)
def test_thought_without_a_signature_is_never_sent_and_no_reason_to_reject(members: Any) -> None:
    made, notes = translate(USER, {**ANSWER, **members}, USER, settings=Settings(unsupported=REJECT))
    assert made["messages"][1]["content"] == [text("Hello")]
    assert notes.dropped == list(members)


def test_last_message_of_the_assistant_is_continued_without_its_last_spaces() -> None:
    made = translated(USER, {"role": "assistant", "content": "The answer is \n"}, caps={"prefill": True})
    assert made["messages"][-1]["content"] == [text("The answer is")]
    assert translated(USER, calls(call(1)))["messages"][-1]["role"] == "assistant"


def test_message_to_continue_is_rejected_if_the_model_cannot() -> None:
    assert pointer_of(USER, ANSWER, caps={"prefill": False}) == "/messages"
    made, notes = translate(USER, ANSWER, caps={"prefill": False}, settings=Settings(unsupported=DROP))
    assert ([turn["role"] for turn in made["messages"]], notes.dropped) == (["user"], ["prefill"])


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


def test_names_and_the_voice_of_earlier_messages_are_dropped() -> None:
    _, notes = translate({**USER, "name": "Ann"}, {**ANSWER, "audio": {"id": "a"}}, USER)
    assert notes.dropped == ["name", "audio"]


@pytest.mark.parametrize(
    ("mark", "control", "changed"),
    [
        ({"prompt_cache_breakpoint": {"mode": "explicit"}}, {"type": "ephemeral"}, []),
        (
            {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
            {"type": "ephemeral", "ttl": "1h"},
            ["prompt_cache_breakpoint"],
        ),
        ({"cache_control": {"type": "ephemeral", "ttl": "5m"}}, {"type": "ephemeral", "ttl": "5m"}, []),
        ({"cache_control": "?"}, None, []),
    ],
)
def test_mark_of_a_cache_is_kept(mark: Any, control: Any, changed: Any) -> None:
    made, notes = translate(user({**text("Hi"), **mark}))
    assert made["messages"][0]["content"][0].get("cache_control") == control
    assert notes.changed == changed


def test_mark_of_a_message_is_one_of_its_last_block() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    made = translated(
        {**user(text("a"), text("b")), **mark},
        calls(call(1), **mark),
        {**result(1), **mark},
        {"role": "user", **mark},
    )
    marked = ["cache_control" in block for turn in made["messages"] for block in turn["content"]]
    assert marked == [False, True, True, True]


def test_last_four_marks_of_caches_are_kept() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    tool = {"type": "function", "function": {"name": "a"}, **mark}
    system = {"role": "system", "content": [{**text("s"), **mark}]}
    parts = [{**text(words), **mark} for words in "abcd"]
    made, notes = translate(system, user(*parts), tools=[tool])
    assert all("cache_control" in block for block in made["messages"][0]["content"])
    assert not {"cache_control"} & ({*made["system"][0]} | {*made["tools"][0]})
    assert notes.changed == ["cache_control"]


@pytest.mark.parametrize(
    ("message", "pointer"),
    [
        ({"role": "wizard"}, "/role"),
        ({}, "/role"),
        ({"role": "user", "content": 7}, "/content"),
        ({"role": "user", "content": ["x"]}, "/content/0"),
        ({"role": "user", "content": [{"type": "text"}]}, "/content/0/text"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}, "/content/0/image_url"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "/content/0/image_url/url"),
        ({"role": "user", "content": [{"type": "file"}]}, "/content/0/file"),
        ({"role": "user", "content": [{"type": "video"}]}, "/content/0/type"),
        ({"role": "tool", "content": "x"}, "/tool_call_id"),
        ({"role": "assistant", "refusal": 7}, "/refusal"),
        ({"role": "assistant", "tool_calls": "x"}, "/tool_calls"),
        ({"role": "assistant", "tool_calls": [{"type": "function"}]}, "/tool_calls/0/id"),
        ({"role": "assistant", "tool_calls": [{"id": "a"}]}, "/tool_calls/0/function"),
        ({"role": "assistant", "tool_calls": [{"id": "a", "function": {}}]}, "/tool_calls/0/function/name"),
        (7, ""),
    ],
)
def test_message_that_chat_does_not_have_is_rejected_where_it_is_wrong(message: Any, pointer: str) -> None:
    assert pointer_of(message) == f"/messages/0{pointer}"


@pytest.mark.parametrize("messages", [None, "x", {}])
def test_messages_that_are_no_list_are_rejected(messages: Any) -> None:
    with pytest.raises(Untranslatable, match=re.escape("/messages: Must be a list.")):
        translate(messages=messages)


def test_very_many_results_are_one_turn_in_the_order_of_the_calls() -> None:
    numbers = range(20_000)
    turns = translated(USER, calls(*map(call, numbers)), *map(result, reversed(numbers)))["messages"]
    assert [one["tool_use_id"] for one in turns[-1]["content"]] == [f"call_{number}" for number in numbers]


def test_message_of_the_model_that_says_nothing_leaves_the_results_in_their_order() -> None:
    silent = {"role": "assistant", "content": " "}
    turns = translated(USER, calls(call(1), call(2)), result(2), silent, result(1))["messages"]
    assert [one["tool_use_id"] for one in turns[-1]["content"]] == ["call_1", "call_2"]
