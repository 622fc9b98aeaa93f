"""Ports of 127.0.0.1 that no other test, worker or program gets."""

import contextlib
import socket
from collections.abc import Iterator

_reserved: list[socket.socket] = []


def free_port() -> int:
    """A port that a server may bind with SO_REUSEADDR, and that nothing answers until then.

    This process keeps the port bound, so that the kernel gives it to nobody else: neither to a listener on
    port 0 nor to an outgoing connection.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    _reserved.append(reserved)
    port: int = reserved.getsockname()[1]
    return port


@contextlib.contextmanager
def black_hole() -> Iterator[str]:
    """The URL of a port that neither takes a connection nor rejects it: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
