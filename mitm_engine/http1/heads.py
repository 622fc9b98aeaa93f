"""Heads as bytes. Every outgoing message is framed here, regardless of its own framing headers."""

from collections.abc import Iterable, Sequence

from mitmproxy import http

from mitm_engine.http1.head_rules import METHOD_BYTES, match_target
from mitm_engine.http1.header_names import NO_NAME, HeaderNames
from mitm_engine.http1.request_reader import Incoming
from mitm_engine.wire_error import WireError
from shared.core.http_tokens import HOP_BY_HOP, connection_options, is_token

# Headers that the engine sets itself, has handled (Expect), or does not forward.
_FRAMING = HeaderNames((*[name.encode() for name in HOP_BY_HOP], b"content-length", b"expect"))
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class Head:
    """The head of a message, read once. Raises `WireError` if an addon set an invalid header name.

    `lines` are the fields that are forwarded. `length` is the length of the body, None if the head has none
    or names a coding. `wants_close` is whether the head asks to close the connection.
    """

    __slots__ = ("length", "lines", "wants_close")

    def __init__(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        self.length: int | None = None
        self.wants_close = is_coded = False
        connection: list[bytes] = []
        # A line per field without a call.
        self.lines = [b"%s: %s" % field for field in fields if _FRAMING[field[0]] is None]
        for name, value in [field for field in fields if _FRAMING[field[0]] is not None]:
            framing = _FRAMING[name]
            if framing == b"content-length":
                self.length = int(value) if value.isdigit() else None
            elif framing == b"transfer-encoding":
                is_coded = True
            elif framing == b"connection":
                connection.append(value)
            elif framing == NO_NAME:
                raise WireError("plugin_failure", "An addon set an invalid header name.")
        if is_coded:
            self.length = None
        if connection:
            options = connection_options(tuple(connection))
            self.wants_close = b"close" in options
            self.lines = [line for line in self.lines if line.partition(b":")[0].lower() not in options]

    def after(self, first: bytes, framing: Iterable[bytes]) -> bytes:
        """Return the bytes of the head, with the start line `first` and the lines of `framing`.

        Raises `WireError` if an addon set a line break.
        """
        lines = [first, *self.lines, *framing]
        head = b"\n".join(lines)
        if b"\r" in head or b"\0" in head or head.count(b"\n") >= len(lines):
            raise WireError("plugin_failure", "An addon set a header with a line break.")
        return head.replace(b"\n", b"\r\n") + b"\r\n\r\n"


def request_head(request: http.Request, length: int | None, *, is_chunked: bool = False) -> bytes:
    """Return the head of a request. Raises `WireError`.

    Its body has `length` bytes, or is in chunks; with neither it has none.
    """
    data = request.data
    if not match_target(data.path) or (data.method not in METHOD_BYTES and not is_token(data.method)):
        raise WireError("plugin_failure", "An addon set an invalid method or path.")
    first = b"%s %s HTTP/1.1" % (data.method, data.path)
    framing = () if length is None else (b"Content-Length: %d" % length,)
    if is_chunked:
        framing = (b"Transfer-Encoding: chunked",)
    return Head(data.headers.fields).after(first, framing)


def expects_continue(incoming: Incoming) -> bool:
    """Return whether the client waits for `CONTINUE` before it sends its body."""
    expects = any(name.lower() == b"expect" for name, _ in incoming.fields)
    return expects and incoming.version == b"HTTP/1.1"


def status_line(response: http.Response) -> bytes:
    """Return the first line of a response, which is HTTP/1.1 for every client (RFC 9110, 2.5)."""
    data = response.data
    return b"HTTP/1.1 %d %s" % (data.status_code, data.reason)


def closing_response(response: http.Response) -> bytes:
    """Return a whole response after which the connection ends. Raises `WireError`."""
    body = response.data.content or b""
    framing = (b"Content-Length: %d" % len(body), b"Connection: close")
    return Head(response.data.headers.fields).after(status_line(response), framing) + body


def chunk(piece: bytes) -> bytes:
    """Return a piece of a body, not empty, in the chunked coding (RFC 9112, 7.1)."""
    return b"%x\r\n%s\r\n" % (len(piece), piece)
