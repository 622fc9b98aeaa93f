"""The end of a client's connection: the client can read everything that was written.

A connection that waits for a request may get one just when it is closed, and that request is lost. So a
worker that drains announces the close in each response (`Connection: close`), and waits on each connection
whose last response did not announce it: `WorkerState.last_request` says how long. No connection is closed
while bytes of its client are unread.
"""

from typing import TYPE_CHECKING

from mitm_engine.deadlines import NEVER
from mitm_engine.read_rate import unread

if TYPE_CHECKING:
    from mitm_engine.client_connection import ClientConnection

#: How much of an unread body a client may still send after its response: seconds, and bytes. If the
#: connection were closed at once, the kernel would drop the response (RFC 9112, 9.6).
LINGER, LINGER_BYTES = 2.0, 1024 * 1024


class Closing:
    """The end of the connection `client`."""

    __slots__ = ("_client", "_left")

    def __init__(self, client: "ClientConnection") -> None:
        self._client = client
        self._left = LINGER_BYTES

    def linger(self) -> None:
        """Read the rest of a request that was not read as a whole, then close."""
        client = self._client
        client.arm(LINGER, self.close)
        if client.transport.can_write_eof():
            client.transport.write_eof()
        client.resume()

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
        is_read = not unread(client.transport)
        client.transport.close()
        client.check_reading(self._end_if_read)
        client.arm(0, self._end if is_read else self._end_if_read)

    def _end_if_read(self, now: float) -> None:
        if unread(self._client.transport):
            self._client.cut_slow_reader(now)
        else:
            self._end(now)

    def _end(self, now: float) -> None:
        """End a connection that TLS would keep open until the client has closed it, too."""
        self._client.transport.abort()
