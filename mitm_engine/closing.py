"""The end of a client's connection: the client can read everything that was written.

A connection that waits for a request may get one just when it is closed, and that request is lost. So a
worker that drains announces the close in each response (`Connection: close`), and waits on each connection
whose last response did not announce it: `WorkerState.last_request` says how long. No connection is closed
while bytes of its client are unread, unless they are the rest of a request that has its response: a worker
that drains reads those for a short time only.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from mitm_engine.deadlines import NEVER
from mitm_engine.read_rate import taken, unread

if TYPE_CHECKING:
    from mitm_engine.client_connection import ClientConnection
    from mitm_engine.worker_state import WorkerState

#: How much of an unread body a client may still send after its response: seconds, and bytes. If the
#: connection were closed at once, the kernel would drop the response (RFC 9112, 9.6). Many clients read it
#: only after they have sent everything, so `Terms.linger` allows some of them more.
LINGER, LINGER_BYTES = 2.0, 1024 * 1024


class Closing:
    """The end of the connection `client`."""

    __slots__ = ("_checked", "_client", "_end_at", "_left", "_min_rate", "_taken", "_worker")

    def __init__(self, client: "ClientConnection", worker: "WorkerState") -> None:
        self._client = client
        self._worker = worker
        self._left: float = LINGER_BYTES
        self._taken, self._end_at = -1, NEVER

    def linger(self, rest: float, seconds: float, min_rate: int) -> None:
        """Read the rest of a request that was not read as a whole, then close.

        It may take so many `seconds`, with at least `min_rate` bytes per second. `rest` is what is allowed
        besides `LINGER_BYTES`.
        """
        client = self._client
        self._left += rest
        self._checked, self._min_rate = self._left, min_rate
        self._end_at = asyncio.get_running_loop().time() + seconds
        if self._worker.is_draining:
            self.hurry()
        client.arm(LINGER, self._check)
        if client.transport.can_write_eof():
            with contextlib.suppress(OSError):  # the client has left; asyncio's own loop raises that here
                client.transport.write_eof()
        client.resume()

    def hurry(self) -> None:
        """Let the client send no longer than a drain waits for requests."""
        seconds = max(LINGER, self._worker.last_request)
        self._end_at = min(self._end_at, asyncio.get_running_loop().time() + seconds)

    def _check(self, now: float) -> None:
        if now >= self._end_at or self._checked - self._left < self._min_rate * LINGER:
            self.close()
        else:
            self._checked = self._left
            self._client.arm(LINGER, self._check)

    def received(self, data: bytes) -> None:
        """Count and drop what the client still sends."""
        self._left -= len(data)
        if self._left <= 0:
            self.close()

    def close(self, now: float = NEVER) -> None:
        """Close once the client has read everything; also a deadline. A client that does not read is cut."""
        client = self._client
        if client.transport.is_closing():
            return  # asyncio's TLS transport loses its connection at a second close
        client.transport.close()
        self._end_at = asyncio.get_running_loop().time() + self._worker.options.timeouts.grace
        client.check_reading(self._end_if_read)
        client.arm(0, self._end_if_read)

    def _end_if_read(self, now: float) -> None:
        """End a connection that TLS would keep open until the client has closed it, too.

        TLS has a buffer of its own below the transport, which cannot be seen. It fills the kernel's as soon
        as that is empty. So all is sent when the kernel's is empty, and the client has taken nothing since
        the check before. Some clients drop what they have not read when the connection ends. So they get
        time to close it, unless the worker drains.
        """
        transport, before = self._client.transport, self._taken
        self._taken = taken(transport)
        if unread(transport):
            self._client.cut_slow_reader(now)
        elif self._taken == before and (self._worker.is_draining or now >= self._end_at):
            transport.abort()
        else:
            self._client.arm(0, self._end_if_read)
