"""One connection to an upstream: it carries one exchange at a time."""

import asyncio
import select
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from mitmproxy import connection

from mitm_engine.exchange.turn import SHORT
from mitm_engine.http1.response_reader import ResponseReader
from mitm_engine.last_bytes import LastRecords, last_bytes
from mitm_engine.wire_error import LATE_HEAD, WireError

if TYPE_CHECKING:
    from mitm_engine.exchange.body_stream import BodyStream
    from mitm_engine.pool import Pool

#: Bytes of a body above which it is not copied to be sent with its head. A transport pauses above them.
LARGE = 65_536
_CUT = WireError(
    "upstream_protocol_error", "The upstream closed before its response was complete.", cause="reset"
)


#: A `Key` that is only looked up.
type AnyKey = tuple[bool, str, int, str | None, str]


class Key(NamedTuple):
    """The origin, authorities and owner that connections have in common if they can replace each other."""

    is_tls: bool
    host: str
    port: int
    trust: str | None
    owner: str


class UpstreamConnection(asyncio.Protocol):
    """Sends requests and receives responses.

    Attributes:
        key: the key in the pool.
        server: mitmproxy's view of the upstream.
        client: the client for which the connection was made.
        transport: the transport of the event loop.
        below_tls: the transport that carries the TLS records; None without TLS.
        reader: parses the responses.
        is_closed: whether the connection has ended.
        is_paused: whether the upstream reads too slowly.
        on_writable: called when the upstream reads on.
        stream: told when data has arrived, or the connection has ended, while a body is forwarded.
        has_response: whether a byte of the current response has arrived. Then its request must not be sent
            again.
        born: when the connection was made, in the loop's time.
        idle_until: until when an unused one may serve again.
    """

    __slots__ = (
        "_drained",
        "_failure",
        "_has_ended",
        "_is_held",
        "_last_records",
        "_poll",
        "_pool",
        "_unwritten",
        "_waiter",
        "below_tls",
        "born",
        "client",
        "has_response",
        "idle_until",
        "is_closed",
        "is_paused",
        "key",
        "on_writable",
        "reader",
        "server",
        "stream",
        "transport",
    )

    def __init__(self, pool: "Pool", key: Key, server: connection.Server, client: connection.Client) -> None:
        self._pool = pool
        self._failure: WireError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self.on_writable: Callable[[], None] | None = None
        self.stream: BodyStream | None = None
        self.is_paused = self._is_held = self._has_ended = False
        self._unwritten = b""  # the request, until the end of the turn
        self._poll: select.poll | None = None  # until it is asked
        self.key = key
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # until connection_made
        self.below_tls: asyncio.Transport | None = None
        self._last_records: LastRecords | None = None
        self.server = server
        self.client = client
        self.reader = ResponseReader(pool.head_limit)
        self.is_closed = False
        self.has_response = False
        self.born = self.idle_until = 0.0

    # Called by an exchange.

    def send(self, head: bytes, body: bytes, *, is_head_request: bool) -> None:
        """Write a whole request. `head` waits for its response; `take` and `more` return the body."""
        self.has_response = False
        self.reader.expect(is_head_request=is_head_request)
        if self.is_closed:
            self._failure = self._failure or _CUT
            return
        if len(body) > LARGE:
            self._keep_last_records()
            self.transport.write(head)
            self.transport.write(body)
        elif len(body) <= SHORT and (turn := self._pool.turn).defers(turn.writers, self):
            self._unwritten = head + body
        else:
            self.transport.write(head + body)

    def flush(self) -> None:
        """Write what waits for the end of the turn."""
        data, self._unwritten = self._unwritten, b""
        if data and not self.is_closed:
            self.transport.write(data)

    @property
    def unsent(self) -> int:
        """The bytes that were written, and that the kernel has not taken yet."""
        below = 0 if self.below_tls is None else self.below_tls.get_write_buffer_size()
        return below + self.transport.get_write_buffer_size()

    @property
    def is_sending(self) -> bool:
        """Whether most of the request still waits to be sent. The loop's TLS does not pause its writer."""
        return self.is_paused or (self.below_tls is not None and not self.is_closed and self.unsent > LARGE)

    async def written(self) -> None:
        """Wait until most of the request is sent. Raises `WireError`.

        Under TLS `check_written` has to be called now and then.
        """
        while self.is_sending and not self.has_response:
            self.raise_failure()
            self._drained = self._pool.loop.create_future()
            await self._drained

    def check_written(self) -> None:
        """End the wait of `written` if there is nothing to wait for."""
        if not self.is_sending and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def take(self) -> bytes | None:
        """Return the next piece of the body, empty at its end; None if it has to be awaited with `more`.

        Raises `WireError` if the connection ended before the body.
        """
        piece = self.reader.take()
        if piece is None:
            if self.reader.complete:
                return b""
            self.raise_failure()
        return piece

    def peek(self, seen: int) -> bytes | None:
        """Return what follows the first `seen` bytes of the body, and leave it there to be taken.

        It is empty at the end of the body, and None if it has to be awaited with `more`. Raises `WireError`.
        """
        piece = self.reader.peek(seen)
        if piece is None:
            if self.reader.complete:
                return b""
            self.raise_failure()
        return piece

    def more(self) -> asyncio.Future[None]:
        """Return a future that is done when data has arrived, or the connection has ended.

        Raises `WireError` if it has ended before.
        """
        if self._failure is not None:
            self.raise_failure()
        if self._is_held:
            self.resume()
        self._waiter = self._pool.loop.create_future()
        return self._waiter

    def resume(self) -> None:
        """Read on; nothing changes if nothing is held."""
        if self._is_held:
            self._is_held = False
            self.transport.resume_reading()

    def hold(self) -> None:
        """Read nothing until `more` or `resume`: what was taken is not used yet."""
        if not self._is_held and not self.reader.complete and not self.transport.is_closing():
            self._is_held = True
            self.transport.pause_reading()

    def write(self, pieces: Iterable[bytes | bytearray]) -> None:
        """Write a part of the body of a request whose head was sent."""
        self.flush()
        self._keep_last_records()
        # Not `writelines`: on asyncio's own loop it never pauses the writer.
        for piece in pieces:
            self.transport.write(piece)

    def _keep_last_records(self) -> None:
        """Before a write that may meet a reset: let what arrives before the reset be decrypted."""
        raw = self.below_tls
        if raw is not None and self._last_records is None and not raw.is_closing():
            self._last_records = LastRecords(raw)

    def end_sending(self) -> None:
        """Let the loop read by itself again if nothing is left to write. Call it when the head is here."""
        raw = self.below_tls
        if raw is None or self._last_records is None or raw.is_closing() or self.on_writable is not None:
            return
        if not raw.get_write_buffer_size() and not self.transport.get_write_buffer_size():
            self._last_records.leave()
            self._last_records = None

    def has_unread(self) -> bool:
        """Return whether the socket has a byte, or its end, that the loop has not reported yet."""
        return bool((self._poll or self._make_poll()).poll(0))

    def _make_poll(self) -> select.poll:
        self._poll = poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLRDHUP)
        return poll

    def is_reusable(self) -> bool:
        """Return whether request and response are complete, so that the connection can serve again.

        An upstream may respond before it has read the whole request. The rest would precede the next request.
        """
        is_whole = self.reader.reusable and not self._unwritten
        return is_whole and not self.is_closed and not self.transport.get_write_buffer_size()

    def is_usable(self) -> bool:
        """Return whether an idle connection is still open and silent."""
        if self.is_closed or self.transport.is_closing():
            return False
        return not (self._poll or self._make_poll()).poll(0)  # as `has_unread`, without a call

    def close(self) -> None:
        self.is_closed = True
        if self.transport is not None:
            self.transport.abort()
        else:  # it was never open
            self.reader.close()

    def fail(self, why: WireError) -> None:
        """End the connection. Everything that waits for it raises `why`."""
        self._failure = self._failure or why
        self._wake()
        self.close()

    def end_late(self, now: float) -> None:
        """Fail because the head of the response is late; a deadline."""
        self.fail(LATE_HEAD)

    def raise_failure(self) -> None:
        """Raise a `WireError` if the connection has failed."""
        if (why := self._failure) is not None:
            # A new error to raise: raised itself, it would keep its request until the next collection.
            raise WireError(why.code, why.detail, cause=why.cause)

    def _wake(self) -> None:
        if self.stream is not None:
            self.stream.go_on()
        elif (waiter := self._waiter) is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self.is_closed:
            return
        self.has_response, stream = True, self.stream
        if stream is not None and (content := self.reader.content_of(data)) and stream.go_on(content, data):
            return
        try:
            self.reader.feed(data)
        except WireError as error:
            self.fail(WireError(error.code, error.detail))  # without what the error refers to
            return
        if stream is not None and self._drained is None:
            stream.go_on()  # the usual cases of `_wake`
        elif stream is None and (waiter := self._waiter) is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
        else:
            self._wake()
        if self.reader.held > self._pool.read_ahead:
            self.hold()

    def eof_received(self) -> bool:
        # Under TLS (on uvloop) only after the peer's close_notify: else the rest may have been cut off.
        self._has_ended = True
        return False  # close

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None and not self.is_closed and not self.key.is_tls:
            for data in last_bytes(self.transport):
                self.data_received(data)
        is_clean = error is None and self._has_ended
        if not self.reader.complete and not (is_clean and self.reader.end()):
            self._failure = self._failure or _CUT
        self.is_closed = True
        self._last_records = self.below_tls = None
        self.reader.close()
        self._wake()
        self._pool.ended(self)

    def pause_writing(self) -> None:
        self.is_paused = True

    def resume_writing(self) -> None:
        self.is_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self.on_writable is not None:
            self.on_writable()
