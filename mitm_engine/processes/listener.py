"""How each worker accepts its share of the connections on the sockets that all workers share.

Without rules, one worker accepts nearly every connection. One socket per worker (SO_REUSEPORT) would leave
clients without a response when a worker stops. So a worker accepts one connection per wake-up, and one with
more connections than the others pauses.
"""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Iterator, Sequence

from mitm_engine.processes import descriptors
from mitm_engine.processes.scoreboard import WorkerContext, WorkerRow
from shared.core.errors import GatewayError
from shared.core.process.listening import open_listener, resolve_address

BACKLOG = 4096  # connections in the kernel's queue; its own bound is usually the same
#: Bytes that the kernel buffers for a client that does not read; its default is megabytes. Bytes in flight do
#: not count, so a fast client stays fast.
UNSENT = 256 * 1024
COURTESY = 0.002  # seconds that a worker with more connections pauses, once per connection
_TRIES = 20  # for a port in use, ten per second
FULL_PAUSE = 0.1  # seconds between two checks for free descriptors
#: Seconds between two heartbeats. A closed connection shows on the scoreboard after this time at most.
HEARTBEAT = 0.1
_FRESH = 5 * HEARTBEAT  # seconds; a worker with an older heartbeat may hang
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# Another worker was faster, the client left, or its network failed, which Linux reports here too (accept(2)).
_NO_CONNECTION = frozenset(
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


def listener_socket(host: str, port: int) -> socket.socket:
    """Return a non-blocking socket that listens; port 0 means a free port. Raises `CannotListen`."""
    return open_listener(host, port, _listen, tries=_TRIES)


def listener_sockets(
    hosts: Sequence[str], port: int, inherited: Sequence[socket.socket] = ()
) -> list[socket.socket]:
    """Return a socket for each host: an inherited one with its address, or else a new one.

    Raises `CannotListen`, and closes the new ones then.
    """
    by_address = {one.getsockname()[:2]: one for one in inherited}
    with contextlib.ExitStack() as new:
        found = [
            (by_address and by_address.get(resolve_address(host, port)[1][:2]))
            or new.enter_context(listener_socket(host, port))
            for host in hosts
        ]
        new.pop_all()
    return found


def _listen(listener: socket.socket) -> None:
    # Accepted sockets inherit it.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
    listener.listen(BACKLOG)
    listener.setblocking(False)


def given_socket(descriptor: int) -> socket.socket:
    """Return the socket that another program has opened under this number. Raises `GatewayError`."""
    try:
        given = socket.socket(fileno=descriptor)
        given.set_inheritable(False)
        if given.family in (socket.AF_INET, socket.AF_INET6) and given.type == socket.SOCK_STREAM:
            _listen(given)
            return given
        given.close()
    except OSError as error:
        raise GatewayError(f"File descriptor {descriptor} cannot be used: {error.strerror}.") from None
    raise GatewayError(f"File descriptor {descriptor} is not a TCP socket.")


class Listener:
    """Accepts connections for one worker, and writes their number to the scoreboard.

    `accept` takes each connected, non-blocking socket. `count` returns the number of open connections; it
    counts one as soon as `accept` has returned. While `can_serve` is false, connections are left to the
    other workers, if there are any. Needs the running event loop.
    """

    def __init__(
        self,
        context: WorkerContext,
        accept: Callable[[socket.socket], None],
        count: Callable[[], int],
        can_serve: Callable[[], bool] = lambda: True,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._scoreboard = context.scoreboard
        rows = self._scoreboard.rows()
        self._row = rows.pop(context.number)
        self._others = rows
        self._sockets = context.sockets
        self._accept = accept
        self._count = count
        self._can_serve = can_serve
        self._ceiling = descriptors.ceiling()
        self._pause: asyncio.TimerHandle | None = None
        self._has_paused = False

    def start(self) -> None:
        """Begin to accept, and to write heartbeats. From now on the supervisor takes the worker for ready.

        The signal handlers of the worker must be set.
        """
        for listener in self._sockets:
            listener.setblocking(False)
        self._beat()
        self._resume()

    def stop(self) -> None:
        """Accept the connections that are queued, then close this worker's side of the sockets.

        When the last worker has closed its side, new clients are rejected at once. Heartbeats go on while the
        worker drains. A second call does nothing.
        """
        self._row.accepts = False
        if self._pause:
            self._pause.cancel()
        sockets, self._sockets = self._sockets, ()
        for listener in sockets:
            self._loop.remove_reader(listener)
            for _ in range(BACKLOG):
                if self._take(listener) is None:
                    break
            listener.close()

    def _beat(self) -> None:
        self._row.connections = self._count()
        self._row.heartbeat = self._loop.time()
        self._loop.call_later(HEARTBEAT, self._beat)

    def _resume(self) -> None:
        has_room = descriptors.next_number(self._sockets[0].fileno()) < self._ceiling
        self._row.accepts = has_room and (self._can_serve() or not self._others_accept())
        if self._row.accepts:
            for listener in self._sockets:
                self._loop.add_reader(listener, self._wake, listener)
        else:
            self._pause = self._loop.call_later(FULL_PAUSE, self._resume)

    def _wake(self, listener: socket.socket) -> None:
        """Accept one connection, or pause and leave it to another worker."""
        if not self._has_paused and self._has_most():
            self._has_paused = True
            self._rest(COURTESY)
            return
        self._has_paused = False
        number = self._take(listener)
        if number is not None and number >= self._ceiling:
            self._row.accepts = False
            self._rest(FULL_PAUSE)

    def _has_most(self) -> bool:
        """Return whether another worker that accepts has at least two connections fewer."""
        self._row.connections = self._count()
        least = self._row.connections - 1
        return any(row.connections < least for row in self._accepting_others())

    def _others_accept(self) -> bool:
        return self._scoreboard.has_predecessor or any(self._accepting_others())

    def _accepting_others(self) -> Iterator[WorkerRow]:
        alive = self._loop.time() - _FRESH
        return (row for row in self._others if row.accepts and row.heartbeat > alive)

    def _rest(self, seconds: float) -> None:
        for listener in self._sockets:
            self._loop.remove_reader(listener)
        self._pause = self._loop.call_later(seconds, self._resume)

    def _take(self, listener: socket.socket) -> int | None:
        """Return the descriptor number of an accepted connection, None if there was none.

        Without free descriptors, return the ceiling.
        """
        try:
            connection, _ = listener.accept()
        except OSError as error:
            if error.errno in _EXHAUSTED:
                return self._ceiling
            if error.errno not in _NO_CONNECTION:
                raise
            return None
        number = connection.fileno()
        connection.setblocking(False)
        self._accept(connection)
        self._row.connections = self._count()
        return number
