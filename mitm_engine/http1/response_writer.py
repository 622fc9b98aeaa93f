"""Writes a response with our own framing, in as few writes as possible."""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from mitmproxy import http

from mitm_engine.http1.heads import (
    CHUNKED,
    CLOSE,
    KEEP_ALIVE,
    LAST_CHUNK,
    Head,
    sized,
)
from mitm_engine.http1.request_reader import Incoming
from mitm_engine.wire_error import WireError
from shared.core.http_tokens import NO_BODY

if TYPE_CHECKING:
    from mitm_engine.client_connection import ClientConnection

#: The result of the `stream` function of an addon for a piece of a body.
StreamResult = bytes | Iterable[bytes] | Awaitable[bytes | Iterable[bytes]]
Stream = Callable[[bytes], StreamResult]

_FLUSH = 65_536  # bytes that are written at once, before the upstream pauses


class ResponseWriter:
    """Writes one response.

    `has_begun` is true from the first byte on: then no other response is possible. `keeps` is whether the
    connection may serve another request afterwards.
    """

    __slots__ = (
        "_client",
        "_incoming",
        "_is_chunked",
        "_is_empty",
        "_left",
        "_pending",
        "_size",
        "_stream",
        "has_begun",
        "keeps",
    )

    def __init__(self, client: "ClientConnection", incoming: Incoming) -> None:
        self._client = client
        self._incoming = incoming
        self._pending: list[bytes] = []
        self._size = 0
        self._left: int | None = None  # bytes that a body with a length still needs
        self._is_chunked = self._is_empty = False
        self._stream: Stream | None = None
        self.keeps = False
        self.has_begun = False

    def whole(self, response: http.Response) -> None:
        """Write a response whose body is complete. Raises `WireError` if its head is invalid."""
        parts, body = Head(response.data.headers.fields), response.data.content or b""
        length: int | None = len(body)
        if self._has_no_body(response):
            length, body = _length(response, parts), b""
        head = self._head(response, parts, sized(length))
        self.has_begun, self._left = True, 0
        if len(body) < _FLUSH:
            self._client.write(head + body)
        else:
            self._client.write(head)
            self._client.write(body)

    @property
    def takes_more(self) -> bool:
        """Whether an addon may write more: the response goes on, and its body has no length."""
        return self.has_begun and self._left is None and not self._is_empty

    def begin(self, response: http.Response) -> None:
        """Begin a response whose body comes in pieces. Raises `WireError` if its head is invalid."""
        parts, stream = Head(response.data.headers.fields), response.stream
        self._stream = stream if callable(stream) else None
        self._left = left = None if response.data.status_code == 204 else parts.length  # RFC 9110, 8.6
        self._is_empty = self._has_no_body(response)
        framing = b""
        if left is not None:
            framing = b"\r\nContent-Length: %d" % left
        elif not self._is_empty:
            # HTTP/1.0 has no chunks: there the end of the connection is the end of the body.
            self._is_chunked = self._incoming.version == b"HTTP/1.1"
            if self._is_chunked:
                framing = CHUNKED
                _name_coding(response)
        ends = left is None and not self._is_empty and not self._is_chunked
        head = self._head(response, parts, framing, ends=ends)
        self._pending, self._size = [head], len(head)

    def piece(self, data: bytes, chunk: bytes = b"") -> Awaitable[None] | None:
        """Add a piece of the body; it is empty at the end, as in mitmproxy's `stream` functions.

        `chunk` is the piece as a chunk, if it came so: it is added if the addon's function changes nothing.
        Await the result if there is one: then an addon's function is slow. Raises `WireError` if the function
        fails, or the body becomes longer than its head says.
        """
        if self._stream is None:
            if data:
                self._add(data)
            return None
        try:
            result = self._stream(data)
            # Most functions return the piece, or pieces.
            if result is data and chunk and self._is_chunked:
                self._pending.append(chunk)
            elif type(result) is bytes:
                if result:
                    self._add(result)
            elif type(result) is list:
                self._add_all(result)
            elif isinstance(result, bytes):
                self._add(result)
            elif inspect.isawaitable(result):
                return self._add_later(result)
            else:
                self._add_all(result)
        except Exception as error:  # an addon's code
            raise _stream_failed(error) from error
        return None

    async def _add_later(self, coming: Awaitable[bytes | Iterable[bytes]]) -> None:
        try:
            result = await coming
            self._add_all((result,) if isinstance(result, bytes) else result)
        except Exception as error:  # an addon's code
            raise _stream_failed(error) from error

    def _add_all(self, pieces: Iterable[bytes]) -> None:
        for piece in tuple(pieces):
            self._add(piece)

    def flush(self, *, at_once: bool = False) -> None:
        """Write what was added, but not the last byte of a body with a length: it may have to be cut."""
        if self._pending and self._left != 0:
            self.has_begun, self._size = True, 0
            data = b"".join(self._pending)
            self._pending.clear()
            self._client.write(data, at_once=at_once)

    def end(self) -> None:
        """Write the end of the body. Raises `WireError` if it is shorter than its head says."""
        if self._left and not self._is_empty:
            raise WireError("upstream_protocol_error", "The body is shorter than its head says.")
        if self._is_chunked:
            self._pending.append(LAST_CHUNK)
        self._left = None  # the last byte goes out, too
        self.flush()
        self._left = 0

    def break_off(self) -> None:
        """End the connection so that the response looks incomplete."""
        self.keeps = False
        ends_with_connection = not self._is_chunked and self._left is None
        if self.has_begun and ends_with_connection:
            self._client.abort()

    def _add(self, data: bytes) -> None:
        if not data or self._is_empty:
            return
        size = len(data)
        if self._left is not None:
            if size > self._left:
                raise WireError("upstream_protocol_error", "The body is longer than its head says.")
            self._left -= size
        # A chunk: RFC 9112, 7.1.
        self._pending.append(b"%x\r\n%b\r\n" % (size, data) if self._is_chunked else data)
        self._size += size
        if self._size >= _FLUSH:
            self.flush()

    def _has_no_body(self, response: http.Response) -> bool:
        return self._incoming.method == b"HEAD" or response.data.status_code in NO_BODY

    def _head(self, response: http.Response, parts: Head, framing: bytes, *, ends: bool = False) -> bytes:
        incoming, data = self._incoming, response.data
        if not 200 <= data.status_code <= 599:
            raise WireError("plugin_failure", "An addon set a status that is not final.")
        self.keeps = (
            incoming.keep_alive
            and incoming.complete
            and not ends
            and not self._client.is_last
            and not parts.wants_close
        )
        if not self.keeps:
            framing += CLOSE
        elif incoming.version == b"HTTP/1.0":
            framing += KEEP_ALIVE
        # The version is the same for every client (RFC 9110, 2.5).
        return parts.after(b"HTTP/1.1 %d %s" % (data.status_code, data.reason), framing)


def _stream_failed(error: Exception) -> WireError:
    return WireError("plugin_failure", f"An addon's stream failed: {error!r}")


def _length(response: http.Response, parts: Head) -> int | None:
    return None if response.data.status_code == 204 else parts.length  # RFC 9110, 8.6


def _name_coding(response: http.Response) -> None:
    """Show the coding of the body to the addons: one that writes more has to write chunks."""
    fields = response.data.headers.fields
    if not any(name.lower() == b"transfer-encoding" for name, _ in fields):
        response.data.headers.fields = (*fields, (b"Transfer-Encoding", b"chunked"))
