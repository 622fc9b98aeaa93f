"""The server of the demo upstream, and what the other examples use of it."""

import argparse
import json
import socket
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from examples.demo_upstream.broken import Content, send_broken
from examples.demo_upstream.completions import ChatExchange, CompletionsExchange
from examples.demo_upstream.embeddings import EmbeddingsExchange
from examples.demo_upstream.errors import error_body
from examples.demo_upstream.exchange import Exchange, Json
from examples.demo_upstream.faults import Faults
from examples.demo_upstream.handler import JsonHandler
from examples.demo_upstream.messages import CountTokensExchange, MessagesExchange
from examples.demo_upstream.models import MODELS, model, model_list
from examples.demo_upstream.responses import ResponsesExchange

_APIS: Final[Mapping[str, Callable[[Json], Exchange]]] = {
    "/v1/chat/completions": ChatExchange,
    "/v1/completions": CompletionsExchange,
    "/v1/responses": ResponsesExchange,
    "/v1/embeddings": EmbeddingsExchange,
    "/v1/messages": MessagesExchange,
    "/v1/messages/count_tokens": CountTokensExchange,
}
_LIST: Final = "/v1/models"


class DemoHandler(JsonHandler):
    """The APIs.

    Attributes:
        keys: the API keys, of which each call needs one; empty: calls need none.
        faults: what fails.
    """

    keys: Collection[str] = ()
    faults = Faults()

    def do_GET(self) -> None:
        if self._path == "/healthz":
            return self.response(200, {"status": "ok"})
        name = self._path.removeprefix(f"{_LIST}/")
        anthropic = "anthropic-version" in self.headers
        if self._path == _LIST:
            document = model_list(anthropic=anthropic)
        elif name in MODELS:
            document = model(name, anthropic=anthropic)
        else:
            return self._error(404, anthropic=anthropic)
        return self._serve(document, None, anthropic=anthropic)

    def do_POST(self) -> None:
        body, exchange_of = self.body(), _APIS.get(self._path)
        anthropic = self._path.startswith("/v1/messages")
        if exchange_of is None:
            return self._error(404, anthropic=anthropic)
        try:
            request = json.loads(body)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            return self._error(400, anthropic=anthropic)
        return self._serve(None, exchange_of(request), anthropic=anthropic)

    def _serve(self, document: Any, exchange: Exchange | None, *, anthropic: bool) -> None:
        """Respond with the document or the exchange, unless the key or a fault prevents it."""
        if self.keys and self._key not in self.keys:
            return self._error(401, anthropic=anthropic)
        fault = self.faults.hit(exchange.model if exchange else None, self._key)
        if fault is not None:
            content = Content.of(exchange) if exchange else Content.document(document, anthropic=anthropic)
            return send_broken(self, content, fault)
        if exchange is None:
            return self.response(200, document)
        if exchange.is_streamed:
            return self.stream(exchange.events())
        return self.response(200, exchange.whole())

    @property
    def _path(self) -> str:
        return self.path.partition("?")[0]

    @property
    def _key(self) -> str:
        """The API key of the call, in either API's header; "" without one."""
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
        return self.headers.get("x-api-key") or bearer

    def _error(self, status: int, *, anthropic: bool) -> None:
        self.response(status, error_body(status, anthropic=anthropic))


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
    """The upstream. Its calls need one of `keys`, if there are any, and fail as `faults` says."""

    def __init__(self, port: int, keys: Collection[str] = (), faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.handler = type("Handler", (DemoHandler,), {"keys": frozenset(keys), "faults": self.faults})
        self._connections: set[socket.socket] = set()
        super().__init__(port)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def disconnect_all(self) -> None:
        """End all connections."""
        for connection in tuple(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def serve(server: DemoServer, *ports: int) -> None:
    """Print the ports, one per line, and serve until Ctrl-C."""
    with server:
        print(*ports, sep="\n", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()


def port_parser(description: str) -> argparse.ArgumentParser:
    """The command line of a server."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 selects a free port")
    return parser


def run(server_class: type[DemoServer], description: str) -> None:
    """Serve until Ctrl-C, on the port of the command line."""
    server = server_class(port_parser(description).parse_args().port)
    serve(server, server.server_port)
