"""A server with OpenAI's Responses that stores them: what one key has stored, another one does not know."""

import json
import threading
from collections import defaultdict
from contextlib import suppress
from http.server import ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from examples.demo_upstream.handler import JsonHandler


class ResponsesServer(ThreadingHTTPServer):
    """The accounts by their keys. `name` begins the ids, and `fails` makes every call a 500."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name = name
        self.fails = False
        self.calls: list[tuple[str, str, str]] = []
        self.accounts: dict[str, dict[str, Any]] = defaultdict(dict)
        self.lock = threading.Lock()
        self.ids = count(1)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def create(self, key: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """The response to a request; None if it names what the account does not know."""
        known = self.accounts[key]
        named = [request.get("previous_response_id")]
        if isinstance(request.get("input"), list):
            named += [one["id"] for one in request["input"] if one.get("type") == "item_reference"]
        if any(one not in known for one in named if one):
            return None
        with self.lock:
            number = next(self.ids)
        before = [known[one]["text"] for one in named if one]
        text = " ".join([*before, str(request["input"])])
        id, item = f"resp_{self.name}_{number}", f"msg_{self.name}_{number}"
        content = [{"type": "output_text", "text": text, "annotations": []}]
        message = {
            "id": item,
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": content,
        }
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        usage |= {
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }
        document = {
            "id": id,
            "object": "response",
            "created_at": 0,
            "status": "completed",
            "model": request["model"],
            "output": [message],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage,
        }
        if request.get("store") is not False:
            known[id] = known[item] = {"text": text, "document": document}
        return document


class _Handler(JsonHandler):
    server: ResponsesServer

    def do_POST(self) -> None:
        request = json.loads(self.body() or b"{}")
        key, path = self._call()
        if path != "/v1/responses":
            self._stored(key, path)
        elif self.server.fails:
            self.response(500, {"error": {"message": "broken"}})
        elif (document := self.server.create(key, request)) is None:
            code = "previous_response_not_found"
            self.response(400, {"error": {"message": f"Not found at {self.server.name}.", "code": code}})
        elif request.get("stream"):
            begun = {**document, "status": "in_progress", "output": [], "usage": None}
            [message] = document["output"]
            text = message["content"][0]["text"]
            where = {"item_id": message["id"], "output_index": 0, "content_index": 0}
            events: list[dict[str, Any]] = [
                {"type": "response.created", "response": begun},
                {"type": "response.output_item.added", "output_index": 0, "item": {**message, "content": []}},
                {"type": "response.output_text.delta", **where, "delta": text, "logprobs": []},
                {"type": "response.completed", "response": document},
            ]
            with suppress(OSError):
                self.stream((one["type"], {**one, "sequence_number": at}) for at, one in enumerate(events))
        else:
            self.response(200, document)

    def do_GET(self) -> None:
        self._stored(*self._call())

    do_DELETE = do_GET

    def _call(self) -> tuple[str, str]:
        key, path = self.headers.get("Authorization", "").removeprefix("Bearer "), urlsplit(self.path).path
        self.server.calls.append((self.command, path, key))
        return key, path

    def _stored(self, key: str, path: str) -> None:
        id, _, action = path.removeprefix("/v1/responses/").partition("/")
        stored = self.server.accounts[key].get(id)
        if stored is None:
            self.response(404, {"error": {"message": f"No {id} at {self.server.name}."}})
        elif self.command == "DELETE":
            del self.server.accounts[key][id]
            self.response(200, {"id": id, "object": "response", "deleted": True})
        elif action == "input_items":
            self.response(
                200, {"object": "list", "data": [], "has_more": False, "first_id": "", "last_id": ""}
            )
        else:
            self.response(200, stored["document"])
