"""A client that writes bytes, not requests."""

import contextlib
import select
import socket
import struct
import time

from tests.conformance.answer import Answer, Ended, Reading

# Seconds between two pieces, so that the other side reads them apart.
_GAP = 0.002


class RawClient:
    """One connection to the gateway. Times are in seconds; reads that take longer raise TimeoutError."""

    def __init__(self, port: int, timeout: float = 15.0, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        #: Ours and the gateway's. A socket that was reset does not tell them any more.
        self.ports = self.socket.getsockname()[1], port
        self.reading = Reading(self._more)

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> None:
        """Send each piece apart. A connection that the gateway has ended takes no more; that is no error."""
        with contextlib.suppress(ConnectionError):
            for number, piece in enumerate(pieces):
                if number:
                    time.sleep(_GAP)
                self.socket.sendall(piece)

    def half_close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def leave(self) -> None:
        """End both directions; a thread that is sending stops."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Leave without goodbye (RST)."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def response(self, method: str = "GET") -> Answer:
        return self.reading.response(method)

    def head(self, method: str = "GET") -> Answer:
        return self.reading.head(method)

    def peek(self, count: int) -> bytes:
        """The next bytes, which stay to be read."""
        self.reading.buffer = self.reading.exactly(count) + self.reading.buffer
        return self.reading.buffer[:count]

    def rest(self) -> bytes:
        """All that still comes until the connection ends."""
        taken = b""
        with contextlib.suppress(Ended):
            while True:
                taken, self.reading.buffer = taken + self.reading.buffer, b""
                self.reading.buffer = self.reading.more()
        return taken

    def is_silent(self, seconds: float) -> bool:
        """True when neither a byte nor an end comes in this time."""
        return not self.reading.buffer and not select.select([self.socket], [], [], seconds)[0]

    def _more(self) -> bytes:
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            raise Ended("reset") from None
        if not data:
            raise Ended("closed")
        return data
