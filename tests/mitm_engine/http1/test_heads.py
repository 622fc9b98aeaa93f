"""Every outgoing head is framed by us, whatever its fields say."""

import pytest
from hypothesis import given
from mitmproxy import http
from mitmproxy.test import tutils

from mitm_engine.http1.heads import chunk, closing_response, request_head
from mitm_engine.wire_error import WireError
from tests.mitm_engine.http1.wire_bytes import FIELDS, PIECES
from tests.support.client import take_response


def request(*fields: tuple[bytes, bytes], path: bytes = b"/x") -> http.Request:
    made: http.Request = tutils.treq(headers=http.Headers(fields), path=path)
    return made


@given(FIELDS)
def test_a_request_keeps_its_fields_in_their_order_and_spelling(fields: list[tuple[bytes, bytes]]) -> None:
    lines = request_head(request(*fields), 5).split(b"\r\n")
    assert lines[0] == b"GET /x HTTP/1.1"
    assert lines[1:-3] == [b"%s: %s" % field for field in fields]
    assert lines[-3:] == [b"Content-Length: 5", b"", b""]


@pytest.mark.parametrize("name", [b"Connection", b"TRANSFER-ENCODING", b"content-length", b"Keep-Alive"])
def test_framing_fields_of_an_addon_are_dropped(name: bytes) -> None:
    assert request_head(request((name, b"chunked")), None) == b"GET /x HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize("bad", [b"a\r\nX: b", b"a\n", b"a\rb", b"a\0b", b"\r\n"])
def test_an_addon_cannot_split_a_request(bad: bytes) -> None:
    for made in (request((b"X", bad)), request((bad, b"x")), request(path=b"/" + bad)):
        with pytest.raises(WireError):
            request_head(made, None)


@given(PIECES)
def test_chunks_are_read_back(pieces: list[bytes]) -> None:
    coded = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(map(chunk, pieces)) + b"0\r\n\r\n"
    )
    taken = take_response(coded)
    assert taken is not None
    assert taken[0].body == b"".join(pieces)


def test_a_closing_response_announces_it_and_is_whole() -> None:
    taken = take_response(closing_response(http.Response.make(400, b"abc", {"Connection": "keep-alive"})))
    assert taken is not None
    response, rest = taken
    assert (response.status, response.body, response.closes, rest) == (400, b"abc", True, b"")


@pytest.mark.parametrize("name", [b"Content-Length ", b"Transfer-Encoding\t", b"A b", b""])
def test_a_header_with_an_invalid_name_is_not_sent(name: bytes) -> None:
    with pytest.raises(WireError):
        request_head(request((name, b"5")), None)
    with pytest.raises(WireError):
        closing_response(http.Response(b"HTTP/1.1", 200, b"", http.Headers([(name, b"5")]), b"", None, 0, 0))


@pytest.mark.parametrize("path", [b"/a b HTTP/1.1", b"a", b"", b"/\xc3\xa4"])
def test_an_invalid_path_is_not_sent(path: bytes) -> None:
    with pytest.raises(WireError):
        request_head(request(path=path), None)


def test_an_invalid_method_is_not_sent() -> None:
    made = request()
    made.data.method = b"GET /other HTTP/1.1\r\n"
    with pytest.raises(WireError):
        request_head(made, None)
