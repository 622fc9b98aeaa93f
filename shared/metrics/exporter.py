"""The port where Prometheus reads the metrics of all processes of a program: ``GET /metrics``.

A thread serves it, in a process that serves no requests of clients where there is one.
"""

import hmac
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

logger = logging.getLogger(__name__)

PATH: Final = "/metrics"
_PAUSE: Final = 0.2  # seconds until it looks again whether it ends, or may serve
_TIMEOUT: Final = 5.0  # seconds for a request


def exposition(folder: Path) -> bytes:
    """The metrics in a folder, in Prometheus's text format."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))
    return generate_latest(registry)


class _Handler(BaseHTTPRequestHandler):
    timeout = _TIMEOUT
    server: "_Server"

    def do_GET(self) -> None:
        """Respond with the metrics, to those who know the token."""
        if self.path.partition("?")[0] != PATH:
            self._respond(404, "text/plain", f"The metrics are at {PATH}.\n".encode())
        elif not self._is_allowed():
            self._respond(401, "text/plain", b"Send the value of metrics.token as a bearer token.\n")
        else:
            self._respond(200, CONTENT_TYPE_LATEST, exposition(self.server.folder))

    do_HEAD = do_GET

    def _is_allowed(self) -> bool:
        token = self.server.token
        given = self.headers.get("Authorization", "")
        return token is None or hmac.compare_digest(given.encode("latin-1"), f"Bearer {token}".encode())

    def _respond(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response_only(status)
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Write no line per request."""


class _Server(ThreadingHTTPServer):
    timeout = _PAUSE
    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, folder: Path, token: str | None) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.folder, self.token = folder, token

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log why a scrape failed, unless the client has gone."""
        logger.warning("The metrics could not be sent.", exc_info=True)


@contextmanager
def exporting(
    listener: Callable[[], socket.socket | None],
    folder: Path,
    token: str | None,
    serves: Callable[[], bool] = lambda: True,
) -> Iterator[None]:
    """Serve the metrics in `folder` in a thread, while `serves`.

    `listener` returns the socket, which is closed at the end, or None as long as it cannot be opened.
    """
    ending = threading.Event()

    def run() -> None:
        server: _Server | None = None
        while not ending.is_set():
            if server is None and (found := listener()) is not None:
                found.settimeout(_PAUSE)  # another process may be faster to accept
                server = _Server(found, folder, token)
            if server is not None and serves():
                server.handle_request()
            else:
                ending.wait(_PAUSE)
        if server is not None:
            server.server_close()

    thread = threading.Thread(target=run, name="metrics", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(10 * _PAUSE)
