"""A repeated head is read as if it were parsed, and nothing else passes for a repeated head."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm_engine.http1.request_reader import Incoming, RequestReader
from mitm_engine.options import Options
from tests.mitm_engine.http1.test_request_reader import shown
from tests.mitm_engine.http1.wire_bytes import Sent, broken, cuts, requests

OPTIONS = Options(varying={b"x-request-id": re.compile(rb"[a-z0-9-]{1,128}").fullmatch})
POST = b"POST /v1 HTTP/1.1\r\nHost: a.example.com\r\nX-Request-ID: %s\r\nContent-Length: %s\r\n%s\r\n%s"


def post(body: bytes, identity: bytes = b"id-1", length: bytes | None = None, more: bytes = b"") -> bytes:
    return POST % (identity, b"%d" % len(body) if length is None else length, more, body)


def served(reader: RequestReader, *pieces: bytes) -> list[Incoming]:
    """The requests that come with `pieces`, each answered before the next bytes come."""
    found: list[Incoming] = []
    for piece in pieces:
        if not reader.stopped:
            reader.feed(piece)
        while reader.queue and (reader.queue[0].complete or reader.queue[0].fault):
            found.append(reader.queue.pop(0))
            reader.open_requests -= 1
            reader.want(found[-1], 0)
    return found


def repeated(*sent: bytes) -> tuple[list[Incoming], RequestReader]:
    """The heads that a connection reads after it has read the first of `sent` twice."""
    reader = RequestReader(OPTIONS)
    served(reader, sent[0], sent[0])
    return served(reader, *sent[1:]), reader


def test_second_of_two_equal_heads_is_not_parsed() -> None:
    reader = RequestReader(OPTIONS)
    first, second, third = served(reader, post(b"abc"), post(b"abc"), post(b"abc"))
    assert first.last_head is None
    assert second.last_head is third.last_head is not None
    assert shown(second) == shown(third) == shown(first)


@given(st.data(), st.lists(requests(), min_size=1, max_size=2))
def test_requests_of_a_connection_are_read_as_on_connections_of_their_own(
    data: st.DataObject, pool: list[Sent]
) -> None:
    reader = RequestReader(OPTIONS)
    for _ in range(6):
        raw = data.draw(st.sampled_from(pool)).raw
        if data.draw(st.integers(0, 3)) == 0:
            raw = data.draw(broken(raw))
        pieces = data.draw(cuts(raw))
        mine, alone = served(reader, *pieces), served(RequestReader(OPTIONS), *pieces)
        assert [shown(one) for one in mine] == [shown(one) for one in alone]
        if reader.stopped or not reader.idle:
            break


@pytest.mark.parametrize(
    "sent",
    [
        post(b"other body"),
        post(b""),
        post(b"abc", b"id-2"),
        post(b"abc", b"ID"),
        post(b"abc", b""),
        post(b"abc", b"a" * 128),
        post(b"abc", b"a" * 129),
        post(b"abc", b"a\rb"),
        post(b"abc", b"a\nb"),
        post(b"abc", b"a", b"03"),
        post(b"abc", b"a", b"+3"),
        post(b"abc", b"a", b"3, 3"),
        post(b"abc", b"a", b" 3"),
        post(b"abc", b"a", b""),
        post(b"abc", b"a", b"9" * 19),
        post(b"abc", more=b"Content-Length: 3\r\n"),
        post(b"abc", more=b"Transfer-Encoding: chunked\r\n"),
        post(b"abc", more=b"X: y\r\n"),
        post(b"abc").replace(b"POST", b"PUT"),
        post(b"abc").replace(b"/v1", b"/v2"),
        post(b"abc").replace(b"a.example", b"b.example"),
        post(b"abc").replace(b"\r\n", b"\n"),
        b"\r\n" + post(b"abc"),
        post(b"abc") + post(b"de"),
        post(b"abc") + b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    ],
)
def test_head_that_differs_is_read_as_on_a_connection_of_its_own(sent: bytes) -> None:
    found, reader = repeated(post(b"abc"), sent)
    alone = RequestReader(OPTIONS)
    assert [shown(one) for one in found] == [shown(one) for one in served(alone, sent)]
    assert (reader.stopped, reader.idle, reader.unwanted) == (alone.stopped, alone.idle, alone.unwanted)


def test_fields_that_vary_are_new_and_the_others_the_same_objects() -> None:
    reader = RequestReader(OPTIONS)
    _, second, third = served(reader, post(b"abc"), post(b"abc"), post(b"abcd", b"id-2"))
    assert third.fields == (
        (b"Host", b"a.example.com"),
        (b"X-Request-ID", b"id-2"),
        (b"Content-Length", b"4"),
    )
    assert third.fields[0] is second.fields[0]
    assert second.fields[1:] == ((b"X-Request-ID", b"id-1"), (b"Content-Length", b"3"))


def test_note_of_the_addons_lives_as_long_as_the_head_is_repeated() -> None:
    reader = RequestReader(OPTIONS)
    _, second = served(reader, post(b"abc"), post(b"abc"))
    assert second.last_head is not None
    second.last_head.note = "read"
    third, other, fourth, fifth = served(
        reader, post(b"", b"id-2"), post(b"abc", more=b"X: y\r\n"), post(b"abc"), post(b"abc")
    )
    assert third.last_head is not None
    assert third.last_head.note == "read"
    assert other.last_head is None
    assert fourth.last_head is None
    assert fifth.last_head is not None
    assert fifth.last_head.note is None


@pytest.mark.parametrize(
    "sent",
    [
        post(b"1\r\na\r\n0\r\n\r\n", more=b"").replace(b"Content-Length: 11", b"Transfer-Encoding: chunked"),
        post(b"abc", more=b"Expect: 100-continue\r\n"),
        post(b"abc", more=b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
        post(b"abc").replace(b" /v1", b" http://a.example.com/v1"),
        post(b"abc").replace(b": id-1", b":id-1"),
        post(b"abc", more=b"X: %s\r\n" % (b"x" * 32_400)),
    ],
    ids=["chunked", "expect", "upgrade", "absolute form", "no space", "too long to grow"],
)
def test_head_with_more_meaning_than_its_bytes_is_parsed_each_time(sent: bytes) -> None:
    found = served(RequestReader(OPTIONS), sent, sent, sent)
    assert len(found) == 3
    assert [one.last_head for one in found] == [None] * 3
    assert shown(found[2]) == shown(found[0])


def test_connection_with_a_different_head_each_time_does_not_compare_any_more() -> None:
    reader = RequestReader(OPTIONS)
    served(reader, *[post(b"abc", more=b"X: %d\r\n" % number) for number in range(8)])
    same = served(reader, *[post(b"abc")] * 3)
    assert [one.last_head for one in same] == [None] * 3


def test_head_that_is_not_repeated_soon_is_forgotten() -> None:
    reader = RequestReader(OPTIONS)
    served(reader, post(b"abc"), post(b"abc"))
    reader.forget()
    (found,) = served(reader, post(b"abc"))
    assert found.last_head is None


def test_bytes_of_a_body_after_a_repeated_head_are_counted_until_they_are_wanted() -> None:
    reader = RequestReader(OPTIONS)
    served(reader, post(b"abc"), post(b"abc"))
    reader.feed(post(b"12345", length=b"10"))
    assert reader.unwanted == 5
    reader.want(reader.queue[0], 10)
    reader.feed(b"67890")
    assert reader.unwanted == 0
    assert reader.queue[0].complete
    assert b"".join(reader.queue[0].pieces) == b"1234567890"
