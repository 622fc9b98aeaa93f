"""Streams cut into events."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies import slices
from shared.bodies.event_splitter import (
    MAX_BLANK,
    EventSplitter,
    event_splitter,
    has_events,
    splitter_for_response,
)
from shared.http.body_rejected import BodyRejected
from shared.http.media_type import MediaType
from shared.model.event import Event
from shared.model.messages import Headers
from tests.bodies.streams import ENDPOINTS, LINE_ENDS, Endpoint

MB = 1024 * 1024
SSE, LINES = "text/event-stream", "application/x-ndjson"


def splitter(kind: str = SSE, longest: int = 20 * MB) -> EventSplitter:
    made = event_splitter(MediaType(kind), longest)
    assert made is not None
    return made


def split(*pieces: bytes, kind: str = SSE, longest: int = 20 * MB) -> list[Event]:
    one = splitter(kind, longest)
    return [event for piece in pieces for event in one.feed(piece)] + one.end()


def data(*pieces: bytes, kind: str = SSE) -> list[str | None]:
    return [event.data for event in split(*pieces, kind=kind)]


@pytest.mark.parametrize("end", LINE_ENDS)
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_a_stream_cut_at_any_byte_gives_the_same_events_and_bytes(endpoint: Endpoint, end: str) -> None:
    body, kind = endpoint.stream(["Hé", "llo ", "\U0001f600!"], end), endpoint.content_type.partition(";")[0]
    whole = split(body, kind=kind)
    assert b"".join(event.raw for event in whole) == body
    assert split(*(bytes([byte]) for byte in body), kind=kind) == whole
    for place in range(len(body)):
        assert split(body[:place], body[place:], kind=kind) == whole


@given(st.lists(st.sampled_from([b"data: x", b"data", b"a", b"\r", b"\n", b"\r\n", b":"])), st.randoms())
def test_events_are_the_same_for_all_cuts_and_line_ends(tokens: list[bytes], luck: object) -> None:
    body = b"".join(tokens)
    for kind in (SSE, LINES):
        whole = split(body, kind=kind)
        assert b"".join(event.raw for event in whole) == body
        assert split(*(bytes([byte]) for byte in body), kind=kind) == whole


def test_data_of_an_event_is_read_with_any_line_end() -> None:
    stream = b": hello\nevent: x\ndata: one\r\ndata:two\r\n\r\rdata: three\n\nid: 4\n\ndata: cut off"
    assert [item for item in data(stream) if item is not None] == ["one\ntwo", "three", "cut off"]
    assert data(b"data\n\n") == [""]
    assert data(b"\xef\xbb\xbfdata: x\n\n\xef\xbb\xbfdata: y\n\n") == ["x", None]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_is_there_with_its_last_byte(end: bytes) -> None:
    one = splitter()
    for _ in range(3):
        event = b"data: x" + end + end
        assert one.feed(event[:-1]) == []
        assert [made.raw for made in one.feed(event[-1:])] == [event]


def test_lines_of_json_are_events_and_blank_ones_hold_nothing() -> None:
    lines = split(b'{"a":1}\n\r\n{"a":2}\r\n \n{"a":3}\n\n', kind=LINES)
    assert [event.data for event in lines] == ['{"a":1}', '{"a":2}', None, '{"a":3}', None]
    assert lines[1].with_data("{}").raw == b"\r\n{}\r\n"
    assert all(event.is_line for event in lines)


@pytest.mark.parametrize("kind", [SSE, LINES])
@pytest.mark.parametrize("blank", [b"\n", b"\r", b"\r\n"])
def test_blank_lines_are_no_events_each_but_come_with_the_next_one(kind: str, blank: bytes) -> None:
    body = 3000 * blank + b"data: x" + 2 * blank + 3000 * blank
    made = split(body, kind=kind)
    assert b"".join(event.raw for event in made) == body
    assert len(made) <= len(body) // MAX_BLANK + 2
    assert len([event for event in made if event.data]) == 1
    assert split(*(body[start : start + 7] for start in range(0, len(body), 7)), kind=kind) == made


@pytest.mark.parametrize("size", [16, 1000, 65_536])
def test_event_without_an_end_is_rejected_at_the_maximum_size(size: int) -> None:
    pieces = (MB // size + 1) * [b"x" * size]
    with pytest.raises(BodyRejected, match=r"longer than 1048576 bytes \(limits.response_body\)"):
        split(*pieces, longest=MB)


def test_a_whole_event_that_is_too_long_is_rejected() -> None:
    assert len(split(b"data: 123456789012\n\n", longest=20)) == 1
    with pytest.raises(BodyRejected):
        split(b"data: 1234567890123\n\n", longest=20)


@pytest.mark.parametrize(
    ("head", "streams"),
    [
        ([("Content-Type", "text/event-stream")], True),
        ([("Content-Type", "Text/Event-Stream; charset=utf-8")], True),
        ([("Content-Type", "application/x-ndjson"), ("Content-Encoding", "identity")], True),
        ([("Content-Type", "application/jsonl")], True),
        ([("Content-Type", "application/json")], False),
        ([], False),
        ([("Content-Type", "text/event-stream"), ("Content-Encoding", "gzip")], False),
        ([("Content-Type", "text/event-stream"), ("Content-Encoding", "gzip, br")], False),
        ([("Content-Type", "text/event-stream"), ("Content-Type", "text/plain")], False),
    ],
)
def test_only_readable_streams_are_split(head: list[tuple[str, str]], streams: bool) -> None:
    assert (splitter_for_response(Headers(head), 20 * MB) is not None) is streams


@given(st.integers(0, 20), st.sampled_from([b"\n", b"\r", b"\r\n"]))
def test_data_line_of_an_event_is_found_at_every_offset(place: int, end: bytes) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(slices, "SLICE", 7)
        assert has_events(b"x" * place + end + b"data: y")
        assert not has_events(b"x" * (place + 1) + b"data: y" + end + b" data: z")
    assert has_events(b"data:")
    assert has_events(b"\xef\xbb\xbfdata: x")


def test_large_events_in_small_pieces_take_linear_time() -> None:
    one = splitter()
    body = b"data: " + json.dumps("x" * 900_000).encode() + b"\n\n"
    made = [event for start in range(0, len(body), 10) for event in one.feed(body[start : start + 10])]
    assert [event.raw for event in made] == [body]
