"""A service that an `external_validator` can ask, without a model.

    python -m examples.demo_validator --port 8084

It says no to everything in which the word "forbidden" stands, and flags what says "odd". The query makes it
slow or faulty: `?wait=0.2` (seconds), `?status=500`, `?text` (no JSON), `?redirect`. `GET /asked` tells how
often it was asked, and the headers and the body of the last time. It listens on loopback only and prints its
port once it does; port 0 takes a free one.
"""

import argparse
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


def judged(body: bytes) -> dict[str, Any]:
    """What the service says of a body."""
    text = body.decode(errors="replace").lower()
    return {"allowed": "forbidden" not in text, "flagged": "odd" in text}


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "DemoValidator"

    def do_GET(self) -> None:
        self.response(200, json.dumps(self.server.asked).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        options = parse_qs(self.path.partition("?")[2], keep_blank_values=True)
        self.server.note(dict(self.headers.items()), body.decode(errors="replace"))
        time.sleep(float(options.get("wait", ["0"])[0]))
        if "redirect" in options:
            return self.response(307, b"{}", Location="/")
        if "text" in options:
            return self.response(200, b"all is well")
        return self.response(int(options.get("status", ["200"])[0]), json.dumps(judged(body)).encode())

    do_PUT = do_PATCH = do_POST

    def response(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the gateway logs what fails."""


class DemoValidator(ThreadingHTTPServer):
    """The server. `server_port` is the port it has got, `asked` what `GET /asked` tells."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self._lock = threading.Lock()
        self.asked: dict[str, Any] = {"times": 0, "headers": {}, "body": ""}

    def note(self, headers: dict[str, str], body: str) -> None:
        """Remember that somebody asked."""
        with self._lock:
            self.asked = {"times": self.asked["times"] + 1, "headers": headers, "body": body}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A validator that knows one forbidden word.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    with DemoValidator(parser.parse_args().port) as server:
        print(server.server_port, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
