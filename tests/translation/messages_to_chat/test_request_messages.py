"""The turns of Anthropic's messages as messages of OpenAI's chat."""

from typing import Any

import pytest

from shared.translation.notes import DROP, REJECT, Settings, Untranslatable
from tests.translation.messages_to_chat.requests import USER, translate, translated

PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0="}}
PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0="}}
MARK = {"cache_control": {"type": "ephemeral"}}


def text(words: str, **members: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **members}


def call(number: int, **members: Any) -> dict[str, Any]:
    return {
        "type": "tool_use",
        "id": f"toolu_{number}",
        "name": f"tool_{number}",
        "input": {"a": 1},
        **members,
    }


def result(number: int, content: Any = "done", **members: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": content, **members}


def turn(role: str, *blocks: Any) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def contents(*blocks: Any, **given: Any) -> list[Any]:
    """The contents of the messages that one turn of the user becomes."""
    return [message["content"] for message in translated(turn("user", *blocks), **given)["messages"]]


def pointer_of(*messages: Any, **members: Any) -> str:
    with pytest.raises(Untranslatable) as caught:
        translate(*messages, **members)
    assert caught.value.detail.endswith(".")
    return caught.value.pointer


@pytest.mark.parametrize("system", ["Be brief.\n\nBe kind.", [text("Be brief."), text("Be kind.")]])
def test_instructions_are_the_first_message(system: Any) -> None:
    assert translated(USER, system=system)["messages"] == [
        {"role": "system", "content": "Be brief.\n\nBe kind."},
        {"role": "user", "content": "Hi"},
    ]


def test_instructions_keep_their_parts_for_servers_that_take_lists() -> None:
    parts = [text("Be brief."), text("Be kind.")]
    assert translated(USER, system=parts, caps={"array_content": True})["messages"][0]["content"] == parts


def test_late_instruction_stays_in_its_place() -> None:
    made = translated(USER, turn("assistant", text("Hello")), turn("system", text("Now in French.")), USER)
    assert [message["role"] for message in made["messages"]] == ["user", "assistant", "system", "user"]


def test_no_instructions_are_no_message() -> None:
    assert [one["role"] for one in translated(USER, system=[])["messages"]] == ["user"]


def test_text_alone_is_plain_text_which_every_server_takes() -> None:
    assert contents(text("a")) == ["a"]
    assert contents(text("a"), text("b")) == ["a\n\nb"]


def test_pictures_are_parts_in_their_place() -> None:
    web = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    assert contents(text("a"), PICTURE, web) == [
        [text("a"), PART, {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    ]


def test_documents_are_files_and_texts() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    file = {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}
    plain = {"type": "text", "media_type": "text/plain", "data": "Words"}
    assert contents(
        {"type": "document", "source": pdf}, {"type": "document", "source": pdf, "title": "a.pdf"}
    ) == [[{"type": "file", "file": file}, {"type": "file", "file": {**file, "filename": "a.pdf"}}]]
    assert contents({"type": "document", "source": plain}) == ["Words"]
    assert contents({"type": "document", "source": plain, "title": "Book"}) == ["Book\n\nWords"]
    parts = {"type": "content", "content": [text("a"), PICTURE]}
    assert contents({"type": "document", "source": parts}) == [[text("a"), PART]]


@pytest.mark.parametrize("kind", ["image", "document"])
@pytest.mark.parametrize("source", [{"type": "file", "file_id": "file_1"}, {"type": "base64"}, {}])
def test_file_that_only_anthropic_has_is_rejected(kind: str, source: Any) -> None:
    stored = {"type": kind, "source": source}
    assert pointer_of(turn("user", stored)) == "/messages/0/content/0/source"
    made, notes = translate(turn("user", text("a"), stored), settings=Settings(unsupported=DROP))
    assert (made["messages"][0]["content"], notes.dropped) == ("a", [kind])


def test_document_on_the_web_is_rejected() -> None:
    web = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
    assert pointer_of(turn("user", web)) == "/messages/0/content/0/source"


def test_results_of_tools_are_messages_before_what_the_user_says() -> None:
    made = translated(
        USER, turn("assistant", call(1), call(2)), turn("user", text("And then?"), result(1), result(2, []))
    )
    assert made["messages"][2:] == [
        {"role": "tool", "tool_call_id": "toolu_1", "content": "done"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": ""},
        {"role": "user", "content": "And then?"},
    ]


def test_result_with_an_error_says_so() -> None:
    assert contents(result(1, "No file.", is_error=True)) == ["Error: No file."]
    assert contents(result(1, "No file.", is_error=False)) == ["No file."]


def test_texts_of_a_result_are_joined() -> None:
    found = {"type": "search_result", "source": "s", "title": "t", "content": [text("b")]}
    named = {"type": "tool_reference", "tool_name": "clock"}
    assert contents(result(1, [text("a"), found, named])) == ["a\n\nb\n\nclock"]


def test_pictures_of_a_result_are_for_the_user_to_show() -> None:
    assert contents(result(1, [text("Look:"), PICTURE]), result(2), text("See?")) == [
        "Look:",
        "done",
        [text("[images of tool result toolu_1]"), PART, text("See?")],
    ]


def test_assistant_has_its_text_and_its_calls() -> None:
    made = translated(
        USER, turn("assistant", text("a"), text("b"), call(1, input={}), call(2)), turn("user", result(1))
    )
    assert made["messages"][1] == {
        "role": "assistant",
        "content": "ab",
        "tool_calls": [
            {"id": "toolu_1", "type": "function", "function": {"name": "tool_1", "arguments": "{}"}},
            {"id": "toolu_2", "type": "function", "function": {"name": "tool_2", "arguments": '{"a":1}'}},
        ],
    }


def test_calls_without_a_text_have_the_content_null() -> None:
    assert (
        translated(USER, turn("assistant", call(1)), turn("user", result(1)))["messages"][1]["content"]
        is None
    )
    assert (
        translated(USER, {"role": "assistant", "content": "Hello"}, USER)["messages"][1]["content"] == "Hello"
    )


def test_thoughts_of_earlier_turns_are_left_out_and_no_reason_to_reject() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    secret = {"type": "redacted_thinking", "data": "x"}
    said = turn("assistant", thought, secret, text("Hello"))
    made, notes = translate(USER, said, USER, settings=Settings(unsupported=REJECT))
    assert made["messages"][1] == {"role": "assistant", "content": "Hello"}
    assert notes.dropped == ["thinking", "redacted_thinking"]
    made, _ = translate(USER, said, USER, caps={"reasoning_content": True})
    assert made["messages"][1]["reasoning_content"] == "Hm."


@pytest.mark.parametrize(
    "kind", ["server_tool_use", "web_search_tool_result", "container_upload", "mcp_tool_use"]
)
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_what_servers_did_earlier_is_dropped_and_reported(kind: str, role: str) -> None:
    made, notes = translate(USER, turn(role, {"type": kind}, text("Hello")), USER)
    assert (made["messages"][1]["content"], notes.dropped) == ("Hello", [kind])


def test_turn_of_which_all_is_left_out_is_no_message() -> None:
    made, _ = translate(USER, turn("assistant", {"type": "redacted_thinking", "data": "x"}), USER)
    assert made["messages"] == [USER, USER]


def test_block_without_a_type_is_dropped_and_reported() -> None:
    _, notes = translate(turn("user", {}, text("Hi")), turn("assistant", {}, text("Hi")), USER)
    assert notes.dropped == ["content"]


def test_marks_of_caches_are_reported_and_no_reason_to_reject() -> None:
    cited = text("b", citations=[{"type": "char_location"}])
    made, notes = translate(
        turn("user", text("a", **MARK)),
        turn("assistant", cited, call(1, **MARK)),
        turn("user", result(1, **MARK)),
        system=[text("s", **MARK)],
        settings=Settings(unsupported=REJECT),
    )
    assert notes.dropped == ["cache_control", "citations"]
    assert "cache_control" not in str(made)


def test_message_to_continue_is_reported_since_chat_begins_another() -> None:
    _, notes = translate(USER, turn("assistant", text("The answer is")))
    assert notes.changed == ["prefill"]


@pytest.mark.parametrize("messages", [[], [turn("user")]])
def test_request_without_a_message_is_rejected(messages: Any) -> None:
    assert pointer_of(messages=messages, system="Be brief.") == "/messages"


@pytest.mark.parametrize(
    ("message", "pointer"),
    [
        ({"role": "tool"}, "/role"),
        ({"role": "user"}, "/content"),
        ({"role": "user", "content": ["x"]}, "/content/0"),
        (turn("user", {"type": "text"}), "/content/0/text"),
        (turn("user", {"type": "image"}), "/content/0/source"),
        (turn("user", {"type": "tool_result"}), "/content/0/tool_use_id"),
        (turn("user", result(1, 7)), "/content/0/content"),
        (turn("assistant", {"type": "text", "text": 7}), "/content/0/text"),
        (turn("assistant", {"type": "tool_use", "name": "a"}), "/content/0/id"),
        (turn("assistant", {"type": "tool_use", "id": "a"}), "/content/0/name"),
        (turn("system", {"type": "text"}), "/content/0/text"),
        (7, ""),
    ],
)
def test_turn_that_messages_does_not_have_is_rejected_where_it_is_wrong(message: Any, pointer: str) -> None:
    assert pointer_of(message) == f"/messages/0{pointer}"


def test_thought_of_a_wrong_type_is_rejected_where_it_is_wrong() -> None:
    thought = turn("assistant", {"type": "thinking"})
    assert pointer_of(thought, caps={"reasoning_content": True}) == "/messages/0/content/0/thinking"
