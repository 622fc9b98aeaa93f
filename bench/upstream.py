"""An upstream in this process. It responds to requests, and hands over those that ask for a stream."""

import queue
import re
import socket
import socketserver
import threading
from contextlib import ExitStack, suppress

from bench.gateway import RESPONSE

_SECONDS = 10.0  # until a stream must have been asked for
_STREAM = re.compile(rb'"stream": ?true')
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(RESPONSE)


class Upstream(socketserver.ThreadingTCPServer):
    """Responds to each request of known length with `RESPONSE`.

    A request for a stream gets no response here. `asked` has its connection, and the
    reader of `asked` responds, and closes it.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, stack: ExitStack) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
        stack.enter_context(self)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        stack.callback(self.shutdown)

    @property
    def port(self) -> int:
        """The port of 127.0.0.1 on which it listens."""
        port: int = self.server_address[1]
        return port

    def shutdown_request(self, request: object) -> None:
        """Close this reference to the connection: another one may have been handed over."""
        self.close_request(request)  # type: ignore[arg-type]

    def take(self) -> socket.socket:
        """The connection of the next request for a stream. Raises `queue.Empty`."""
        return self.asked.get(timeout=_SECONDS)


class _Handler(socketserver.StreamRequestHandler):
    server: Upstream

    def handle(self) -> None:
        with suppress(ConnectionError):  # a proxy has ended a connection that it no longer needs
            self._respond()

    def _respond(self) -> None:
        length = 0
        while line := self.rfile.readline():
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
            elif line == b"\r\n":
                if _STREAM.search(self.rfile.read(length)):
                    self.server.asked.put(self.connection.dup())
                    return
                self.wfile.write(_HEAD + RESPONSE)
                length = 0
