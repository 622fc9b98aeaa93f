"""The bytes of a client become the same requests however they are cut, and nothing else than requests."""

import gc
import sys

import pytest
from httptools import HttpRequestParser
from hypothesis import example, given
from hypothesis import strategies as st

from mitm_engine.http1.body_chunks import gather
from mitm_engine.http1.head_rules import check_head
from mitm_engine.http1.request_reader import Incoming, RequestReader
from mitm_engine.options import Options
from tests.mitm_engine.http1.wire_bytes import Sent, broken, cuts, requests

HEAD = b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a.example.com\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def read(*pieces: bytes, options: Options | None = None) -> RequestReader:
    """A reader that was fed as a connection feeds it: not after it stopped."""
    reader = RequestReader(options or Options())
    for piece in pieces:
        if not reader.stopped:
            reader.feed(piece)
    return reader


def shown(incoming: Incoming) -> tuple[object, ...]:
    """All that counts. Whether a garbled method is a 400 or a 501 may depend on the cut."""
    why = incoming.fault.code if incoming.fault else None
    rejection = "rejected" if why in ("bad_request", "not_implemented") else why
    if rejection:
        return (incoming.method, incoming.target, rejection)
    body = b"".join(incoming.pieces)
    head = (incoming.method, incoming.target, incoming.version, incoming.fields)
    return (*head, body, incoming.size, incoming.complete, incoming.keep_alive)


def code(reader: RequestReader) -> str | None:
    last = reader.queue[-1]
    return last.fault.code if last.fault else None


@given(st.data(), st.lists(requests(), min_size=1, max_size=5))
def test_requests_are_the_same_at_every_cut(data: st.DataObject, sent: list[Sent]) -> None:
    raw = b"".join(one.raw for one in sent)
    reader = read(*data.draw(cuts(raw)))
    assert not reader.stopped
    assert reader.idle
    assert len(reader.queue) == reader.open_requests == len(sent)
    for incoming, meant in zip(reader.queue, sent, strict=True):
        assert incoming.fault is None
        assert incoming.complete
        assert (incoming.method, incoming.target) == (meant.method, meant.target)
        assert incoming.fields == tuple(meant.fields)
        assert b"".join(incoming.pieces) == meant.body
    ahead = [incoming.unread - incoming.size for incoming in reader.queue]
    assert not any(ahead[:1])
    assert all(ahead[1:])
    assert reader.unwanted == sum(len(one.body) for one in sent) + sum(ahead)


@given(st.data(), requests(), requests())
def test_malformed_requests_are_the_same_error_at_every_cut(
    data: st.DataObject, one: Sent, other: Sent
) -> None:
    raw = data.draw(broken(one.raw)) + other.raw
    whole, pieces = read(raw), read(*data.draw(cuts(raw)))
    assert [shown(incoming) for incoming in pieces.queue] == [shown(incoming) for incoming in whole.queue]
    options = Options()
    for incoming in whole.queue:
        if incoming.method:
            head = incoming.method, incoming.target, incoming.version, incoming.fields
            check_head(*head, options)


@given(st.data(), requests(), requests())
def test_requests_after_a_reader_has_forgotten_are_the_same(
    data: st.DataObject, one: Sent, other: Sent
) -> None:
    raw = one.raw + data.draw(broken(other.raw))
    meant, reader = read(raw), RequestReader(Options())
    for piece in data.draw(cuts(raw)):
        if not reader.stopped:
            reader.feed(piece)
        if all(incoming.keep_alive for incoming in reader.queue):
            reader.forget()
    assert [shown(incoming) for incoming in reader.queue] == [shown(incoming) for incoming in meant.queue]
    assert (reader.stopped, reader.idle) == (meant.stopped, meant.idle)


def test_reader_keeps_no_parser_for_a_request_that_may_follow() -> None:
    def parsers() -> int:
        return sum(isinstance(one, HttpRequestParser) for one in gc.get_objects())

    reader = read(HEAD)
    before = parsers()
    reader.forget()
    assert parsers() == before - 1


