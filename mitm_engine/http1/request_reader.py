"""Parses the bytes of a client into requests: llhttp, and the checks that it leaves to its user."""

import asyncio
import re

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from mitm_engine.http1.body_chunks import gather
from mitm_engine.http1.head_rules import (
    DIFFERENT_HOSTS,
    asks_for_websocket,
    check_head,
    origin_form,
    size_of,
    too_many,
)
from mitm_engine.http1.last_head import HeadMemory, LastHead
from mitm_engine.options import Options
from mitm_engine.wire_error import WireError
from shared.core.http_tokens import Fields


class _Enough(Exception):
    """A connection has too many queued requests."""


#: The fault of a connection that begins with TLS: it gets no byte, since it could read none.
TLS_HELLO = WireError("bad_request", "The client speaks TLS on a port of plain HTTP.")
_HANDSHAKE = b"\x16"  # the first byte of a TLS connection (RFC 8446, 5.1)
_METHOD = re.compile(rb"[A-Za-z!#$%&'*+.^_`|~-]{1,32} ")


class Incoming:
    """A request that is being read.

    Attributes:
        fault: why it could not be read.
        method, target, version, fields: the head.
        keep_alive: whether the client wants to keep the connection.
        last_head: its head, if the one before on this connection was the same.
        complete: whether the body has ended.
        pieces: the body so far.
        size: bytes of the body so far.
        unread: bytes that count as `RequestReader.unwanted`: of the body, and of a head that arrived before
            the response to an earlier request.
        wanted: whether the body is collected, up to `limit` bytes.
        waiter: a future that is done when the body goes on.
    """

    __slots__ = (
        "complete",
        "fault",
        "fields",
        "keep_alive",
        "last_head",
        "limit",
        "method",
        "pieces",
        "size",
        "target",
        "unread",
        "version",
        "waiter",
        "wanted",
    )

    def __init__(self, why: WireError | None = None) -> None:
        self.fault = why
        self.method = self.target = self.version = b""
        self.fields: Fields = ()
        self.keep_alive = False
        self.complete = False
        self.pieces: list[bytes | bytearray] = []
        self.size = self.unread = 0
        self.wanted = False
        self.limit = 0
        self.waiter: asyncio.Future[None] | None = None
        self.last_head: LastHead | None = None

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def add(self, piece: bytes) -> None:
        """Add a piece of the body. A body above the limit is dropped."""
        self.size += len(piece)
        if self.wanted and self.size > self.limit:
            self.pieces.clear()
            self.wake()
        else:
            gather(self.pieces, piece)


_NO_HEAD = Incoming()


