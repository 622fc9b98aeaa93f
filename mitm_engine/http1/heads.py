"""Heads as bytes. Every outgoing message is framed here, regardless of its own framing headers."""

from collections.abc import Sequence

from mitmproxy import http

from mitm_engine.http1.head_rules import METHOD_BYTES, match_target
from mitm_engine.http1.header_names import NO_NAME, HeaderNames
from mitm_engine.http1.request_reader import Incoming
from mitm_engine.wire_error import WireError
from shared.core.http_tokens import HOP_BY_HOP, connection_options, is_token
from shared.core.memo import Memo

# Headers that the engine sets itself, has handled (Expect), or does not forward.
_FRAMING = HeaderNames((*[name.encode() for name in HOP_BY_HOP], b"content-length", b"expect"))
# The beginning of the line of a field that is forwarded, by its name; empty for all others.
_BEGINNINGS: Memo[bytes, bytes] = Memo(lambda name: b"\r\n%s: " % name if _FRAMING[name] is None else b"")
_CR, _LF, _NUL = b"\r\n\0"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
CHUNKED = b"\r\nTransfer-Encoding: chunked"
CLOSE = b"\r\nConnection: close"
KEEP_ALIVE = b"\r\nConnection: keep-alive"


class Head:
    """The head of a message, read once. Raises `WireError` if an addon set an invalid header name.

    `length` is the length of the body, None if the head has none or names a coding. `wants_close` is whether
    the head asks to close the connection.
    """

    __slots__ = ("_lines", "length", "wants_close")

    def __init__(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        connection: tuple[bytes, ...]
        self.length: int | None = None
        self.wants_close = False
        is_coded, connection = False, ()
        # A line per field without a call.
        self._lines = [begin + value for name, value in fields if (begin := _BEGINNINGS[name])]
        for name, value in [field for field in fields if not _BEGINNINGS[field[0]]]:
            framing = _FRAMING[name]
            if framing == b"content-length":
                self.length = int(value) if value.isdigit() else None
            elif framing == b"transfer-encoding":
                is_coded = True
            elif framing == b"connection":
                connection = (*connection, value)
            elif framing == NO_NAME:
                raise WireError("plugin_failure", "An addon set an invalid header name.")
        if is_coded:
            self.length = None
        if connection:
            options = connection_options(connection)
            self.wants_close = b"close" in options
            self._lines = [line for line in self._lines if _name(line) not in options]

    def after(self, first: bytes, framing: bytes) -> bytes:
        """Return the bytes of the head, with the start line `first` and the lines of `framing`.

        Each line of `framing` begins with a line break. Raises `WireError` if an addon set a line break.
        """
        lines = self._lines
        head, count = first + b"".join(lines), len(lines)
        if head.count(_CR) != count or head.count(_LF) != count or _NUL in head:
            raise WireError("plugin_failure", "An addon set a header with a line break.")
        return head + framing + b"\r\n\r\n"


def _name(line: bytes) -> bytes:
    return line[2:].partition(b":")[0].lower()


def sized(length: int | None) -> bytes:
    """Return the framing of a body with that length; none without one."""
    return b"" if length is None else b"\r\nContent-Length: %d" % length


def request_head(request: http.Request, framing: bytes) -> bytes:
    """Return the head of a request, with the lines of `framing`. Raises `WireError`."""
    data = request.data
    if not match_target(data.path) or (data.method not in METHOD_BYTES and not is_token(data.method)):
        raise WireError("plugin_failure", "An addon set an invalid method or path.")
    return Head(data.headers.fields).after(b"%s %s HTTP/1.1" % (data.method, data.path), framing)


def expects_continue(incoming: Incoming) -> bool:
    """Return whether the client waits for `CONTINUE` before it sends its body."""
    expects = any(name.lower() == b"expect" for name, _ in incoming.fields)
    return expects and incoming.version == b"HTTP/1.1"


def closing_response(response: http.Response) -> bytes:
    """Return a whole response after which the connection ends. Raises `WireError`."""
    data, body = response.data, response.data.content or b""
    first = b"HTTP/1.1 %d %s" % (data.status_code, data.reason)
    return Head(data.headers.fields).after(first, sized(len(body)) + CLOSE) + body