@given(st.lists(st.binary(max_size=80), max_size=5))
@example([b"\r\n\r\n"])
@example([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
@example([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
@example([b"GET /" + b"a" * 9000, b"b" * 9000])
def test_random_bytes_of_a_client_never_raise(pieces: list[bytes]) -> None:
    for incoming in read(*pieces).queue:
        assert incoming.method or incoming.fault


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "invalid_host"),
        (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", "bad_request"),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "bad_request"),
        (b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "invalid_host"),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", "bad_request"),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "method_not_allowed"),
        (b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", "not_implemented"),
        (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "not_implemented"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "bad_request"),
        (b"\x16\x03\x01\x02\x00\x01", "bad_request"),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", "bad_request"),
        (b"GET / HTTP/1.1\nHost: a\n\n", "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", "bad_request"),
        (b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", "bad_request"),
        (b"GET /" + b"a" * 8192 + b" HTTP/1.1\r\nHost: a\r\n\r\n", "uri_too_long"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 32768 + b"\r\n\r\n", "headers_too_large"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 100 + b"\r\n", "headers_too_large"),
        (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "bad_request"),
        (POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "bad_request"),
        (POST + b"Content-Length: +5\r\n\r\n", "bad_request"),
        (POST + b"Transfer-Encoding: xchunked\r\n\r\n", "bad_request"),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "bad_request"),
        (POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n", "bad_request"),
        (CHUNKED + b"g\r\n", "bad_request"),
        (CHUNKED + b"1\r\nab\r\n", "bad_request"),
        (CHUNKED + b"1;" + b"x" * 50_000 + b"\r\n", "headers_too_large"),
        (CHUNKED + b"1\r\na\r\n0\r\nX: " + b"x" * 50_000, "headers_too_large"),
    ],
)
def test_a_malformed_request_is_rejected_at_every_cut(raw: bytes, expected: str) -> None:
    size = max(len(raw) // 40, 1)
    pieces = [raw[start : start + size] for start in range(0, len(raw), size)]
    reader = read(*pieces)
    assert reader.stopped
    codes = {"bad_request", "not_implemented"} if expected == "not_implemented" else {expected}
    assert code(reader) in codes
    if len(raw) < 32_768:
        assert code(read(raw)) == expected


def test_a_large_head_in_small_pieces_ends_after_40_kib() -> None:
    reader = RequestReader(Options())
    fed = 0
    reader.feed(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
    while not reader.stopped:
        reader.feed(b"a" * 100)
        fed += 100
    assert code(reader) == "headers_too_large"
    assert fed < 42_000


def test_a_fault_in_a_body_belongs_to_its_request() -> None:
    reader = read(CHUNKED + b"1\r\na\r\n", b"zzz\r\n")
    (only,) = reader.queue
    assert only.method == b"POST"
    assert code(reader) == "bad_request"
    assert not only.complete


def test_a_body_over_the_limit_is_not_kept() -> None:
    reader = RequestReader(Options())
    reader.feed(CHUNKED)
    incoming = reader.queue[0]
    reader.want(incoming, 1000)
    for _ in range(100):
        reader.feed(b"64\r\n" + b"a" * 100 + b"\r\n")
    assert incoming.size == 10_000
    assert sum(map(len, incoming.pieces)) <= 1000


def test_body_bytes_are_counted_until_the_body_is_wanted() -> None:
    reader = read(POST + b"Content-Length: 10\r\n\r\n", b"12345")
    assert reader.unwanted == 5
    reader.want(reader.queue[0], 10)
    reader.feed(b"67890")
    assert reader.unwanted == 0
    assert b"".join(reader.queue[0].pieces) == b"1234567890"


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: keep-alive\r\n", True),
    ],
)
def test_a_request_decides_whether_its_connection_is_kept(
    version: bytes, connection: bytes, keeps: bool
) -> None:
    reader = read(b"GET / HTTP/%s\r\nHost: a\r\n%s\r\n" % (version, connection))
    assert reader.queue[0].keep_alive is keeps


@given(st.lists(st.binary(max_size=3000)))
def test_gathered_pieces_are_the_body(sent: list[bytes]) -> None:
    pieces: list[bytes | bytearray] = []
    for piece in sent:
        gather(pieces, piece)
    assert b"".join(pieces) == b"".join(sent)


def test_a_body_in_tiny_pieces_takes_little_more_than_its_size() -> None:
    pieces: list[bytes | bytearray] = []
    for _ in range(50_000):
        gather(pieces, b"ab")
    assert sum(sys.getsizeof(piece) for piece in pieces) < 150_000


def test_a_large_piece_is_not_copied() -> None:
    pieces: list[bytes | bytearray] = []
    large = bytes(65536)
    gather(pieces, b"a")
    gather(pieces, large)
    assert pieces[1] is large
