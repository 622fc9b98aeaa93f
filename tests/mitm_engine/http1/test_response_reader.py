"""The bytes of an upstream become the same response at every cut, or an error, and nothing else."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mitm_engine.http1.response_reader import ResponseReader, without_connection
from mitm_engine.wire_error import WireError
from shared.core.http_tokens import connection_options
from tests.mitm_engine.http1.wire_bytes import FIELDS, PIECES, broken, chunked, cuts, head

OK = b"HTTP/1.1 200 OK\r\n"
SIZED = OK + b"Content-Length: 2\r\n\r\nab"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
_INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


def reader(*, is_head_request: bool = False, limit: int = 65_536) -> ResponseReader:
    made = ResponseReader(limit)
    made.expect(is_head_request=is_head_request)
    return made


def read(*pieces: bytes, is_head_request: bool = False) -> ResponseReader:
    made = reader(is_head_request=is_head_request)
    for piece in pieces:
        made.feed(piece)
    return made


def outcome(pieces: list[bytes], *, is_head_request: bool = False) -> tuple[object, ...]:
    """The response as an exchange sees it; bytes behind it do not count."""
    made, has_failed = reader(is_head_request=is_head_request), False
    try:
        for piece in pieces:
            if not made.complete:
                made.feed(piece)
    except WireError:
        has_failed = True
    if has_failed or not made.has_head:
        return (made.has_head, has_failed)
    head = made.version, made.status, made.reason, made.fields, made.until_close
    return (*head, b"".join(made.pieces), made.complete, has_failed)


@st.composite
def responses(draw: st.DrawFn) -> tuple[int, list[tuple[bytes, bytes]], bytes, bytes]:
    """Status, fields, body, and the bytes that say so."""
    status = draw(st.sampled_from([200, 201, 204, 304, 400, 404, 429, 500, 599]))
    fields, pieces = draw(FIELDS), draw(PIECES)
    body = b"" if status in (204, 304) else b"".join(pieces)
    if status == 204:
        rest = b""
    elif draw(st.booleans()):
        fields = [*fields, (b"Content-Length", b"%d" % len(body))]
        rest = body
    elif status == 304:
        rest = b""
    else:
        fields = [*fields, (b"Transfer-Encoding", b"chunked")]
        rest = chunked(pieces, draw(st.sampled_from([b"", b"X-Sum: 1\r\n"])))
    interim = _INTERIM * draw(st.integers(0, 2))
    return status, fields, body, interim + head(b"HTTP/1.1 %d Some Reason" % status, fields) + rest


@given(st.data(), responses())
def test_a_response_is_the_same_at_every_cut(
    data: st.DataObject, response: tuple[int, list[tuple[bytes, bytes]], bytes, bytes]
) -> None:
    status, fields, body, raw = response
    made = read(*data.draw(cuts(raw)))
    assert made.complete
    assert made.reusable
    assert (made.status, made.reason, list(made.fields)) == (status, b"Some Reason", fields)
    assert b"".join(made.pieces) == body
    assert made.held == len(body)


@given(st.data(), responses(), st.booleans())
def test_a_malformed_response_fails_the_same_way_at_every_cut(
    data: st.DataObject, response: tuple[int, list[tuple[bytes, bytes]], bytes, bytes], asked_for_head: bool
) -> None:
    raw = data.draw(broken(response[3]))
    pieces = data.draw(cuts(raw))
    assert outcome(pieces, is_head_request=asked_for_head) == outcome([raw], is_head_request=asked_for_head)


@given(st.lists(st.binary(max_size=60), max_size=5), st.booleans())
@example([b"SSH-2.0-OpenSSH_9.2\r\n\r\n"], False)
@example([b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n"], False)
def test_random_bytes_of_an_upstream_raise_only_wire_errors(
    pieces: list[bytes], asked_for_head: bool
) -> None:
    with contextlib.suppress(WireError):
        read(*pieces, is_head_request=asked_for_head)


@given(st.data(), PIECES)
def test_a_chunked_body_is_the_same_at_every_cut(data: st.DataObject, pieces: list[bytes]) -> None:
    made = read(CHUNKED, *data.draw(cuts(chunked(pieces))))
    taken = []
    while (piece := made.take()) is not None:
        taken.append(piece)
    assert b"".join(taken) == b"".join(pieces)
    assert made.complete
    assert made.held == 0


def forwarded(reads: list[bytes]) -> tuple[bytes, bool, bool]:
    """The bytes that a stream forwards of a chunked body besides whole chunks; its end, and whether it fails."""
    made, body = read(CHUNKED), b""
    try:
        for data in reads:
            if made.complete:
                break
            if content := made.content_of(data):
                body += content
            else:
                made.feed(data)
                body += made.take() or b""
    except WireError:
        return body, False, True
    return body, made.complete, False


_CHUNK = st.binary(min_size=1, max_size=20).map(lambda data: b"%x\r\n%b\r\n" % (len(data), data))
_CHUNKS = st.lists(_CHUNK, max_size=4).map(b"".join)
_ODD = [
    b"5\r\n",
    b"5;x=1\r\n",
    b"05\r\nabcde\r\n",
    b"A\r\n0123456789\r\n",
    b"0\r\n",
    b"\r\n",
    b"6",
    b"1\r\na\n",
]
_READS = st.lists(_CHUNK | _CHUNKS | st.sampled_from(_ODD), max_size=8)


@given(_READS)
@example([b"1\r\na\r\n6\r\n", b"1\r\nb\r\n", b"\r\n", b"1\r\nc\r\n"])
@example([b"1\r\na\r\n6", b"1\r\nb\r\n", b"0\r\n\r\n"])
@example([b"1\r\na\r\n", b"\r\nab\r\n"])
@example([b"1\r\na\r\n", b"0\r\n\r\n", b"1\r\na\r\n"])
@example([b"1\r\na\r\n0\r\n", b"1\r\na\r\n", b"\r\n"])
def test_whole_chunks_that_are_not_fed_change_nothing(reads: list[bytes]) -> None:
    raw = b"".join(reads)
    made = outcome([CHUNKED + raw])
    body, is_complete, has_failed = forwarded(reads)
    assert (is_complete, has_failed) == (made[-2], made[-1]) if len(made) > 2 else has_failed
    if not has_failed:
        assert body == made[-3]


def test_whole_chunks_between_two_others_are_not_fed() -> None:
    made = read(CHUNKED)
    assert not made.content_of(chunked([b"ab"])[:7])  # the first one
    made.feed(b"2\r\nab\r\n")
    assert made.content_of(b"3\r\ncde\r\n") == b"cde"
    made.feed(b"3\r\nc")
    assert not made.content_of(b"1\r\nd\r\n")
    made.feed(b"de\r\n")
    assert made.content_of(b"1\r\nd\r\n") == b"d"


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        OK + b"Content-Length: -2\r\n\r\nab",
        OK + b"Content-Length: 2, 2\r\n\r\nab",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
        OK + b"X Y: a\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
        OK + b"X: " + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"zz\r\n",
        _INTERIM * 3000,
    ],
)
def test_a_malformed_response_fails_in_one_read_and_in_many(raw: bytes) -> None:
    with pytest.raises(WireError):
        read(raw)
    with pytest.raises(WireError):
        read(*[raw[start : start + 7] for start in range(0, len(raw), 7)])


@pytest.mark.parametrize("begin", [b"1;", b"0\r\nX: "])
def test_chunk_extensions_and_trailers_are_bounded(begin: bytes) -> None:
    made, fed = read(CHUNKED, begin), 0
    with contextlib.suppress(WireError):
        while fed < 100_000:
            made.feed(b"x" * 100)
            fed += 100
    assert fed < 70_000


@pytest.mark.parametrize("raw", [SIZED[:-2], SIZED], ids=["without a body", "with a body, which is dropped"])
def test_a_response_to_head_ends_at_its_head_and_its_connection_is_not_reused(raw: bytes) -> None:
    made = read(raw, is_head_request=True)
    assert (made.complete, made.reusable, list(made.pieces)) == (True, False, [])
    assert made.fields == ((b"Content-Length", b"2"),)


@pytest.mark.parametrize(
    ("raw", "reusable"),
    [
        (SIZED, True),
        (SIZED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), False),
        (SIZED.replace(b"1.1", b"1.0"), False),
        (SIZED.replace(b"1.1", b"1.0").replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"), True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", True),
        (SIZED + SIZED, False),
        (SIZED + b"junk", False),
        (CHUNKED + b"0\r\n\r\n", True),
        (CHUNKED + b"0\r\n\r\nHTTP", False),
    ],
)
def test_a_complete_response_decides_whether_its_connection_is_reused(raw: bytes, reusable: bool) -> None:
    made = read(raw)
    assert made.complete
    assert made.reusable is reusable


def test_a_body_without_length_ends_with_the_connection_and_only_there() -> None:
    made = read(OK + b"\r\nabc")
    assert made.until_close
    assert not made.complete
    assert made.end()
    assert not made.reusable


@pytest.mark.parametrize("raw", [SIZED[:-1], CHUNKED + b"1\r\na\r\n0\r\n", OK[:-2], OK, b""])
def test_an_end_inside_a_response_does_not_complete_it(raw: bytes) -> None:
    assert not read(raw).end()


@pytest.mark.parametrize("stray", [SIZED, b"H", b"\r\n", b"\0"])
def test_bytes_without_a_request_are_an_error(stray: bytes) -> None:
    with pytest.raises(WireError):
        ResponseReader(65_536).feed(stray)
    made = read(SIZED)
    with pytest.raises(WireError):
        made.feed(stray)
    assert not made.reusable


def test_response_reader_reads_consecutive_responses() -> None:
    made = read(SIZED)
    for status in (b"201", b"404"):
        made.expect(is_head_request=False)
        assert not made.has_head
        assert made.held == 0
        made.feed(b"HTTP/1.1 %s X\r\nContent-Length: 0\r\n\r\n" % status)
        assert made.status == int(status)
        assert made.reusable


@pytest.mark.parametrize(
    ("value", "limit"),
    [(b"timeout=5, max=100", 5.0), (b"max=3, timeout = 7", 7.0), (b"max=3", None), (b"x", None)],
)
def test_keep_alive_of_an_upstream_bounds_the_idle_time(value: bytes, limit: float | None) -> None:
    assert read(OK + b"Keep-Alive: %s\r\nContent-Length: 0\r\n\r\n" % value).idle_limit == limit


@given(FIELDS)
def test_fields_that_connection_does_not_name_stay(fields: list[tuple[bytes, bytes]]) -> None:
    plain = tuple([field for field in fields if field[0].lower() != b"connection"])
    assert without_connection((*plain, (b"Connection", b"keep-alive")), (b"keep-alive",)) == plain


@given(FIELDS)
def test_fields_that_connection_names_go_with_it(fields: list[tuple[bytes, bytes]]) -> None:
    named = b", ".join([name for name, _ in fields])
    kept = without_connection((*fields, (b"CONNECTION", named)), (named,))
    assert {name.lower() for name, _ in kept}.isdisjoint(connection_options((named,)))


@given(PIECES, st.lists(st.booleans(), max_size=20))
def test_what_was_peeked_at_is_shown_once_and_stays_to_be_taken(
    pieces: list[bytes], peeks: list[bool]
) -> None:
    made, body, shown = read(CHUNKED), b"".join(pieces), b""
    for piece, peeked in zip(pieces, [*peeks, *[True] * len(pieces)], strict=False):
        made.feed(b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b"")
        if peeked:
            shown += made.peek(len(shown)) or b""
    shown += made.peek(len(shown)) or b""
    assert shown == body
    assert made.peek(len(body)) is None
    assert (made.held, made.peek(0)) == (len(body), body or None)
    assert (made.take() or b"") == body


def test_small_pieces_that_are_peeked_at_are_few_objects() -> None:
    made, seen = read(CHUNKED), 0
    for _ in range(10_000):
        made.feed(b"2\r\nab\r\n")
        assert made.peek(seen) == b"ab"
        seen += 2
    assert len(made.pieces) < 30
