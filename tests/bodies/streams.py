"""Answers of each kind of endpoint, in one piece and as events, and what their readers get to see."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from shared.bodies.event_splitter import event_splitter
from shared.http.media_type import MediaType

LINE_ENDS = ("\n", "\r\n", "\r")


def cut(text: str, places: Sequence[int]) -> list[str]:
    """The text in pieces, cut at these places."""
    cuts = sorted(place % (len(text) + 1) for place in places)
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]


@dataclass(frozen=True)
class Endpoint:
    """`events` are the data of the events for the pieces of a text, `whole` the answer in one piece.

    `read` gives the text of a document or an event, empty for one without; `quotes` says that the text is in
    a string in a string, `shows_names` that names and numbers are texts, since the API is unknown.
    """

    name: str
    events: Callable[[Sequence[str]], list[Any]]
    whole: Callable[[str], Any]
    read: Callable[[Any], str]
    named: bool = False
    lines: bool = False
    quotes: bool = False
    shows_names: bool = False

    @property
    def content_type(self) -> str:
        return "application/x-ndjson" if self.lines else "text/event-stream; charset=utf-8"

    def stream(self, pieces: Sequence[str], end: str = "\n") -> bytes:
        """The whole body. There are comments, other fields, and data of several lines."""
        if self.quotes:
            pieces = cut(json.dumps({"q": "".join(pieces)})[7:-2], [len(piece) for piece in pieces])
        written = []
        for number, event in enumerate(self.events(pieces)):
            data = event if isinstance(event, str) else json.dumps(event, ensure_ascii=bool(number % 2))
            if self.lines:
                written.append(data + end)
                continue
            name = f"event: {event['type']}{end}" if self.named else f"id: {number}{end}"
            data = data.replace(', "', ',\n"', 1) if number % 3 == 1 and not isinstance(event, str) else data
            fields = "".join(f"data: {line}{end}" for line in data.split("\n"))
            written.append(f"{name}{fields}{end}" + (f": still here{end}{end}" if number % 2 else ""))
        return "".join(written).encode()

    def body(self, text: str) -> bytes:
        return json.dumps(self.whole(text)).encode()

    def read_stream(self, body: bytes) -> str:
        """The text that a reader puts together from as many events as came."""
        splitter = event_splitter(MediaType(self.content_type.partition(";")[0]), len(body))
        assert splitter is not None
        data = [event.data for event in (*splitter.feed(body), *splitter.end()) if event.data is not None]
        if self.whole is plain:
            return "".join(data).removesuffix("[DONE]")
        text = "".join(self.read(json.loads(item)) for item in data if item != "[DONE]")
        return self.unquoted(text) if self.quotes else text

    def read_whole(self, body: bytes) -> str:
        return self.read(json.loads(body))

    def unquoted(self, text: str) -> str:
        """As much of the JSON string as is there."""
        return str(json.loads(f'"{re.sub(_HALF_ESCAPE, "", text)}"'))


_HALF_ESCAPE = r"(?<!\\)((?:\\\\)*)\\(?:u[0-9a-f]{0,3}|u[dD][89ab]..(?:\\(?:u.{0,3})?)?)?\Z"


def plain(text: str) -> str:
    return text


def _chat(pieces: Sequence[str]) -> list[Any]:
    base = {"id": "chatcmpl-secret", "object": "chat.completion.chunk", "model": "secret-1"}
    first = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
    deltas = [{"index": 0, "delta": {"content": piece}, "finish_reason": None} for piece in pieces]
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    events = [{**base, "choices": [choice]} for choice in (first, *deltas, last)]
    return [*events, {**base, "choices": [], "usage": {"total_tokens": 7}}, "[DONE]"]


def _tool(pieces: Sequence[str]) -> list[Any]:
    def call(**function: str) -> dict[str, Any]:
        calls = [{"index": 0, "id": "call_1", "function": function}]
        return {"choices": [{"index": 0, "delta": {"tool_calls": calls}, "finish_reason": None}]}

    done = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    first, last = call(name="find", arguments='{"q": "'), call(arguments='"}')
    return [first, *[call(arguments=piece) for piece in pieces], last, done, "[DONE]"]


def _tool_arguments(document: Any) -> str:
    for choice in document["choices"]:
        for call in choice.get("delta", {}).get("tool_calls", ()):
            text: str = call["function"].get("arguments", "")
            return "" if text in ('{"q": "', '"}') else text
    return ""


def _messages(pieces: Sequence[str]) -> list[Any]:
    start = {"id": "msg_secret", "role": "assistant", "model": "secret-1", "content": [], "usage": {}}
    block = {"type": "text", "text": ""}
    return [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "ping"},
        *[
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
            for piece in pieces
        ],
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]


def _tool_use(pieces: Sequence[str]) -> list[Any]:
    block = {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {}}

    def delta(text: str) -> dict[str, Any]:
        part = {"type": "input_json_delta", "partial_json": text}
        return {"type": "content_block_delta", "index": 0, "delta": part}

    return [
        {"type": "content_block_start", "index": 0, "content_block": block},
        *map(delta, ('{"q": "', *pieces, '"}')),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_stop"},
    ]


def _tool_json(document: Any) -> str:
    text: str = document.get("delta", {}).get("partial_json", "")
    return "" if text in ('{"q": "', '"}') else text


def _responses(pieces: Sequence[str]) -> list[Any]:
    part = {"output_index": 0, "content_index": 0, "item_id": "msg_secret"}
    return [
        {"type": "response.created", "response": {"id": "resp_secret", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "content": []}},
        {"type": "response.content_part.added", **part, "part": {"type": "output_text", "text": ""}},
        *[
            {"type": "response.output_text.delta", **part, "delta": piece, "obfuscation": "secret"}
            for piece in pieces
        ],
        {"type": "response.output_text.done", **part, "text": "".join(pieces)},
        {"type": "response.completed", "response": _response("".join(pieces))},
    ]


def _response(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text}]
    return {"id": "resp_secret", "output": [{"type": "message", "content": content}]}


def _candidate(text: str) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text}]}
    return {
        "candidates": [{"content": content, "index": 0}],
        "modelVersion": "secret-1",
        "responseId": "secret",
    }


def _ollama(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"model": "secret-1", "created_at": "2026-11-29T12:00:00.1Z", "message": message, "done": False}


ENDPOINTS = (
    Endpoint(
        "chat",
        _chat,
        lambda text: {"model": "secret-1", "choices": [{"index": 0, "message": {"content": text}}]},
        lambda got: "".join(
            choice.get("delta", choice.get("message", {})).get("content", "") for choice in got["choices"]
        ),
    ),
    Endpoint(
        "chat, a tool's arguments",
        _tool,
        lambda text: {
            "choices": [{"message": {"tool_calls": [{"function": {"arguments": json.dumps({"q": text})}}]}}]
        },
        lambda got: (
            json.loads(got["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])["q"]
            if got["choices"] and "message" in got["choices"][0]
            else _tool_arguments(got)
        ),
        quotes=True,
    ),
    Endpoint(
        "completions",
        lambda pieces: [{"choices": [{"index": 0, "text": piece}]} for piece in pieces] + ["[DONE]"],
        lambda text: {"choices": [{"index": 0, "text": text}]},
        lambda got: got["choices"][0]["text"],
    ),
    Endpoint(
        "responses",
        _responses,
        _response,
        lambda got: (
            got["output"][0]["content"][0]["text"]
            if "output" in got
            else got["delta"]
            if got["type"] == "response.output_text.delta"
            else ""
        ),
        named=True,
    ),
    Endpoint(
        "messages",
        _messages,
        lambda text: {"role": "assistant", "content": [{"type": "text", "text": text}]},
        lambda got: got["content"][0]["text"] if "content" in got else got.get("delta", {}).get("text", ""),
        named=True,
    ),
    Endpoint(
        "messages, a tool's input",
        _tool_use,
        lambda text: {"content": [{"type": "tool_use", "name": "find", "input": {"q": text}}]},
        lambda got: got["content"][0]["input"]["q"] if "content" in got else _tool_json(got),
        named=True,
        quotes=True,
    ),
    Endpoint("plain events", lambda pieces: [*pieces, "[DONE]"], plain, plain),
    Endpoint(
        "gemini",
        lambda pieces: [
            *map(_candidate, pieces),
            {**_candidate(""), "usageMetadata": {"totalTokenCount": 7}},
        ],
        _candidate,
        lambda got: got["candidates"][0]["content"]["parts"][0]["text"],
    ),
    Endpoint(
        "text-generation-inference",
        lambda pieces: [
            {"index": number, "token": {"id": number, "text": piece, "special": False}, "details": None}
            for number, piece in enumerate(pieces, 1)
        ],
        lambda text: {"generated": text},
        lambda got: got["token"]["text"] if "token" in got else got["generated"],
        shows_names=True,
    ),
    Endpoint(
        "ollama, chat",
        lambda pieces: [*(_ollama(piece) for piece in pieces), {**_ollama(""), "done": True, "context": [1]}],
        lambda text: {**_ollama(text), "done": True},
        lambda got: got["message"]["content"],
        lines=True,
    ),
    Endpoint(
        "ollama, generate",
        lambda pieces: [
            *[{"model": "m", "response": piece, "done": False} for piece in pieces],
            {"model": "m", "response": "", "done": True},
        ],
        lambda text: {"model": "m", "response": text, "done": True},
        lambda got: got["response"],
        lines=True,
    ),
    Endpoint(
        "lines of JSON",
        lambda pieces: [{"said": piece, "more": True} for piece in pieces],
        lambda text: {"said": text, "more": False},
        lambda got: got["said"],
        lines=True,
        shows_names=True,
    ),
)
