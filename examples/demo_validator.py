"""A validator that the plugin `external_validator` can call, without a model.

    python -m examples.demo_validator --port 8084

It rejects bodies that contain "forbidden", and flags those that contain "odd". The query makes it slow or
faulty: `?wait=0.2` (seconds), `?status=500`, `?text` (not JSON), `?redirect`. `GET /calls` returns the number
of calls, and the headers and body of the last one. It listens on loopback only and prints its port when it is
ready. Port 0 selects a free port.
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

from examples.demo_upstream.server import DemoServer, run


def verdict(body: bytes) -> dict[str, Any]:
    """The verdict on a body."""
    text = body.decode(errors="replace").lower()
    return {"allowed": "forbidden" not in text, "flagged": "odd" in text}


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "DemoValidator"

    def do_GET(self) -> None:
        self.response(200, json.dumps(self.server.calls).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        options = parse_qs(self.path.partition("?")[2], keep_blank_values=True)
        self.server.record(dict(self.headers.items()), body.decode(errors="replace"))
        time.sleep(float(options.get("wait", ["0"])[0]))
        if "redirect" in options:
            return self.response(307, b"{}", Location="/")
        if "text" in options:
            return self.response(200, b"all is well")
        return self.response(int(options.get("status", ["200"])[0]), json.dumps(verdict(body)).encode())

    do_PUT = do_PATCH = do_POST

    def response(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Do nothing: the gateway logs failures."""


class DemoValidator(DemoServer):
    """The validator. `calls` is the document of `GET /calls`."""

    handler = _Handler

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._lock = threading.Lock()
        self.calls: dict[str, Any] = {"count": 0, "headers": {}, "body": ""}

    def record(self, headers: dict[str, str], body: str) -> None:
        """Record a call."""
        with self._lock:
            self.calls = {"count": self.calls["count"] + 1, "headers": headers, "body": body}


if __name__ == "__main__":
    run(DemoValidator, "A validator that rejects one word.")
