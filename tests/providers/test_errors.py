"""The body of an error, in the shapes that SDKs read."""

from typing import Any

import orjson
import pytest

from shared.core.errors import Rejection
from shared.providers.errors import (
    EventNumbers,
    error_body,
    error_event,
    is_last_event,
    speaks_anthropic,
    speaks_responses,
)


@pytest.mark.parametrize("anthropic", [True, False])
def test_details_of_a_plugin_never_replace_the_members_of_the_error(
    anthropic: bool,
) -> None:
    forged = {"error": "none", "type": "ok", "request_id": "another", "rate_limit": {"limit": 3}}
    plain = Rejection(429, "no", "No.")
    body: Any = orjson.loads(
        error_body(Rejection(429, "no", "No.", details=forged), "the-id", anthropic=anthropic)
    )
    own = orjson.loads(error_body(plain, "the-id", anthropic=anthropic))
    assert {name: body[name] for name in own} == own
    assert body["rate_limit"] == {"limit": 3}


@pytest.mark.parametrize(
    ("path", "names", "expected"),
    [
        (b"/v1/messages", (), True),
        (b"/team/v1/messages?beta=true", (), True),
        (b"/v1/complete", ("anthropic-version",), True),
        (b"/v1/messages/batches", (), False),
        (b"/v1/chat/completions", ("authorization",), False),
    ],
)
def test_requests_to_anthropics_api_are_known_by_path_or_header(
    path: bytes, names: tuple[str, ...], expected: bool
) -> None:
    assert speaks_anthropic(path, names) is expected


def test_an_error_event_has_a_name_where_readers_need_it() -> None:
    assert error_event(b"{}", anthropic=True) == b"event: error\ndata: {}\n\n"
    assert error_event(b"{}", anthropic=False) == b"data: {}\n\n"


def test_an_error_event_of_the_responses_api_has_its_members_at_the_top_too() -> None:
    body = error_body(Rejection(502, "no", "No.", details={"type": "x", "code": 7}), "id", anthropic=False)
    event = error_event(body, anthropic=False, number=7)
    assert event.startswith(b'event: error\ndata: {"type":"error","sequence_number":7,"error":{')
    document = orjson.loads(event.partition(b"data: ")[2])
    assert {name: document[name] for name in ("type", "code", "message", "param", "sequence_number")} == {
        "type": "error",
        "code": "no",
        "message": "No.",
        "param": None,
        "sequence_number": 7,
    }
    assert document["error"] == orjson.loads(body)["error"]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_number_after_the_last_event_is_known_however_the_stream_is_cut(size: int) -> None:
    text = rb'"text \"sequence_number\":9, "'
    stream = (
        b'data: {"sequence_number" : 11, "delta": ' + text + b'}\n\ndata: {"a":1,"sequence_number":12}\n\n'
    )
    numbers = EventNumbers()
    assert numbers.next == 0
    for start in range(0, len(stream), size):
        numbers.feed(stream[start : start + size])
    assert numbers.next == 13
    numbers.feed(b'data: {"sequence_number":1')
    assert numbers.next == 13


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_the_end_of_a_response_is_known_however_the_stream_is_cut(size: int) -> None:
    text = rb'"\"type\":\"response.completed\""'
    begun = b'data: {"type":"response.output_text.delta","delta":' + text + b"}\n\n"
    for name in (b"completed", b"incomplete", b"failed"):
        numbers, end = EventNumbers(), b'data: {"type": "response.' + name + b'","response":{}}'
        for start in range(0, len(begun), size):
            numbers.feed(begun[start : start + size])
        assert not numbers.is_over
        for start in range(0, len(end), size):
            numbers.feed(end[start : start + size])
        assert numbers.is_over


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (b"data: [DONE]\n\n", True),
        (b"data: {}\r\n\r\ndata:[DONE]\r\n\r\n", True),
        (b'event: message_stop\ndata: {"type": "message_stop", "x": {}  }\n\n', True),
        (b'data: {"text": "data: [DONE]"}\n\n', False),
        (rb'data: {"text": "\"type\":\"message_stop\""}' + b"\n\n", False),
        (b"data: [DONE]\n\ndata: {}\n\n", False),
        (b"", False),
    ],
)
def test_the_last_event_of_a_stream_is_known_by_its_bytes(last: bytes, expected: bool) -> None:
    assert is_last_event(last) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [(b"/v1/responses", True), (b"/x/responses?a=b", True), (b"/v1/responses/id", False)],
)
def test_requests_to_the_responses_api_are_known_by_path(path: bytes, expected: bool) -> None:
    assert speaks_responses(path) is expected
