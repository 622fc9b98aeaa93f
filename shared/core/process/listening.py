"""Listening TCP sockets, and the one sentence about an address where none can be opened."""

import errno
import socket
import time
from collections.abc import Callable
from typing import Any

from shared.core.errors import CannotListen
from shared.core.http_tokens import authority

_PAUSE = 0.1  # seconds until a port in use is tried again
# The fault of the address, not of the port.
_ADDRESS_ERRORS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL)


def resolve_address(host: str, port: int) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """Return family and address; of a name with several, preferably IPv4. Raises `CannotListen`."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name with a part that no name can have
        raise _cannot_listen(host, port, error) from None
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    return family, address


def open_listener(
    host: str,
    port: int,
    listen: Callable[[socket.socket], None] = socket.socket.listen,
    *,
    tries: int = 1,
) -> socket.socket:
    """Return a socket that listens; port 0 means a free port. Raises `CannotListen`.

    ``::`` takes IPv4 clients, too. `listen` is called with the bound socket. A port in use is tried again ten
    times per second, because the workers of a program that was killed hold it for a moment.
    """
    family, address = resolve_address(host, port)
    left = tries
    while True:
        left -= 1
        # Accepted sockets inherit the protocol, and only then do event loops turn Nagle's algorithm off.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # The default differs between systems.
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
            listener.bind(address)
            listen(listener)
            return listener
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE or not left:
                raise _cannot_listen(host, port, error) from None
        time.sleep(_PAUSE)


def _cannot_listen(host: str, port: int, error: OSError | UnicodeError) -> CannotListen:
    why = error.strerror if isinstance(error, OSError) else str(error)
    is_address = isinstance(error, socket.gaierror | UnicodeError) or error.errno in _ADDRESS_ERRORS
    return CannotListen(
        f"Cannot listen on {authority(host.strip('[]'), port)}: {why}.", is_address=is_address
    )
