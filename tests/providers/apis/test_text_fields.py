"""The members of the APIs for guards: each member of the table is read as the table says."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.text.messages import message_texts
from shared.http.body_rejected import BodyRejected
from shared.providers.apis.api import Api, Step, steps_of
from shared.providers.apis.encoded import is_encoded, is_label
from shared.providers.apis.text_fields import (
    APIS,
    EVENT,
    REQUEST,
    RESPONSE,
    SENT_NAMES,
    is_messages,
    must_be_readable,
)

HOLDERS = {"request": REQUEST, "response": RESPONSE, "event": EVENT}
SENTENCE = "the needle in the hay"
ENCODED = base64.b64encode(SENTENCE.encode()).decode()
PICTURE = base64.b64encode(bytes(range(256)) * 2).decode()
MEDIA = (PICTURE, f"data:image/png;base64,{PICTURE}", "https://files.example.com/a.png?x=needle")


apis = pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)


def members(paths: tuple[str, ...]) -> Iterator[list[Step]]:
    return (steps for path in paths for steps in steps_of(path))


def document(steps: list[Step], value: Any) -> Any:
    """A body with that value at the end of the path."""
    node = value
    for outer, step in zip(reversed(steps[:-1]), reversed(steps[1:]), strict=True):
        kind = {"type": sorted(outer.types)[0]} if outer.types else {}
        node = {**kind, step.name: [node] if step.is_list and not isinstance(node, str) else node}
    return node


def read(steps: list[Step], value: Any) -> str:
    body = document(steps, value)
    return "\n".join(text.read() for text in message_texts(body, HOLDERS[steps[0].name]))


@apis
def test_a_text_of_the_table_is_read(api: Api) -> None:
    for steps in members(api.texts):
        assert SENTENCE in read(steps, SENTENCE), steps


@apis
def test_a_label_is_text_unless_it_looks_like_a_label(api: Api) -> None:
    for steps in members(api.labels):
        assert "needle" not in read(steps, "the-needle_7.x:1/y"), steps
        for value in ("the needle", "needle\nx", "needle!", "n\u00e9edle needle", "needle" * 30):
            assert "needle" in read(steps, value), steps


@apis
def test_a_role_is_text_unless_it_is_a_role_of_the_apis(api: Api) -> None:
    for steps in members(api.roles):
        for role in ("user", "assistant", "system", "developer", "tool", "model"):
            assert role not in read(steps, role), steps
        for role in ("needle", "user\nneedle", "User", "ignore-previous"):
            assert role in read(steps, role), steps


@apis
def test_media_are_no_text_unless_they_look_like_text(api: Api) -> None:
    for steps in members(api.media):
        for value in MEDIA:
            assert read(steps, value) == "", steps
        for value in (
            SENTENCE,
            f"data:image/png;base64,{SENTENCE}",
            f"data:image/svg+xml,{SENTENCE}",
            "n\u00e9",
        ):
            assert value in read(steps, value), steps


@apis
def test_what_no_model_reads_is_no_text_while_it_is_base64_or_an_id(api: Api) -> None:
    for steps in members(api.opaque):
        for value in (PICTURE, ENCODED, "file-abc123", "sig_1", "gAAAAABo"):
            assert read(steps, value) == "", steps
        assert read(steps, SENTENCE) == SENTENCE, steps


@apis
def test_text_that_media_encode_is_read_whatever_their_type(api: Api) -> None:
    for steps in members(api.media):
        for value in (ENCODED, f"data:image/png;base64,{ENCODED}", f"data:application/pdf;base64, {ENCODED}"):
            assert SENTENCE in read(steps, value), steps


@apis
def test_all_strings_and_names_below_a_free_member_are_read(api: Api) -> None:
    for steps in members(api.free):
        found = read(steps, {"needle": {"role": "user", "id": "hay", "image_url": {"url": MEDIA[1]}}})
        assert "needle" in found
        assert "hay" in found
        assert MEDIA[1] in found


def test_media_below_a_member_that_no_api_defines_are_read() -> None:
    body = {"messages": [{"content": [{"new": {"image_url": {"url": PICTURE}}}]}]}
    assert PICTURE in "\n".join(text.read() for text in message_texts(body, REQUEST))


@pytest.mark.parametrize(
    "part",
    [
        {"type": "file", "file": {"file_data": f"data:text/plain;base64,{ENCODED}"}},
        {"type": "input_file", "file_data": f"data:application/json;charset=utf-8;base64,{ENCODED}"},
        {"type": "input_file", "filename": "x.txt", "file_data": ENCODED},
        {"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": ENCODED}},
        {"document": {"format": "txt", "name": "x", "source": {"bytes": ENCODED}}},
        {"document": {"format": "txt", "name": "x", "source": {"bytes": ENCODED.rstrip("=")}}},
    ],
)
def test_a_text_file_in_base64_is_read_as_the_model_reads_it(part: Any) -> None:
    body = {"messages": [{"role": "user", "content": [part]}]}
    assert SENTENCE in "\n".join(text.read() for text in message_texts(body, REQUEST))


@pytest.mark.parametrize(
    ("charset", "begin"),
    [
        *((charset, "data:text/plain;base64,") for charset in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")),
        *((charset, "") for charset in ("utf-16", "utf-32")),
    ],
)
def test_a_text_file_in_utf_16_is_read(charset: str, begin: str) -> None:
    encoded = base64.b64encode(SENTENCE.encode(charset)).decode()
    part = {"type": "file", "file": {"file_data": begin + encoded}}
    body = {"messages": [{"role": "user", "content": [part]}]}
    assert SENTENCE in "\n".join(text.read() for text in message_texts(body, REQUEST))


@pytest.mark.parametrize("name", ["inlineData", "inline_data"])
@pytest.mark.parametrize("kind", ["mimeType", "mime_type"])
def test_a_text_file_of_gemini_is_read(name: str, kind: str) -> None:
    body = {"contents": [{"parts": [{name: {kind: "text/markdown", "data": ENCODED}}]}]}
    assert SENTENCE in "\n".join(text.read() for text in message_texts(body, REQUEST))


TOKENS: list[dict[str, Any]] = [
    {"prompt": [1, 2, 3]},
    {"prompt": [[1, 2], [3]]},
    {"prompt": ["hello", 7]},
    {"input": [[9906, 1917]], "model": "text-embedding-3-small"},
    {"prompt": "x", "context": [1, 2]},
    {"prompt": "x", "prompt_embeds": "AAAA"},
    {"prompt_token_ids": [1]},
]


@pytest.mark.parametrize("body", TOKENS, ids=json.dumps)
def test_text_in_token_ids_is_rejected(body: Any) -> None:
    with pytest.raises(BodyRejected, match="cannot be checked") as caught:
        must_be_readable(body)
    assert caught.value.code == "unsupported_content_type"


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": ["a", "b"]},
        {"input": [{"role": "user", "content": "x"}]},
        {"context": [1]},
        {"prompt": "x", "n": 3},
        {"input": []},
        [1, 2],
        "x",
    ],
    ids=json.dumps,
)
def test_text_in_letters_is_readable(body: Any) -> None:
    must_be_readable(body)


RESPONSES: dict[str, dict[str, Any]] = {
    "embeddings": {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.1234567890123456]}],
    },
    "ollama embeddings": {"model": "m", "embeddings": [[0.1]]},
    "gemini embeddings": {"embedding": {"values": [0.1]}},
    "moderations": {
        "id": "m",
        "model": "m",
        "results": [{"flagged": False, "categories": {"violence": False}}],
    },
    "token count": {"input_tokens": 2095},
    "gemini token count": {"totalTokens": 2095},
    "gemini, blocked": {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 2095},
    },
    "pictures": {"created": 1_700_000_000, "data": [{"b64_json": PICTURE}, {"url": MEDIA[2]}]},
}


@pytest.mark.parametrize("body", RESPONSES.values(), ids=RESPONSES)
def test_responses_without_text_are_known_so_their_numbers_and_names_are_no_text(body: Any) -> None:
    assert is_messages(body)
    assert not "".join(text.read() for text in message_texts(body, RESPONSE)).replace("SAFETY", "")


def test_an_ordinary_document_is_not_taken_for_a_body_of_an_api() -> None:
    for body in (
        {"text": "x"},
        {"data": []},
        {"data": [{"id": 1}]},
        {"response": "x"},
        {"done": True},
        [],
        [1],
    ):
        assert is_messages(body) is (body == {"data": []})


def test_the_names_in_requests_are_written_as_the_apis_write_them() -> None:
    assert {"model", "messages", "max_tokens", "contents", "systemInstruction"} <= SENT_NAMES


@given(st.text(max_size=200))
def test_a_text_with_spaces_is_neither_a_label_nor_encoded(text: str) -> None:
    assert not is_label(f"{text} {text}")
    assert not is_encoded(f"a {text}")


@given(st.binary(max_size=300))
def test_base64_is_encoded_in_every_form(raw: bytes) -> None:
    for written in (base64.b64encode(raw), base64.urlsafe_b64encode(raw), base64.encodebytes(raw)):
        assert is_encoded(written.decode())
    assert is_encoded(f"data:audio/wav;base64,{base64.b64encode(raw).decode()}")
    assert is_encoded(f"DATA:;base64,{base64.b64encode(raw).decode()}")
