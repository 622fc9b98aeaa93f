"""What a client has taken of what was written to it. Only its kernel's word counts.

A transport's own buffer does not tell: below it the kernel holds megabytes, and asks for more only once a
third of them is gone. Somebody who reads steadily seems to stand still for that long.
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
    """Bytes that were written and that the client has not acknowledged yet."""
    queued = bytes(4)
    if (connected := transport.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError, ValueError):  # it has ended by itself
            queued = fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, queued)
    return transport.get_write_buffer_size() + int.from_bytes(queued, sys.byteorder)


def taken(transport: Transport) -> int:
    """Grows with the bytes that the client acknowledges; two of them tell its speed."""
    connected = transport.get_extra_info("socket")
    if connected is None or sys.platform != "linux":
        return -unread(transport)
    with contextlib.suppress(OSError, ValueError):  # likewise
        info = connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKNOWLEDGED + 8)
        count: int = struct.unpack_from("=Q", info, _ACKNOWLEDGED)[0]
        return count
    return 0


def has_left(transport: Transport) -> bool:
    """Whether the client has ended its side, although nothing is read of it."""
    probe = select.poll()
    probe.register(transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
    return bool(probe.poll(0))


class ReadRate:
    """How fast a client reads, measured from `begin` on. Times are the loop's."""

    __slots__ = ("_since", "_taken")

    def begin(self, transport: Transport, now: float) -> None:
        self._since, self._taken = now, taken(transport)

    def is_too_slow(self, transport: Transport, now: float, min_rate: float, grace: float) -> bool:
        """Whether it has read less than `min_rate` bytes a second for `grace` seconds. To be asked often."""
        count = taken(transport)
        if count - self._taken >= min_rate * (now - self._since):
            self._since, self._taken = now, count
        return now - self._since >= grace


def reset(transport: Transport) -> None:
    """End the connection at once, and by a reset.

    Without it the other side would see the same end as that of a complete answer, and the kernel would keep
    what is unread for minutes.
    """
    if (connected := transport.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError, ValueError):  # likewise
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
