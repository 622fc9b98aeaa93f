"""How much a client has read, as its kernel acknowledged it.

The buffer of a transport does not show that: below it the kernel buffers megabytes, and takes more only once
a third of them is sent. Until then a client that reads steadily seems to read nothing.
"""

import contextlib
import fcntl
import select
import socket
import struct
import sys
import termios
from asyncio import Transport

_ACKNOWLEDGED = 120  # where tcpi_bytes_acked stands in Linux's struct tcp_info (<linux/tcp.h>)
_NO_LINGER = struct.pack("ii", 1, 0)


def unread(transport: Transport) -> int:
    """Return the bytes that were written and that the client has not acknowledged yet."""
    queued = bytes(4)
    if (connected := transport.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError, ValueError):  # the connection has ended
            queued = fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, queued)
    return transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)


def taken(transport: Transport) -> int:
    """Return a number that grows with the bytes that the client acknowledges."""
    connected = transport.get_extra_info("socket")
    if connected is None or sys.platform != "linux":
        return -unread(transport)
    with contextlib.suppress(OSError, ValueError):  # likewise
        info = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKNOWLEDGED + 8)
        count: int = struct.unpack_from("=Q", info, _ACKNOWLEDGED)[0]
        return count
    return 0


def has_left(transport: Transport) -> bool:
    """Return whether the client has ended its side, even if nothing is read from it."""
    probe = select.poll()
    probe.register(transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
    return bool(probe.poll(0))


def has_input(transport: Transport) -> bool:
    """Return whether bytes have arrived that the loop has not read yet."""
    probe = select.poll()
    probe.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(probe.poll(0))


class ReadRate:
    """How fast a client reads, measured from `begin` on. Times are those of the loop."""

    __slots__ = ("_since", "_taken")

    def begin(self, transport: Transport, now: float) -> None:
        self._since, self._taken = now, taken(transport)

    def is_too_slow(self, transport: Transport, now: float, min_rate: float, grace: float) -> bool:
        """Return whether it read less than `min_rate` bytes per second for `grace` seconds. Call it often."""
        count = taken(transport)
        if count - self._taken >= min_rate * (now - self._since):
            self._since, self._taken = now, count
        return now - self._since >= grace


def reset(transport: Transport) -> None:
    """End the connection at once with a reset.

    A normal end would look like that of a complete response, and the kernel would keep unread bytes for
    minutes.
    """
    if (connected := transport.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError, ValueError):  # likewise
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
