"""Parses the bytes of an upstream into one response: llhttp, and the checks that it does not make."""

import re

from httptools import HttpParserError, HttpResponseParser

from mitm_engine.http1.body_chunks import SMALL, size_line
from mitm_engine.http1.head_rules import have_valid_values, is_length, size_of
from mitm_engine.http1.header_names import NO_NAME, HeaderNames
from mitm_engine.wire_error import WireError
from shared.core.http_tokens import NO_BODY, Fields, removed_by_connection

_REASON = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_VERSIONS = {"1.1": b"HTTP/1.1", "1.0": b"HTTP/1.0"}
_CRLF = b"\r\n"
_FRAMING = HeaderNames((b"connection", b"content-length", b"transfer-encoding", b"keep-alive"))


def _error(detail: str) -> WireError:
    return WireError("upstream_protocol_error", detail)


class _Stray(Exception):
    """The upstream sent a second response."""


class ResponseReader:
    """The parser of one upstream connection, one response at a time.

    Attributes:
        has_head: whether the head has arrived (those of interim responses are dropped).
        version, status, reason, fields: the head.
        complete: whether the body has ended.
        pieces: what of the body has arrived and was not taken.
        held: the bytes of `pieces`.
        until_close: whether only the end of the connection ends the body.
        reusable: whether the connection can serve again.
        idle_limit: how long the upstream keeps the connection (`Keep-Alive: timeout`), in seconds.
    """

    __slots__ = (
        "_expected",
        "_fields",
        "_fruitless",
        "_head_limit",
        "_is_between_chunks",
        "_is_head_request",
        "_parser",
        "_progress",
        "_read",
        "_reason",
        "complete",
        "fields",
        "has_head",
        "held",
        "idle_limit",
        "pieces",
        "reason",
        "reusable",
        "status",
        "until_close",
        "version",
    )

    def __init__(self, head_limit: int) -> None:
        self._parser = HttpResponseParser(self)
        self._head_limit = head_limit
        self.pieces: list[bytes] = []  # an empty deque takes 760 bytes
        self.idle_limit: float | None = None
        self.expect(is_head_request=False)
        self._expected = False

    def expect(self, *, is_head_request: bool) -> None:
        """Expect one response from now on."""
        self._expected = True
        self._is_head_request = is_head_request
        self._fruitless = self._read = 0
        self._progress = self._is_between_chunks = False
        self._fields: list[tuple[bytes, bytes]] = []
        self._reason = b""
        self.pieces.clear()
        self.held = 0
        self.has_head = self.complete = self.until_close = self.reusable = False
        self.version = self.reason = b""
        self.status = 0
        self.fields: Fields = ()

    def feed(self, data: bytes) -> None:
        """Read more bytes. Raises `WireError` if they are not a response, or not expected."""
        if self.complete or not self._expected:
            self.reusable = False
            raise _error("The upstream sent data without a request.")
        self._progress = self._is_between_chunks = False
        self._read = size = len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            if isinstance(error.__context__, WireError):
                raise error.__context__ from None
            if not self.complete:
                raise _error(f"The response is malformed: {error}") from None
            # The response is complete; the bytes after it are not read, and the connection ends.
            self.reusable = False
        if self._is_between_chunks and not data.endswith(_CRLF):
            self._is_between_chunks = False  # a part of the next size has arrived
        # No head and no byte of a body: long heads, interim responses, chunk extensions, trailers.
        self._fruitless = 0 if self._progress else self._fruitless + size
        if self._fruitless > self._head_limit:
            raise _error("The head of the response is too large.")

    def content_of(self, data: bytes) -> bytes:
        """Return the content of `data` if it is one whole chunk, just as it would be written; else nothing.

        Such a chunk need not be fed: the parser waits for a chunk before it and after it.
        """
        if not self._is_between_chunks or (line := size_line(len(data))) is None:
            return b""
        return data[len(line) : -2] if data.startswith(line) and data.endswith(_CRLF) else b""

    def end(self) -> bool:
        """Handle the end of the connection. Return whether it completes the response."""
        if self.has_head and self.until_close:
            self.complete = True
        return self.complete

    def close(self) -> None:
        """Drop the parser: it and its owner refer to each other. May be called again."""
        self._parser = None  # type: ignore[assignment]  # nothing is read any more

    def take(self) -> bytes | None:
        """Return what has arrived of the body since the last call, None if nothing has."""
        pieces = self.pieces
        if not pieces:
            return None
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.held = 0
        return piece

    def peek(self, seen: int) -> bytes | None:
        """Return what follows the first `seen` bytes of the body, which stays; None if nothing does."""
        wanted = left = self.held - seen
        if wanted <= 0:
            return None
        pieces = self.pieces
        first = len(pieces)
        if first == 1 and not seen:
            return pieces[0]
        while left > 0:
            first -= 1
            left -= len(pieces[first])
        piece = kept = b"".join(pieces[first:])
        if first and len(pieces[first - 1]) < SMALL:  # not one object per small piece
            first -= 1
            kept = pieces[first] + piece
        pieces[first:] = [kept]
        return piece[-wanted:]

    # Called by llhttp.

    def on_message_begin(self) -> None:
        if self.complete:
            self.reusable = False
            raise _Stray
        self._fields = []
        self._reason = b""

    def on_status(self, piece: bytes) -> None:
        self._reason += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:  # else a trailer
            self._fields.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        version = _VERSIONS.get(self._parser.get_http_version())
        if version is None or not (100 <= status <= 599) or status == 101:
            raise _error("The upstream sent a status line that cannot be used.")
        if status < 200:
            return
        self._check_fields()
        self.version, self.status, self.reason = version, status, self._reason
        self.fields = tuple(self._fields)
        self.until_close = self._frame(status, version)
        self.has_head = self._progress = True
        if self._is_head_request:
            # llhttp waits for a body that never arrives, so this connection cannot be used again.
            self.complete = True

    def on_chunk_header(self) -> None:
        self._is_between_chunks = False

    def on_chunk_complete(self) -> None:
        self._is_between_chunks = True

    def on_body(self, piece: bytes) -> None:
        self._progress = True
        if not self._is_head_request:
            self.pieces.append(piece)
            self.held += len(piece)

    def on_message_complete(self) -> None:
        if not self.has_head:
            return  # an interim response
        self.complete, self._progress, self._is_between_chunks = True, True, False
        self.reusable = self._parser.should_keep_alive() and not self._is_head_request

    def _check_fields(self) -> None:
        if not (have_valid_values(self._fields) and _REASON.fullmatch(self._reason)):
            raise _error("The head of the response contains invalid characters.")
        # One read may contain more than the limit, so counting reads is not enough.
        could_exceed = self._fruitless + self._read > self._head_limit
        if could_exceed and size_of(self._fields) > self._head_limit:
            raise _error("The head of the response is too large.")

    def _frame(self, status: int, version: bytes) -> bool:
        """Return whether only the end of the connection ends the body (RFC 9112, 6.3)."""
        lengths, codings, connection = [], [], []
        found = [(f, value) for name, value in self._fields if (f := _FRAMING[name]) is not None]
        for framing, value in found:
            if framing == b"content-length":
                lengths.append(value)
            elif framing == b"transfer-encoding":
                codings.append(value)
            elif framing == b"connection":
                connection.append(value)
            elif framing == NO_NAME:
                raise _error("The head of the response has an invalid field name.")
            else:
                self.idle_limit = _timeout(value)
        if connection:
            self.fields = without_connection(self.fields, tuple(connection))
        if lengths or codings:
            _check_framing(lengths, codings, version)
            return False
        return not (status in NO_BODY or self._is_head_request)


def without_connection(fields: Fields, values: tuple[bytes, ...]) -> Fields:
    """Return the fields without Connection, and without those that its `values` remove."""
    kept = [field for field in fields if _FRAMING[field[0]] != b"connection"]
    if removed := removed_by_connection(values):
        kept = [field for field in kept if field[0].lower() not in removed]
    return tuple(kept)


def _check_framing(lengths: list[bytes], codings: list[bytes], version: bytes) -> None:
    if codings and (lengths or [coding.lower() for coding in codings] != [b"chunked"]):
        raise _error("The response has conflicting framing.")
    if codings and version == b"HTTP/1.0":
        raise _error("HTTP/1.0 has no transfer codings.")
    if lengths and (len(lengths) > 1 or not is_length(lengths[0])):
        raise _error("The Content-Length of the response is invalid.")


def _timeout(value: bytes) -> float | None:
    """Return the ``timeout`` of a Keep-Alive header, in seconds (RFC 2068, 19.7.1.1)."""
    found = re.search(rb"timeout\s*=\s*([0-9]{1,6})", value)
    return float(found[1]) if found else None
