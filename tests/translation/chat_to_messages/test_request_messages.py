"""The messages of OpenAI's chat as turns of Anthropic's messages."""

import base64
import re
from typing import Any

import pytest

from shared.translation.notes import DROP, REJECT, Settings, Untranslatable
from tests.translation.chat_to_messages.request_messages import (
    ANSWER,
    PNG,
    blocks,
    call,
    calls,
    pointer_of,
    result,
    text,
    user,
)
from tests.translation.chat_to_messages.requests import USER, translate, translated

PDF = "data:application/pdf;base64,JVBERi0="


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
