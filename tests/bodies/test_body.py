"""Bodies as plugins judge them."""

import gzip
import json

import pytest

from shared.bodies.body import NO_JSON, DecodedBody
from shared.http.body_rejected import BodyRejected
from shared.model.messages import Headers


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


def test_a_body_that_is_no_json_is_refused_only_where_json_is_demanded() -> None:
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
def test_other_charsets_are_refused(charset: str) -> None:
    assert code_of(opened(b"{}", f"application/json; charset={charset}")) == "unsupported_content_type"


def test_two_content_types_are_refused() -> None:
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


def test_of_messages_only_the_messages_are_text() -> None:
    body = json.dumps({"model": "needle", "messages": [{"role": "user", "content": "hay"}]}).encode()
    judged = opened(body)
    assert not any("needle" in text for text in judged.texts(judged.document(demanded=False)))
