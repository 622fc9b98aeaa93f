"""Bodies as plugins judge them: their text, and which model a request asks for."""

import gzip
import json
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies import slices
from shared.bodies.body import NO_JSON, DecodedBody, form_text, lenient_text, model_of
from shared.http.body_rejected import BodyRejected
from shared.model.messages import Headers, Request


def opened(
    body: bytes, content_type: str | None = "application/json", coding: str | None = None
) -> DecodedBody:
    headers = [("Content-Type", content_type)] if content_type else []
    headers += [("Content-Encoding", coding)] if coding else []
    return DecodedBody.of(Headers(headers), body)


def code_of(body: DecodedBody, *, demanded: bool = False) -> str:
    with pytest.raises(BodyRejected) as caught:
        body.document(demanded=demanded)
    return caught.value.code


def test_an_encoded_body_and_a_body_in_utf8_are_read() -> None:
    assert opened(gzip.compress(b'{"a":1}'), coding="gzip").document(demanded=True) == {"a": 1}
    assert opened(b"{}", 'application/json; Charset="UTF-8"').document(demanded=True) == {}


def test_a_body_that_is_no_json_is_rejected_only_where_json_is_demanded() -> None:
    assert opened(b"hello", "text/plain").document(demanded=False) is NO_JSON
    assert code_of(opened(b"hello", "text/plain"), demanded=True) == "invalid_json"
    assert code_of(opened(b"hello")) == "invalid_json"
    assert opened(b"").document(demanded=False) is NO_JSON
    assert code_of(opened(b""), demanded=True) == "invalid_json"


@pytest.mark.parametrize("body", [b'{"a":1,"a":2}', '{"a":1}'.encode("utf-16"), b"\xef\xbb\xbf[]"])
def test_json_under_a_false_name_must_be_strict_too(body: bytes) -> None:
    assert code_of(opened(body, "text/plain")) == "invalid_json"
    assert code_of(opened(body, None)) == "invalid_json"


@pytest.mark.parametrize("charset", ["utf-16", '"latin1"', "utf-8; charset=utf-7"])
def test_other_charsets_are_rejected(charset: str) -> None:
    assert code_of(opened(b"{}", f"application/json; charset={charset}")) == "unsupported_content_type"


def test_two_content_types_are_rejected() -> None:
    headers = Headers([("Content-Type", "application/json"), ("Content-Type", "text/plain")])
    with pytest.raises(BodyRejected):
        DecodedBody.of(headers, b"{}")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"plain needle", "text/plain"),
        (rb'{"q":"\u006eeedle"}', "text/plain"),
        (rb'{"q":"\u006eeedle"}', None),
        (b"q=n%65edle+x", "application/x-www-form-urlencoded"),
        (b"\xff\xfe binary needle \x00", "application/octet-stream"),
    ],
)
def test_text_is_found_in_every_kind_of_body(body: bytes, content_type: str | None) -> None:
    judged = opened(body, content_type)
    assert any("needle" in text for text in judged.texts(judged.document(demanded=False)))


def test_texts_of_a_body_with_messages_are_its_messages_only() -> None:
    body = json.dumps({"model": "needle", "messages": [{"role": "user", "content": "hay"}]}).encode()
    judged = opened(body)
    assert not any("needle" in text for text in judged.texts(judged.document(demanded=False)))


JSON = Headers([("Content-Type", "application/json")])


def request(body: bytes | None, headers: Headers = JSON) -> Request:
    return Request("POST", "/v1/chat/completions", headers, body=body)


GZIP = Headers([*JSON, ("Content-Encoding", "gzip")])
FORM = Headers([("Content-Type", "multipart/form-data; boundary=x")])
WHISPER = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper'
NONE = [
    *(None, b"", b"{}", b"[]", b'"model"', b'{"model": null}', b'{"model": ["gpt-4o"]}'),
    b'{"x": {"model": "m"}}',
]


@pytest.mark.parametrize(
    ("body", "headers", "model"),
    [
        (b'{"messages": [], "model": "gpt-4o"}', JSON, "gpt-4o"),
        (gzip.compress(b'{"model": "gpt-4o"}', mtime=0), GZIP, "gpt-4o"),
        *((body, JSON, "") for body in NONE),
        (WHISPER, FORM, ""),
    ],
)
def test_the_member_model_of_a_json_body_is_the_model(body: bytes, headers: Headers, model: str) -> None:
    assert model_of(request(body, headers)) == model


TEXT = Headers([("Content-Type", "text/plain")])


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        *((b'{"model": "cheap", "Model": "gpt-4o"}', headers) for headers in (JSON, TEXT)),
        *((b'{"model": "cheap", "model": "gpt-4o"}', headers) for headers in (JSON, TEXT)),
        (b'{"model": "gpt-4o"', JSON),
        (b'\xef\xbb\xbf{"model": "gpt-4o"}', JSON),
        ('{"model": "gpt-4o"}'.encode("utf-16"), JSON),
        (b'{"model": "\\ud800"}', JSON),
    ],
)
def test_a_body_that_can_be_read_in_two_ways_is_rejected(body: bytes, headers: Headers) -> None:
    with pytest.raises(BodyRejected) as caught:
        model_of(request(body, headers))
    assert caught.value.code == "invalid_json"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.sampled_from(["model", "messages", "x"]), values))
def test_model_of_a_body_is_the_one_any_json_parser_finds(document: dict[str, Any]) -> None:
    name = document.get("model")
    assert model_of(request(json.dumps(document).encode())) == (name if isinstance(name, str) else "")


@given(st.binary(max_size=200))
def test_any_body_has_a_model_or_is_rejected(body: bytes) -> None:
    try:
        assert isinstance(model_of(request(body)), str)
    except BodyRejected as rejected:
        assert str(rejected).endswith(".")


@given(st.binary(max_size=40), st.integers(1, 9))
def test_text_is_read_the_same_wherever_it_is_cut(body: bytes, size: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(slices, "SLICE", size)
        assert lenient_text(body) == body.decode(errors="replace")


@given(st.text(alphabet="a%+4é1gF&=\n", max_size=40), st.integers(1, 9))
def test_a_form_is_read_as_the_standard_library_reads_it_wherever_it_is_cut(text: str, size: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(slices, "SLICE", size)
        cut = form_text(text.encode())
    assert cut == form_text(text.encode())
    if text.isascii():
        assert cut == unquote_plus(text)


@given(st.text(max_size=40))
def test_form_encoded_text_is_decoded_to_the_original(text: str) -> None:
    if text.encode(errors="replace").decode() == text:
        assert form_text(quote_plus(text).encode()) == text
