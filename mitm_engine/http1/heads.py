"""Heads as bytes. Every outgoing message is framed here, regardless of its own framing headers."""

from collections.abc import Sequence
from itertools import compress, count
from operator import is_not

from mitmproxy import http

from mitm_engine.http1.head_rules import METHOD_BYTES, match_target
from mitm_engine.http1.header_names import NO_NAME, HeaderNames
from mitm_engine.http1.last_head import LastHead
from mitm_engine.http1.request_reader import Incoming
from mitm_engine.wire_error import WireError
from shared.core.http_tokens import HOP_BY_HOP, Field, connection_options, is_token
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

    Attributes:
        length: the length of the body; None if the head has none or names a coding.
        wants_close: whether the head asks to close the connection.
        request_line: method, path and the line that they make, once it was checked.
    """

    __slots__ = ("_count", "_fields", "_lines", "length", "request_line", "wants_close")

    def __init__(self, fields: Sequence[Field]) -> None:
        connection: tuple[bytes, ...]
        self.length: int | None = None
        self.wants_close = False
        self.request_line: tuple[bytes, bytes, bytes] = (b"", b"", b"")
        is_coded, connection = False, ()
        # A line per field without a call; it is empty if the field is not forwarded.
        lines = [begin + value if (begin := _BEGINNINGS[name]) else b"" for name, value in fields]
        others = [field for field in fields if not _BEGINNINGS[field[0]]]
        self._count = len(fields) - len(others)
        # Those whose lines can be used again; None: there are none.
        self._fields = fields if type(fields) is tuple and len(others) < 2 else None
        for name, value in others:
            framing = _FRAMING[name]
            if framing == b"content-length":
                self.length = int(value) if value.isdigit() else None
                continue
            self._fields = None
            if framing == b"transfer-encoding":
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
            lines = [line for line in lines if line and _name(line) not in options]
            self._count = len(lines)
        self._lines = lines

    def renewed(self, fields: Sequence[Field]) -> "Head":
        """Return the head of `fields`, with the lines of this one, which must not be used any more.

        A field that is the same object as before, at the same place, is not read again. Raises `WireError`.
        """
        before = self._fields
        if before is None or type(fields) is not tuple or len(fields) != len(before):
            return Head(fields)
        for place in compress(count(), map(is_not, fields, before)):
            name, value = fields[place]
            if name != before[place][0]:
                return Head(fields)
            if begin := _BEGINNINGS[name]:
                self._lines[place] = begin + value
            else:  # only a Content-Length, see above
                self.length = int(value) if value.isdigit() else None
        self._fields = fields
        return self

    def after(self, first: bytes, framing: bytes) -> bytes:
        """Return the bytes of the head, with the start line `first` and the lines of `framing`.

        Each line of `framing` begins with a line break. Raises `WireError` if an addon set a line break.
        """
        head, breaks = first + b"".join(self._lines), self._count
        if head.count(_CR) != breaks or head.count(_LF) != breaks or _NUL in head:
            raise WireError("plugin_failure", "An addon set a header with a line break.")
        return head + framing + b"\r\n\r\n"


def head_of(fields: Sequence[Field], last: LastHead | None) -> Head:
    """Return the head that is sent on for `last`; None: for one that is not repeated. Raises `WireError`."""
    if last is None:
        return Head(fields)
    before, last.sent = last.sent, None
    last.sent = head = Head(fields) if before is None else before.renewed(fields)
    return head


def _name(line: bytes) -> bytes:
    return line[2:].partition(b":")[0].lower()


def sized(length: int | None) -> bytes:
    """Return the framing of a body with that length; none without one."""
    return b"" if length is None else b"\r\nContent-Length: %d" % length


def request_head(request: http.Request, framing: bytes, last: LastHead | None = None) -> bytes:
    """Return the head of a request, with the lines of `framing`. Raises `WireError`.

    `last` is the head that came, if the client repeats it.
    """
    data, head = request.data, head_of(request.data.headers.fields, last)
    method, path, line = head.request_line
    if method is not data.method or path is not data.path:
        method, path = data.method, data.path
        if not match_target(path) or (method not in METHOD_BYTES and not is_token(method)):
            raise WireError("plugin_failure", "An addon set an invalid method or path.")
        line = b"%s %s HTTP/1.1" % (method, path)
        head.request_line = method, path, line
    return head.after(line, framing)


def expects_continue(incoming: Incoming) -> bool:
    """Return whether the client waits for `CONTINUE` before it sends its body."""
    expects = any(name.lower() == b"expect" for name, _ in incoming.fields)
    return expects and incoming.version == b"HTTP/1.1"


def closing_response(response: http.Response) -> bytes:
    """Return a whole response after which the connection ends. Raises `WireError`."""
    data, body = response.data, response.data.content or b""
    first = b"HTTP/1.1 %d %s" % (data.status_code, data.reason)
    return Head(data.headers.fields).after(first, sized(len(body)) + CLOSE) + body
