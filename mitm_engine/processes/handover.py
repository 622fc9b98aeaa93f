"""How a running supervisor hands its listening sockets to a new one, over a unix socket.

1. The new one connects, and gets the sockets with their names.
2. It starts its workers. When all accept, it sends `ready`.
3. The old one leaves the path of the unix socket, sends `yours`, and drains.
4. The new one listens on that path.

Between 2 and 3 the workers of both accept, so no client is rejected. If the new one is not ready in time, or
ends before, the old one goes on as if nothing had happened.

Only processes of the same user may connect: the folder is private, and the kernel tells the user of the peer.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.core.errors import CannotTakeOver

logger = logging.getLogger(__name__)

#: Seconds that a new supervisor may take until all its workers accept.
READY_TIMEOUT = 30.0
_REPLY_TIMEOUT = 5.0  # seconds for the reply to `ready`
_MAX_MESSAGE = 65_536  # bytes
_MAX_SOCKETS = 250  # the kernel's limit for one message is 253
_READY, _YOURS = b"ready", b"yours"
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


@dataclass(frozen=True, slots=True)
class Listening:
    """A listening socket. `name` says what is served there.

    `is_given` says that a service manager opened it, so it does not depend on the configuration.
    """

    name: str
    socket: socket.socket
    is_given: bool = False


class Predecessor:
    """The running supervisor, as the new one sees it. `listening` are its sockets."""

    def __init__(self, connection: socket.socket, listening: Sequence[Listening]) -> None:
        self.listening = listening
        self._connection = connection

    @classmethod
    def reach(cls, path: Path) -> "Predecessor | None":
        """Get the sockets of the supervisor that listens on `path`; None if there is none.

        Raises `CannotTakeOver`.
        """
        connection = socket.socket(socket.AF_UNIX)
        try:
            # Another new supervisor may be first.
            connection.settimeout(READY_TIMEOUT + _REPLY_TIMEOUT)
            with _short(path) as address:
                connection.connect(address)
            if not _is_own_user(connection):
                raise CannotTakeOver(
                    "The running proxy belongs to another user; start this one as that user."
                )
            data, descriptors, _, _ = socket.recv_fds(connection, _MAX_MESSAGE, _MAX_SOCKETS)
            return cls(connection, _parse_offer(data, descriptors))
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        except OSError as error:
            connection.close()
            raise CannotTakeOver(f"The running proxy does not hand over its sockets: {error}.") from None
        except CannotTakeOver:
            connection.close()
            raise

    async def succeed(self) -> None:
        """Take over: this supervisor serves. Raises `CannotTakeOver` if the old one goes on."""
        loop, reply = asyncio.get_running_loop(), b""
        self._connection.setblocking(False)
        with self._connection, contextlib.suppress(ConnectionError):
            try:
                async with asyncio.timeout(_REPLY_TIMEOUT):
                    with contextlib.suppress(BrokenPipeError):  # the reply says why
                        await loop.sock_sendall(self._connection, _READY)
                    reply = await loop.sock_recv(self._connection, _MAX_MESSAGE)
            except TimeoutError:
                raise CannotTakeOver("The running proxy does not respond, and goes on.") from None
        # Without a reply it has ended, and somebody must serve.
        if reply not in (_YOURS, b""):
            _parse_offer(reply, [])

    def close(self) -> None:
        """Let the running supervisor go on, and close what was not used of its sockets."""
        self._connection.close()


def _parse_offer(data: bytes, descriptors: Sequence[int]) -> list[Listening]:
    try:
        offer = json.loads(data or b"{}")
        if "sockets" not in offer:
            raise CannotTakeOver(offer.get("error", "The running proxy has ended."))
        pairs = list(zip(offer["sockets"], descriptors, strict=True))
        return [Listening(one["name"], socket.socket(fileno=fd), one["is_given"]) for one, fd in pairs]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CannotTakeOver(
            "The running proxy is of another release; stop it, and start this one."
        ) from None


class Offer:
    """The sockets of this supervisor, for the one that replaces it.

    `objection` is a sentence that says why no other supervisor may take over, if that is so.
    """

    def __init__(self, path: Path, listening: Sequence[Listening], objection: str | None = None) -> None:
        self.objection = objection
        self._path = path
        self._listening = listening
        self._server: socket.socket | None = None

    async def taken(self, ready_timeout: float) -> None:
        """Return when another supervisor has taken over. Raises OSError if the path cannot be used."""
        loop = asyncio.get_running_loop()
        server = self._open()
        try:
            while True:
                connection, _ = await loop.sock_accept(server)
                connection.setblocking(False)
                with connection, contextlib.suppress(ConnectionError):
                    if await self._hand_over(connection, ready_timeout):
                        return
                server = self._server or self._open()
        finally:
            self._close()

    async def _hand_over(self, connection: socket.socket, ready_timeout: float) -> bool:
        loop = asyncio.get_running_loop()
        if not _is_own_user(connection):
            logger.error("A process of another user asked for the sockets.")
            return False
        if self.objection is not None:
            logger.error("%s", self.objection)
            _send_error(connection, self.objection)
            return False
        sockets = [{"name": one.name, "is_given": one.is_given} for one in self._listening]
        message = json.dumps({"sockets": sockets}).encode()
        socket.send_fds(connection, [message], [one.socket.fileno() for one in self._listening])
        logger.info("Another supervisor starts on the same sockets.")
        said = b""
        try:
            async with asyncio.timeout(ready_timeout):
                said = await loop.sock_recv(connection, len(_READY))
        except ConnectionError:
            pass
        except TimeoutError:
            logger.warning("The new supervisor was not ready in %g s; this one goes on.", ready_timeout)
            _send_error(connection, "The new supervisor was not ready in time; the running one goes on.")
            return False
        except asyncio.CancelledError:
            _send_error(connection, "The running proxy is stopping.")
            raise
        if said != _READY:
            logger.warning("The new supervisor ended before it was ready; this one goes on.")
            return False
        self._close()  # the new one listens there
        await loop.sock_sendall(connection, _YOURS)
        return True

    def _open(self) -> socket.socket:
        """Listen on the path. It is free: its last listener has ended, or has handed it over."""
        _make_private(self._path.parent)
        server = self._server = socket.socket(socket.AF_UNIX)
        server.setblocking(False)
        with _short(self._path) as address:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(address)
            server.bind(address)
        server.listen()
        return server

    def _close(self) -> None:
        if self._server is None:
            return
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._server.close()
        self._server = None


def _send_error(connection: socket.socket, sentence: str) -> None:
    with contextlib.suppress(ConnectionError):
        connection.send(json.dumps({"error": sentence}).encode())


def _is_own_user(connection: socket.socket) -> bool:
    """Return whether the process at the other end is of our user. Where nobody tells, the folder must do."""
    if sys.platform != "linux":
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    user: int = _CREDENTIALS.unpack(credentials)[1]
    return user == os.geteuid()


def _make_private(folder: Path) -> None:
    """Make the folder if it is missing. Raises PermissionError if others may enter it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} must be a folder that only this user can open; remove it")


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """Yield a short name of `path`: the kernel allows about 100 bytes for the path of a socket."""
    if sys.platform != "linux":
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
