"""Which model a request asks for."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.body import model_of
from shared.http.body_rejected import BodyRejected
from shared.model.messages import Headers, Request

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
def test_it_is_what_any_json_parser_finds(document: dict[str, Any]) -> None:
    name = document.get("model")
    assert model_of(request(json.dumps(document).encode())) == (name if isinstance(name, str) else "")


@given(st.binary(max_size=200))
def test_whatever_the_body_is_it_has_a_model_or_is_refused(body: bytes) -> None:
    try:
        assert isinstance(model_of(request(body)), str)
    except BodyRejected as rejected:
        assert str(rejected).endswith(".")