class RequestReader:
    """The parser of one connection. After an error it reads nothing more.

    Attributes:
        queue: requests whose head is complete, in order.
        idle: whether the parser is between two requests.
        stopped: whether an error occurred.
        open_requests: requests without a response.
        unwanted: bytes of bodies, and of heads of later requests, that are not needed yet.
    """

    __slots__ = (
        "_current",
        "_fields",
        "_fruitless",
        "_head",
        "_left",
        "_memory",
        "_options",
        "_parser",
        "_progress",
        "idle",
        "open_requests",
        "queue",
        "stopped",
        "unwanted",
    )

    def __init__(self, options: Options) -> None:
        self._options = options
        self._parser: HttpRequestParser = None  # type: ignore[assignment]  # until bytes have to be parsed
        self._head = _NO_HEAD
        self._fields: list[tuple[bytes, bytes]] = []  # of the current head
        self._current: Incoming | None = None  # the request whose body is read
        self._fruitless = 0
        self._progress = False
        self._memory: HeadMemory | None = HeadMemory(options.varying, options.head_limit)
        self._left = 0  # bytes of the body after a head that was not parsed
        self.queue: list[Incoming] = []  # short, and an empty deque takes 760 bytes
        self.idle = True
        self.stopped = False
        self.open_requests = 0
        self.unwanted = 0

    def feed(self, data: bytes) -> None:
        """Read more bytes. An error is put at the end of the queue."""
        if self._left:
            self._read_body(data)
            return
        memory = self._memory
        if memory is None or self.open_requests or not self.idle:
            self._parse(data)
            return
        if (found := memory.find(data)) is not None:
            self._repeat(*found, data)
            return
        self._parse(data)
        if memory.is_useless or self.stopped:
            self._memory = None
        elif self.queue and self.queue[0].keep_alive:
            head = self.queue[0]
            memory.see(data, (head.method, head.target, head.version), head.fields)
        else:
            memory.forget()

    def _repeat(self, last: LastHead, end: int, data: bytes) -> None:
        """Begin a request with the same head as the last one. It ends at `end`."""
        self.open_requests = 1
        self._current = head = Incoming()
        head.method, head.target, head.version = last.line
        head.fields = last.fields
        head.keep_alive = True
        head.last_head = last
        self._fruitless = 0
        self.queue.append(head)
        size = len(data) - end
        if size == last.length:  # the usual case: all of it is here, and nothing else
            if size:
                head.pieces.append(data[end:])
                head.size = size
            head.complete = head.wanted = True
            self._current = None
            return
        self.idle = False
        self._left = last.length
        if self._left:
            self._read_body(data[end:])
        else:
            self._end_body(data[end:])

    def _read_body(self, data: bytes) -> None:
        """Read the body after a head that was not parsed, and what follows it."""
        size, left = len(data), self._left
        if size <= left:
            self._left -= size
            if size:
                self.on_body(data)
            if size == left:
                self.on_message_complete()
        else:
            self._left = 0
            self.on_body(data[:left])
            self._end_body(data[left:])

    def _end_body(self, rest: bytes) -> None:
        self.on_message_complete()
        if rest:
            self._parse(rest)

    def forget(self) -> None:
        """Keep nothing for the next request, which does not come soon: it takes 1.3 KB of a connection.

        Call it only if the client may send another one.
        """
        if self._memory is not None:
            self._memory.forget()
        if self.idle and self.open_requests <= 1:
            self._parser = None  # type: ignore[assignment]

    def _parse(self, data: bytes) -> None:
        self._progress = False
        begun = self.open_requests if self.idle else -1
        if self._parser is None:
            self._parser = HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            if self._head.fault is not None:
                self._stop(None)
            else:
                self._ignore_upgrade(data[upgrade.args[0] :])
            return
        except HttpParserError as error:
            is_first = self.open_requests <= begun + 1
            self._stop(self._fault_of(error, data if is_first else b""))
            return
        if self._progress:
            self._fruitless = 0
            return
        self._fruitless += len(data)
        if self._fruitless > self._options.head_limit + self._options.line_limit:
            # No head and no byte of a body for long: field names, chunk extensions, trailers.
            self._stop(WireError("headers_too_large"))
        elif len(self._fields) > self._options.field_limit:
            self._stop(too_many(self._options))

    def close(self) -> None:
        """Drop the parser: it and its owner refer to each other."""
        self._parser = None  # type: ignore[assignment]

    def want(self, incoming: Incoming, limit: int) -> None:
        """Collect the body of `incoming` from now on, up to `limit` bytes."""
        self.unwanted -= incoming.unread
        incoming.unread = 0
        incoming.wanted, incoming.limit = True, limit

    def take(self, incoming: Incoming) -> list[bytes | bytearray]:
        """Return what has arrived of a body that is not collected, and was not taken before."""
        self.unwanted -= incoming.unread
        incoming.unread = 0
        pieces, incoming.pieces = incoming.pieces, []
        return pieces

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Ignore an Upgrade header (RFC 9110, 7.8, allows it).

        llhttp takes the next bytes for another protocol. So a new parser gets the head again, without it.
        """
        head = self._head
        kept = [b"%s: %s\r\n" % field for field in head.fields if field[0].lower() != b"upgrade"]
        line = b"%s %s %s\r\n" % (head.method, head.target, head.version)
        self._parser = HttpRequestParser(self)
        self._parse(line + b"".join(kept) + b"\r\n" + rest)

    def _fault_of(self, error: HttpParserError, line: bytes) -> WireError | None:
        """Return the error of a request; None for bytes to ignore: too many requests, or after the last one.

        `line` begins with the request that could not be read, if that is known.
        """
        if isinstance(error, HttpParserCallbackError):
            cause = error.__context__
            if isinstance(cause, _Enough):
                return None
            if isinstance(cause, WireError):
                return cause.with_traceback(None)
        if self.queue and self.queue[-1].complete and not self.queue[-1].keep_alive:
            return None
        if line.startswith(_HANDSHAKE):
            return TLS_HELLO
        if isinstance(error, HttpParserInvalidMethodError) and _METHOD.match(line):
            return WireError("not_implemented")
        return WireError("bad_request")

    def _stop(self, why: WireError | None) -> None:
        self.stopped = True
        current, self._current = self._current, None
        if why is None:
            return
        if current is not None:
            # The head was valid and may be in use; only the body is not.
            current.fault = why
            current.wake()
        else:
            self.queue.append(Incoming(why))

    # Called by llhttp.

    def on_message_begin(self) -> None:
        self.idle = False
        self.open_requests += 1
        if self.open_requests > self._options.pipelined:
            raise _Enough
        self._head = Incoming()

    def on_url(self, piece: bytes) -> None:
        head = self._head
        head.target += piece
        if len(head.target) > self._options.line_limit:
            limit = self._options.line_limit
            raise WireError("uri_too_long", f"The request target is longer than {limit} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._current is None:  # else a trailer
            self._fields.append((name, value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        head, parser = self._head, self._parser
        head.fields, self._fields = tuple(self._fields), []
        head.method = parser.get_method()
        version = parser.get_http_version()
        head.version = b"HTTP/1.1" if version == "1.1" else b"HTTP/" + version.encode()
        if head.target[:1] != b"/":
            target = origin_form(head.target, head.fields)
            if target is None:
                raise WireError("invalid_host", DIFFERENT_HOSTS)
            head.target = target
        check_head(head.method, head.target, head.version, head.fields, self._options)
        if parser.should_upgrade():
            if asks_for_websocket(head.fields):
                # The addons may still reject it for another reason.
                head.fault = WireError("websocket_not_supported")
                self.queue.append(head)
            else:
                self.open_requests -= 1  # it is parsed again, without the upgrade
            return
        if self.open_requests > 1:
            head.unread = len(head.target) + size_of(head.fields)
            self.unwanted += head.unread
        head.keep_alive = parser.should_keep_alive()
        self._progress = True
        self._current = head
        self.queue.append(head)

    def on_body(self, piece: bytes) -> None:
        current = self._current
        if current is None:
            return
        self._progress = True
        current.add(piece)
        if not current.wanted:
            current.unread += len(piece)
            self.unwanted += len(piece)

    def on_message_complete(self) -> None:
        current = self._current
        if current is None:
            return  # the head of an upgrade
        self._progress = self.idle = True
        self._current = None
        current.complete = True
        current.wake()
        self._head = _NO_HEAD  # an idle connection keeps nothing of its last request
