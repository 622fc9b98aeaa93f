"""Heads as bytes. Every outgoing message is framed here, whatever its headers say."""

from collections.abc import Iterable
from http import HTTPStatus

from mitmproxy import http

from mitm_engine.faults import failed

#: Headers that the wire sets itself, in lower case.
_FRAMING = frozenset((b"connection", b"transfer-encoding", b"content-length", b"keep-alive"))
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def request_head(request: http.Request, length: int | None) -> bytes:
    """The head of a request with a body of `length` bytes, None for one that has no body.

    Raises `Failed` when an addon set something that does not fit on one line.
    """
    data = request.data
    first = b"%s %s HTTP/1.1" % (data.method, data.path)
    return _head(first, data.headers.fields, () if length is None else (b"Content-Length: %d" % length,))


def response_head(response: http.Response, framing: Iterable[bytes]) -> bytes:
    """The head of an answer. `framing` are whole lines: how its body ends, and what happens afterwards.

    Raises `Failed` when an addon set something that does not fit on one line.
    """
    data = response.data
    reason = data.reason or _REASONS.get(data.status_code, b"")
    return _head(b"HTTP/1.1 %d %s" % (data.status_code, reason), data.headers.fields, framing)


def _head(first: bytes, fields: Iterable[tuple[bytes, bytes]], framing: Iterable[bytes]) -> bytes:
    lines = [first]
    lines += [b"%s: %s" % field for field in fields if field[0].lower() not in _FRAMING]
    lines += framing
    head = b"\r\n".join(lines) + b"\r\n\r\n"
    ends = len(lines) + 1
    if head.count(b"\n") != ends or head.count(b"\r") != ends or b"\0" in head:
        raise failed("plugin_failure", detail="An addon set a header that does not fit on one line.")
    return head


def chunk(piece: bytes) -> bytes:
    """A piece of a body in the chunked coding (RFC 9112, 7.1); `piece` is not empty."""
    return b"%x\r\n%s\r\n" % (len(piece), piece)


def length_of(response: http.Response) -> int | None:
    """The length that the head gives to the body; None when it gives none, or another coding."""
    length = None
    for name, value in response.data.headers.fields:
        lower = name.lower()
        if lower == b"transfer-encoding":
            return None
        if lower == b"content-length" and value.isdigit():
            length = int(value)
    return length


def wants_close(response: http.Response) -> bool:
    """Whether an addon asks for the connection to end after this answer."""
    return any(
        b"close" in value.lower()
        for name, value in response.data.headers.fields
        if name.lower() == b"connection"
    )


def closing_answer(response: http.Response) -> bytes:
    """A whole answer after which the connection ends."""
    body = response.data.content or b""
    return response_head(response, (b"Content-Length: %d" % len(body), b"Connection: close")) + body
