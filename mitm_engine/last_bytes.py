"""The bytes that had arrived on a connection before a write to it failed: the loop would drop them.

An upstream may reject the body of a request and close with the rest of it unread, which resets the
connection. A write that meets the reset ends the connection, although the response can still be read.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

_READ = 65_536


def last_bytes(transport: asyncio.BaseTransport) -> Iterator[bytes]:
    """Yield what the socket of a connection that failed can still read. Call it in `connection_lost`."""
    with contextlib.suppress(OSError, ValueError):  # no more bytes, or the reset
        number = os.dup(transport.get_extra_info("socket").fileno())
        own = transport.get_extra_info("sockname")
        with socket.socket(fileno=number) as mine:
            # Should the loop have closed it before, the number could be that of another connection.
            while mine.getsockname() == own and (data := mine.recv(_READ)):
                yield data


class LastRecords(asyncio.BufferedProtocol):
    """Stands before the loop's TLS protocol of a connection, and gives it the last bytes to decrypt.

    It costs each read time, although the methods that the loop calls for one are those of the TLS protocol:
    uvloop reads for a TLS protocol without them. So it stands there only while a write may meet a reset.
    """

    def __init__(self, raw: asyncio.Transport) -> None:
        """Take the place of the protocol of `raw`, the connection below TLS."""
        tls: Any = raw.get_protocol()
        self._raw, self._tls = raw, tls
        for name in ("get_buffer", "buffer_updated", "eof_received", "pause_writing", "resume_writing"):
            setattr(self, name, getattr(tls, name))
        raw.set_protocol(self)

    def leave(self) -> None:
        """Give the place back; only while the connection is open."""
        self._raw.set_protocol(self._tls)

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None:
            for data in last_bytes(self._raw):
                self._decrypt(data)
        self._tls.connection_lost(error)
        self.__dict__.clear()  # breaks reference cycles

    def _decrypt(self, data: bytes) -> None:
        while data:
            buffer = self._tls.get_buffer(len(data))
            count = min(len(buffer), len(data))
            buffer[:count] = data[:count]
            del buffer
            self._tls.buffer_updated(count)
            data = data[count:]
