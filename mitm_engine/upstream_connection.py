"""One connection to an upstream: it carries one exchange at a time."""

import asyncio
import select
from typing import NamedTuple, Protocol

from mitmproxy import connection

from mitm_engine.http1.response_reader import ResponseReader
from mitm_engine.wire_error import WireError

_CUT = "The upstream closed before its response was complete."


class Key(NamedTuple):
    """Connections of one key are alike: same origin, same name in TLS, verified by the same authorities."""

    is_tls: bool
    host: str
    port: int
    trust: str | None


class Owner(Protocol):
    """Who is told that a connection ended.

    `head_limit` is the longest head of a response, `read_ahead` how much of a body is read before it is
    taken; both in bytes.
    """

    head_limit: int
    read_ahead: int

    def ended(self, connection: "UpstreamConnection") -> None: ...


class UpstreamConnection(asyncio.Protocol):
    """Sends requests and hands out answers. `client` is who it was made for.

    `idle_since` is the loop's time since when nobody uses it. `has_response` says that a byte of the current
    answer has come: from then on its request must not be sent again.
    """

    __slots__ = (
        "_drained",
        "_failure",
        "_has_ended",
        "_is_held",
        "_owner",
        "_poll",
        "_waiter",
        "born",
        "client",
        "has_response",
        "idle_since",
        "is_closed",
        "is_paused",
        "key",
        "reader",
        "server",
        "transport",
    )

    def __init__(self, owner: Owner, key: Key, server: connection.Server, client: connection.Client) -> None:
        self._owner = owner
        self._failure = ""
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self.is_paused = self._is_held = self._has_ended = False
        self._poll = select.poll()
        self.key = key
        self.transport: asyncio.Transport = None  # type: ignore[assignment]  # until connection_made
        self.server = server
        self.client = client
        self.reader = ResponseReader(owner.head_limit)
        self.is_closed = False
        self.has_response = False
        self.born = self.idle_since = 0.0

    # Used by an exchange.

    def send(self, head: bytes, body: bytes, *, is_head_request: bool) -> None:
        """Write a whole request. `head` waits for its answer, `take` and `more` give the body."""
        self.has_response = False
        self.reader.expect(is_head_request=is_head_request)
        if self.is_closed:
            self._failure = self._failure or _CUT
            return
        if len(body) > 65536:
            self.transport.write(head)
            self.transport.write(body)
        else:
            self.transport.write(head + body)

    async def written(self) -> None:
        """Wait until the transport took the whole request. Raises `WireError` when the connection ends."""
        while self.is_paused and not self.has_response:
            self._raise_failure()
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    async def head(self) -> ResponseReader:
        """Wait for the head of the answer. Raises `WireError`."""
        while not self.reader.has_head:
            self._raise_failure()
            await self.more()
        return self.reader

    def take(self) -> bytes | None:
        """The next piece of the body; empty at its end, None when it has not come: then wait for `more`.

        Raises `WireError` on a body that was cut.
        """
        piece = self.reader.take()
        if piece is None:
            if self.reader.complete:
                return b""
            self._raise_failure()
        elif self._is_held:
            self._is_held = False
            self.transport.resume_reading()
        return piece

    def more(self) -> asyncio.Future[None]:
        """What is done when something has come, or the connection has ended."""
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def is_reusable(self) -> bool:
        """Whether the exchange left nothing behind: the answer is whole, and so is the request.

        An upstream may answer before it has read all; what is left of that request would go before the next.
        """
        return not self.is_closed and self.reader.reusable and not self.transport.get_write_buffer_size()

    def is_usable(self) -> bool:
        """Whether an idle connection can serve again: still open, and silent."""
        if self.is_closed or self.transport.is_closing():
            return False
        # What the loop has not told us yet: a byte or an end that waits in the socket.
        return not self._poll.poll(0)

    def close(self) -> None:
        self.is_closed = True
        if self.transport is not None:  # else it was never made
            self.transport.abort()

    def _raise_failure(self) -> None:
        if self._failure:
            raise WireError("upstream_protocol_error", self._failure)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLRDHUP)

    def data_received(self, data: bytes) -> None:
        if self.is_closed:
            return
        self.has_response = True
        try:
            self.reader.feed(data)
        except WireError as error:
            self._failure = error.detail
            self._wake()
            self.close()
            return
        if self.reader.held > self._owner.read_ahead and not self.reader.complete:
            self._is_held = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        # Under TLS only a peer that said goodbye gets here (on uvloop): else somebody may have cut the rest.
        self._has_ended = True
        return False  # close

    def connection_lost(self, error: Exception | None) -> None:
        is_clean = error is None and self._has_ended
        if not self.reader.complete and not (is_clean and self.reader.end()):
            self._failure = self._failure or _CUT
        self.is_closed = True
        self.reader.close()
        self._wake()
        self._owner.ended(self)

    def pause_writing(self) -> None:
        self.is_paused = True

    def resume_writing(self) -> None:
        self.is_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
