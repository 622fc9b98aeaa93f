"""How each worker takes its share of the connections on the one socket that all workers share.

A socket that is plainly shared gives one worker nearly everything, and one socket a worker (SO_REUSEPORT)
leaves clients hanging when a worker stops. So each worker accepts one connection a wake, and one that is
ahead of the others lets them go first.
"""

import asyncio
import errno
import socket
import time
from collections.abc import Callable

from mitm_engine.processes import descriptors
from mitm_engine.processes.heartbeat import EVERY, Heartbeat
from mitm_engine.processes.scoreboard import WorkerSeat
from shared.core.errors import CannotListen

BACKLOG = 4096  # connections that may wait; the kernel's own bound is usually the same
#: Bytes that the kernel keeps for a client that does not read; else it takes megabytes for each of them. What
#: is on its way does not count, so a fast client is as fast as before.
UNSENT = 256 * 1024
COURTESY = 0.002  # seconds that a worker which is ahead leaves to the others, once a connection
_TRY_AGAIN = 0.1  # seconds until a port that is in use is tried again
FULL_PAUSE = 0.1  # seconds between two looks for free descriptors
_FRESH = 5 * EVERY  # seconds; a heart that has not beaten for longer may have stopped
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# Another worker was faster, the client has left, or its network has: Linux tells that here, too (accept(2)).
_NOBODY = frozenset(
    {
        errno.EAGAIN,
        errno.ECONNABORTED,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENONET,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.EPROTO,
        errno.ETIMEDOUT,
    }
)


def listener_socket(host: str, port: int, *, tries: int = 20) -> socket.socket:
    """A non-blocking socket that listens. Port 0 takes a free one.

    A name with several addresses gives one socket, on IPv4 where it has that. A port in use is tried again
    ten times a second: a killed supervisor's workers hold it for a moment longer. Raises `CannotListen`.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        return _bound(family, address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or tries <= 1:
            raise CannotListen(f"Cannot listen on {host}:{port}: {error.strerror}.") from None
    time.sleep(_TRY_AGAIN)
    return listener_socket(host, port, tries=tries - 1)


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    # With the protocol named, accepted sockets carry it, and event loops switch Nagle's algorithm off.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets have it, too.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


class Listener:
    """Accepts connections for one worker, and shows on the board how many it holds.

    `accept` takes each connected, non-blocking socket. `count` tells how many connections are open; it
    counts one as soon as `accept` has returned. Has to be made inside the running event loop.
    """

    def __init__(
        self, seat: WorkerSeat, accept: Callable[[socket.socket], None], count: Callable[[], int]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        rows = seat.board.rows()
        self._row = rows.pop(seat.number)
        self._others = rows
        self._socket = seat.socket
        self._accept = accept
        self._count = count
        self._ceiling = descriptors.ceiling()
        self._pause: asyncio.TimerHandle | None = None
        self._gave_way = False

    def start(self) -> None:
        """Begin to accept, and to beat: the supervisor holds the worker for ready.

        The worker's signal handlers have to stand by now.
        """
        self._socket.setblocking(False)
        Heartbeat(self._row, self._count).start()
        self._resume()

    def stop(self) -> None:
        """Take what already waits to be accepted, then close this worker's side of the socket.

        With the last side new clients are refused at once. The heart beats on while the worker drains.
        Nothing happens when it was stopped before.
        """
        if self._socket.fileno() < 0:
            return
        self._row.accepts = False
        if self._pause:
            self._pause.cancel()
        self._loop.remove_reader(self._socket)
        for _ in range(BACKLOG):
            if self._take() is None:
                break
        self._socket.close()

    def _resume(self) -> None:
        self._row.accepts = descriptors.next_number(self._socket.fileno()) < self._ceiling
        if self._row.accepts:
            self._loop.add_reader(self._socket, self._wake)
        else:
            self._pause = self._loop.call_later(FULL_PAUSE, self._resume)

    def _wake(self) -> None:
        """Accept one connection, or leave it to the others for a moment."""
        if not self._gave_way and self._is_ahead():
            self._gave_way = True
            self._rest(COURTESY)
            return
        self._gave_way = False
        number = self._take()
        if number is not None and number >= self._ceiling:
            self._row.accepts = False
            self._rest(FULL_PAUSE)

    def _is_ahead(self) -> bool:
        """True with over one connection more than another worker that accepts."""
        alive = self._loop.time() - _FRESH
        self._row.connections = self._count()
        least = self._row.connections - 1
        return any(row.connections < least and row.accepts and row.heartbeat > alive for row in self._others)

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._socket)
        self._pause = self._loop.call_later(seconds, self._resume)

    def _take(self) -> int | None:
        """The descriptor's number of the connection that was accepted, None when there was none.

        A number beyond all others when descriptors have run out.
        """
        try:
            connection, _ = self._socket.accept()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                return self._ceiling
            if error.errno not in _NOBODY:
                raise
            return None
        number = connection.fileno()
        connection.setblocking(False)
        self._accept(connection)
        self._row.connections = self._count()
        return number
