"""The HTTP of the examples: JSON bodies, streams, and connections that break."""

import json
import socket
import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any, Final

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
# The connection is reset as soon as it is closed.
_NO_LINGER: Final = struct.pack("ii", 1, 0)


class JsonHandler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive, without buffered writes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def body(self) -> bytes:
        """The request's body, sized or chunked."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            """Skip the trailers, up to the empty line that ends the body."""
        return body

    def response(self, status: int, content: Any, headers: Mapping[str, str] | None = None) -> None:
        """One JSON document."""
        body = json.dumps(content).encode()
        self.head(status, JSON, len(body), headers)
        self.wfile.write(body)

    def stream(self, events: Iterable[tuple[str | None, Any]]) -> None:
        """Server-sent events, one per chunk."""
        self.head(200, EVENTS)
        for event in events:
            self.chunk(event_bytes(*event))
        self.chunk(b"")

    def head(
        self, status: int, media_type: str, size: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        """The head of a response. Without a `size`, its body is chunked."""
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        if size is None:
            self.send_header("Cache-Control", "no-cache")
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(size))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def chunk(self, piece: bytes) -> None:
        """One chunk of a body; an empty one ends the body."""
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def wait_for_end(self) -> None:
        """Return when the client has closed the connection."""
        self.close_connection = True
        with suppress(OSError):
            while self.connection.recv(4096):
                """Ignore what still comes."""

    def reset(self) -> None:
        """Reset the connection."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.rfile.close()
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Do nothing: the gateway logs the requests that it forwards."""


def event_bytes(name: str | None, data: Any) -> bytes:
    """A server-sent event. `data` is text, or else becomes JSON."""
    text = data if isinstance(data, str) else json.dumps(data)
    return f"{f'event: {name}\n' if name else ''}data: {text}\n\n".encode()
