"""The HTTP server of the demo upstream, and what the other examples use of it."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from examples.demo_upstream.exchanges import (
    MODEL,
    ChatExchange,
    DemoExchange,
    EmbeddingsExchange,
    Event,
    Json,
    MessagesExchange,
    ResponsesExchange,
    model,
    model_list,
)

_NOT_FOUND = {
    "error": {"message": "No resource has this path.", "type": "not_found_error", "code": "not_found"}
}
_NO_JSON = {
    "error": {"message": "The body is not a JSON object.", "type": "invalid_request_error", "code": "no_json"}
}

_APIS: dict[str, Callable[[Json], DemoExchange]] = {
    "/v1/chat/completions": ChatExchange,
    "/v1/responses": ResponsesExchange,
    "/v1/embeddings": EmbeddingsExchange,
    "/v1/messages": MessagesExchange,
}


class DemoHandler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive, without buffered writes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            return self.response(200, {"status": "ok"})
        anthropic = "anthropic-version" in self.headers
        if path == "/v1/models":
            return self.response(200, model_list(anthropic=anthropic))
        if path == f"/v1/models/{MODEL}":
            return self.response(200, model(anthropic=anthropic))
        return self.response(404, _NOT_FOUND)

    def do_POST(self) -> None:
        body = self.body()
        api = _APIS.get(self.path.partition("?")[0])
        if api is None:
            return self.response(404, _NOT_FOUND)
        try:
            request = json.loads(body)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            return self.response(400, _NO_JSON)
        exchange = api(request)
        if not request.get("stream"):
            return self.response(200, exchange.whole())
        return self.stream(exchange.events())

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

    def response(self, status: int, content: Any) -> None:
        """One JSON document."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, events: Iterator[Event]) -> None:
        """Server-sent events, one per chunk."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for name, data in events:
            text = data if isinstance(data, str) else json.dumps(data)
            event = f"{f'event: {name}\n' if name else ''}data: {text}\n\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Do nothing: the gateway logs the requests that it forwards."""


class DemoServer(ThreadingHTTPServer):
    """A server of an example. `server_port` is its port."""

    handler: type[BaseHTTPRequestHandler]
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), self.handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class DemoUpstream(DemoServer):
    """The upstream."""

    handler = DemoHandler


def run(server_class: type[DemoServer], description: str) -> None:
    """Serve until Ctrl-C, on the port of the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 selects a free port")
    with server_class(parser.parse_args().port) as server:
        print(server.server_port, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return
