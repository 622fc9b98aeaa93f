"""A small upstream with the chat APIs of OpenAI and Anthropic, plain and streamed, without a model.

    python -m examples.demo_upstream --port 8082

It repeats the last message of the user, so every response is predictable. It listens on loopback only and
prints its port when it is ready. Port 0 selects a free port.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_NOT_FOUND = {
    "error": {"message": "No resource has this path.", "type": "not_found_error", "code": "not_found"}
}
_NO_JSON = {
    "error": {"message": "The body is not a JSON object.", "type": "invalid_request_error", "code": "no_json"}
}

type Event = tuple[str | None, Any]  # the name of the event, if any, and its data


def last_prompt(request: dict[str, Any]) -> str:
    """The last message of the user, whose content may be text or a list of parts."""
    for message in reversed(request.get("messages", [])):
        if message.get("role") == "user":
            content = message.get("content", "")
            parts = [{"text": content}] if isinstance(content, str) else content
            return "".join(part.get("text", "") for part in parts)
    return ""


def tokens(text: str) -> list[str]:
    """The text as tokens: words, each with the space that follows."""
    return [piece for piece in text.replace(" ", " \0").split("\0") if piece]


class OpenAI:
    """An exchange in the shape of OpenAI's chat completions."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.reply = f"You said: {last_prompt(request)}"
        prompt, completion = len(tokens(last_prompt(request))), len(tokens(self.reply))
        self.usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }

    def _object(self, kind: str, choices: list[Any], **more: Any) -> dict[str, Any]:
        model = self.request.get("model", "demo")
        return {
            "id": "chatcmpl-demo",
            "object": kind,
            "created": 0,
            "model": model,
            "choices": choices,
            **more,
        }

    def plain(self) -> dict[str, Any]:
        """The whole response."""
        message = {"role": "assistant", "content": self.reply}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return self._object("chat.completion", [choice], usage=self.usage)

    def events(self) -> Iterator[Event]:
        """The response token by token, with the usage at the end if the request includes it."""
        for delta in [{"role": "assistant", "content": ""}, *({"content": t} for t in tokens(self.reply))]:
            yield None, self._chunk({"index": 0, "delta": delta, "finish_reason": None})
        yield None, self._chunk({"index": 0, "delta": {}, "finish_reason": "stop"})
        if (self.request.get("stream_options") or {}).get("include_usage"):
            yield None, self._object("chat.completion.chunk", [], usage=self.usage)
        yield None, "[DONE]"

    def _chunk(self, choice: dict[str, Any]) -> dict[str, Any]:
        return self._object("chat.completion.chunk", [choice])


class Anthropic:
    """An exchange in the shape of Anthropic's messages."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.reply = f"You said: {last_prompt(request)}"
        self.usage = {
            "input_tokens": len(tokens(last_prompt(request))),
            "output_tokens": len(tokens(self.reply)),
        }

    def _message(self, content: list[Any], stop: str | None, usage: dict[str, int]) -> dict[str, Any]:
        return {
            "id": "msg_demo",
            "type": "message",
            "role": "assistant",
            "model": self.request.get("model", "demo"),
            "content": content,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": usage,
        }

    def plain(self) -> dict[str, Any]:
        """The whole response."""
        return self._message([{"type": "text", "text": self.reply}], "end_turn", self.usage)

    def events(self) -> Iterator[Event]:
        """The response token by token, as named events."""
        for data in self._stream():
            yield data["type"], data

    def _stream(self) -> Iterator[dict[str, Any]]:
        start = self._message([], None, {**self.usage, "output_tokens": 1})
        yield {"type": "message_start", "message": start}
        yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        yield {"type": "ping"}
        for token in tokens(self.reply):
            delta = {"type": "text_delta", "text": token}
            yield {"type": "content_block_delta", "index": 0, "delta": delta}
        yield {"type": "content_block_stop", "index": 0}
        yield {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": self.usage["output_tokens"]},
        }
        yield {"type": "message_stop"}


_APIS: dict[str, type[OpenAI | Anthropic]] = {"/v1/chat/completions": OpenAI, "/v1/messages": Anthropic}


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive, without buffered writes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            return self.response(200, {"status": "ok"})
        if path == "/v1/models":
            model = {"id": "demo", "object": "model", "created": 0, "owned_by": "demo"}
            return self.response(200, {"object": "list", "data": [model]})
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
            return self.response(200, exchange.plain())
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

    handler = _Handler


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


if __name__ == "__main__":
    run(DemoUpstream, "An upstream that repeats the last message of the user.")
