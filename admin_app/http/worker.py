"""How gunicorn serves the admin API: errors as problem documents, whole responses, logs that never block."""

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from gunicorn import glogging, util
from gunicorn.http import errors as wire
from gunicorn.http.wsgi import Response
from gunicorn.workers.gthread import ThreadWorker

from admin_app.context import EXTENSION
from admin_app.heartbeats import AdminHeartbeats
from admin_app.http.errors import CONTENT_TYPE, ApiError, problem_document
from admin_app.jobs.leaders import Jobs
from admin_app.metrics import MasterMetrics, WorkerMetrics
from shared import logs
from shared.services import SystemClock

# After a response, what the client still sends is read away for this long and up to this size. Closed
# earlier, the connection would be reset, and the client could lose the response.
_LINGER_SECONDS, _LINGER_IDLE_SECONDS, _LINGER_BYTES = 15.0, 2.0, 64 * 1024 * 1024
_WRITE_SECONDS = 2.0  # to send the response to a malformed request

_INTERNAL = "internal_error", "Internal error. Contact the gateway's operator."
#: gunicorn's errors, each with its code and text. The first that fits is used.
_ERRORS: tuple[tuple[type[Exception], str, str], ...] = (
    (wire.LimitRequestLine, "uri_too_long", "The request line is too long. Shorten the URL."),
    (
        wire.LimitRequestHeaders,
        "headers_too_large",
        "The request has too many or too long headers. At most 100 of 8 KB are allowed.",
    ),
    (wire.ExpectationFailed, "expectation_failed", "Only 'Expect: 100-continue' is supported."),
    (wire.UnsupportedTransferCoding, "not_implemented", "Only chunked transfer coding is supported."),
    (wire.ConfigurationProblem, *_INTERNAL),
    (wire.InvalidResponseHeader, *_INTERNAL),
    (wire.ParseException, "bad_request", "The request is not valid HTTP/1.1. Check its syntax."),
    (Exception, *_INTERNAL),
)


_DRAINED_BYTES = 64 * 1024  # what gunicorn itself reads away of a body, before the next request
_gunicorns_headers = Response.default_headers


def _default_headers(response: Any) -> list[str]:
    """Omit Server, for which gunicorn has no option. Announce the close that follows an unread body."""
    if _has_unread_body(response.req):
        response.force_close()
    return [header for header in _gunicorns_headers(response) if not header.startswith("Server:")]


def _has_unread_body(request: Any) -> bool:
    """Whether more of the body has not been read than gunicorn would read away."""
    reader = getattr(request.body, "reader", None)
    is_chunked = getattr(reader, "parser", None) is not None  # None at the end of the body
    return is_chunked or getattr(reader, "length", 0) > _DRAINED_BYTES


Response.default_headers = _default_headers


class Logger(glogging.Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's log as lines of the gateway's. Each process opens its own writer, see gunicorn.conf.py."""

    writer: logs.LogWriter | None = None

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True
        if self.writer is None:
            self.open()

    def open(self) -> None:
        """Begin to write in this process: threads do not survive a fork."""
        self.writer = logs.configure(self.cfg.loglevel, sys.stdout)

    def close(self) -> None:
        """Write the waiting lines."""
        if self.writer is not None:
            self.writer.close()


class Worker(ThreadWorker):  # type: ignore[misc]  # as above
    """gunicorn's worker with threads, and with the jobs of the fleet beside its requests."""

    jobs: Jobs | None = None
    metrics: WorkerMetrics | None = None
    heartbeats: AdminHeartbeats | None = None

    def start_jobs(self, master: MasterMetrics | None) -> None:
        """Begin with the jobs, once the application is there, and serve the metrics, if they are on."""
        services = self.wsgi.extensions[EXTENSION]
        self.heartbeats = AdminHeartbeats(services, self)
        self.heartbeats.start()
        self.jobs = Jobs(services, name=self.heartbeats.id)
        self.jobs.start()
        if master is not None:
            self.metrics = WorkerMetrics(master, services, self.log.writer)
            self.metrics.start()

    def stop_jobs(self) -> None:
        """End them. A worker that did not start has none."""
        if self.metrics is not None:
            self.metrics.stop()
        if self.jobs is not None:
            self.jobs.stop()
        if self.heartbeats is not None:
            self.heartbeats.stop()

    def handle(self, conn: Any) -> Any:
        """Handle a request. A connection that ends is closed here, in the thread."""
        result = super().handle(conn)
        if result is False:
            _linger(conn.sock)
            conn.close = _is_closed  # else gunicorn's own close fails, and it counts the connection twice
        return result

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Respond to a request that gunicorn itself rejects, or that the application failed to handle."""
        _, code, text = next(one for one in _ERRORS if isinstance(exc, one[0]))
        error = ApiError(code, text)
        if error.status >= 500:
            self.log.error("A request failed.", exc_info=exc)
        else:
            self.log.info("A request of %s was rejected: %s", addr[0] if addr else "a socket", exc)
        with suppress(OSError):
            client.settimeout(_WRITE_SECONDS)
            client.sendall(b"".join(_response(error)))


def _response(error: ApiError) -> Iterator[bytes]:
    """The response without Flask, which never saw the request."""
    request_id = os.urandom(16).hex()
    body = json.dumps(problem_document(error, request_id)).encode()
    headers = {
        "Content-Type": CONTENT_TYPE,
        "Content-Length": str(len(body)),
        "X-Request-ID": request_id,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
        "Connection": "close",
    }
    yield f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n".encode()
    for name, value in headers.items():
        yield f"{name}: {value}\r\n".encode()
    yield b"\r\n" + body


def _is_closed(*, graceful: bool = False) -> None:
    """Do nothing: the connection is closed."""


def _linger(client: socket.socket) -> None:
    """Close the connection as in RFC 9112, 9.6: end our side, then read until the client ends its own."""
    deadline = SystemClock.monotonic() + _LINGER_SECONDS
    left = _LINGER_BYTES
    with suppress(OSError):
        client.shutdown(socket.SHUT_WR)
        while left > 0 and (seconds := deadline - SystemClock.monotonic()) > 0:
            client.settimeout(min(seconds, _LINGER_IDLE_SECONDS))
            received = len(client.recv(65_536))
            if not received:
                break
            left -= received
    util.close(client)
