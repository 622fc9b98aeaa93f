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


def test_the_member_model_of_the_body_is_the_model() -> None:
    assert model_of(request(b'{"messages": [], "model": "gpt-4o"}')) == "gpt-4o"


def test_an_encoded_body_is_read_too() -> None:
    headers = Headers([*JSON, ("Content-Encoding", "gzip")])
    assert model_of(request(gzip.compress(b'{"model": "gpt-4o"}'), headers)) == "gpt-4o"


@pytest.mark.parametrize(
    "body",
    [
        *(None, b"", b"{}", b"[]", b'"model"', b'{"model": null}', b'{"model": ["gpt-4o"]}'),
        b'{"x": {"model": "m"}}',
    ],
)
def test_a_body_that_names_no_model_has_none(body: bytes | None) -> None:
    assert model_of(request(body)) == ""


def test_a_body_of_another_type_has_none() -> None:
    form = Headers([("Content-Type", "multipart/form-data; boundary=x")])
    assert (
        model_of(request(b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper', form)) == ""
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"model": "cheap", "Model": "gpt-4o"}', "invalid_json"),
        (b'{"model": "cheap", "model": "gpt-4o"}', "invalid_json"),
        (b'{"model": "gpt-4o"', "invalid_json"),
        (b'\xef\xbb\xbf{"model": "gpt-4o"}', "invalid_json"),
        ('{"model": "gpt-4o"}'.encode("utf-16"), "invalid_json"),
        (b'{"model": "\\ud800"}', "invalid_json"),
    ],
)
def test_a_body_that_can_be_read_in_two_ways_is_refused(body: bytes, code: str) -> None:
    for headers in (
        JSON,
        Headers([("Content-Type", "text/plain")]) if body.startswith(b'{"model": "cheap') else JSON,
    ):
        with pytest.raises(BodyRejected) as caught:
            model_of(request(body, headers))
        assert caught.value.code == code


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
