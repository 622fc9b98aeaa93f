"""The exchanges of the demo upstream: one class per API, with the whole response and its events."""

import base64
import hashlib
import struct
from collections.abc import Iterator
from typing import Any, Protocol

type Json = dict[str, Any]
type Event = tuple[str | None, Any]  # the name of the event, if any, and its data

#: The model that the demo upstream lists. It serves any other name, too.
MODEL = "demo"
_DIMENSIONS = 8


class DemoExchange(Protocol):
    """One call of an API."""

    def whole(self) -> Json:
        """The whole response."""

    def events(self) -> Iterator[Event]:
        """The response as a stream."""


def last_prompt(turns: Any) -> str:
    """The last message of the user, whose content may be text or a list of parts; "" without one."""
    if isinstance(turns, str):
        return turns
    for turn in reversed(turns if isinstance(turns, list) else []):
        if turn.get("role") == "user":
            content = turn.get("content", "")
            parts = [{"text": content}] if isinstance(content, str) else content
            return "".join(part.get("text", "") for part in parts)
    return ""


def tokens(text: str) -> list[str]:
    """The text as tokens: words, each with the space that follows."""
    return [piece for piece in text.replace(" ", " \0").split("\0") if piece]


class Reply:
    """What the demo upstream says to a prompt, and how many tokens that takes."""

    def __init__(self, prompt: str) -> None:
        self.text = f"You said: {prompt}"
        self.tokens = tokens(self.text)
        self.input_count, self.output_count = len(tokens(prompt)), len(self.tokens)
        self.total = self.input_count + self.output_count


class ChatExchange:
    """OpenAI's chat completions."""

    def __init__(self, request: Json) -> None:
        self.request = request
        self.reply = reply = Reply(last_prompt(request.get("messages")))
        self.usage = {
            "prompt_tokens": reply.input_count,
            "completion_tokens": reply.output_count,
            "total_tokens": reply.total,
        }

    def _object(self, kind: str, choices: list[Any], **more: Any) -> Json:
        model = self.request.get("model", MODEL)
        head = {"id": "chatcmpl-demo", "object": kind, "created": 0, "model": model}
        return {**head, "choices": choices, **more}

    def whole(self) -> Json:
        message = {"role": "assistant", "content": self.reply.text}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return self._object("chat.completion", [choice], usage=self.usage)

    def events(self) -> Iterator[Event]:
        """Token by token, with the usage at the end if the request includes it."""
        for delta in [{"role": "assistant", "content": ""}, *({"content": t} for t in self.reply.tokens)]:
            yield None, self._chunk({"index": 0, "delta": delta, "finish_reason": None})
        yield None, self._chunk({"index": 0, "delta": {}, "finish_reason": "stop"})
        if (self.request.get("stream_options") or {}).get("include_usage"):
            yield None, self._object("chat.completion.chunk", [], usage=self.usage)
        yield None, "[DONE]"

    def _chunk(self, choice: Json) -> Json:
        return self._object("chat.completion.chunk", [choice])


class ResponsesExchange:
    """OpenAI's responses."""

    _ITEM = "msg_demo"

    def __init__(self, request: Json) -> None:
        self.request = request
        self.reply = Reply(last_prompt(request.get("input")))

    def whole(self) -> Json:
        reply = self.reply
        usage = {
            "input_tokens": reply.input_count,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": reply.output_count,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": reply.total,
        }
        return self._response("completed", [self._item(reply.text)], usage)

    def _response(self, status: str, output: list[Json], usage: Json | None) -> Json:
        return {
            "id": "resp_demo",
            "object": "response",
            "created_at": 0,
            "status": status,
            "model": self.request.get("model", MODEL),
            "output": output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage,
        }

    def _item(self, text: str | None) -> Json:
        content = [] if text is None else [self._part(text)]
        status = "in_progress" if text is None else "completed"
        return {
            "id": self._ITEM,
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": content,
        }

    @staticmethod
    def _part(text: str) -> Json:
        return {"type": "output_text", "text": text, "annotations": []}

    def events(self) -> Iterator[Event]:
        for number, data in enumerate(self._events()):
            yield data["type"], {**data, "sequence_number": number}

    def _events(self) -> Iterator[Json]:
        item = {"output_index": 0}
        part = {**item, "item_id": self._ITEM, "content_index": 0}
        text = self.reply.text
        yield {"type": "response.created", "response": self._response("in_progress", [], None)}
        yield {"type": "response.output_item.added", **item, "item": self._item(None)}
        yield {"type": "response.content_part.added", **part, "part": self._part("")}
        for token in self.reply.tokens:
            yield {"type": "response.output_text.delta", **part, "delta": token, "logprobs": []}
        yield {"type": "response.output_text.done", **part, "text": text, "logprobs": []}
        yield {"type": "response.content_part.done", **part, "part": self._part(text)}
        yield {"type": "response.output_item.done", **item, "item": self._item(text)}
        yield {"type": "response.completed", "response": self.whole()}


class EmbeddingsExchange:
    """OpenAI's embeddings. A vector is made from the hash of its text, so equal texts have equal vectors."""

    def __init__(self, request: Json) -> None:
        self.request = request
        given = request.get("input", "")
        self.texts = [str(text) for text in given] if isinstance(given, list) else [str(given)]

    def whole(self) -> Json:
        count = sum(len(tokens(text)) for text in self.texts)
        return {
            "object": "list",
            "model": self.request.get("model", MODEL),
            "data": [
                {"object": "embedding", "index": index, "embedding": self._embedding(text)}
                for index, text in enumerate(self.texts)
            ],
            "usage": {"prompt_tokens": count, "total_tokens": count},
        }

    def events(self) -> Iterator[Event]:
        """Nothing: embeddings are not streamed."""
        return iter(())

    def _embedding(self, text: str) -> str | list[float]:
        vector = [byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:_DIMENSIONS]]
        if self.request.get("encoding_format") != "base64":
            return vector
        return base64.b64encode(struct.pack(f"<{_DIMENSIONS}f", *vector)).decode()


class MessagesExchange:
    """Anthropic's messages."""

    def __init__(self, request: Json) -> None:
        self.request = request
        self.reply = Reply(last_prompt(request.get("messages")))
        self.usage = {"input_tokens": self.reply.input_count, "output_tokens": self.reply.output_count}

    def _message(self, content: list[Any], stop: str | None, usage: dict[str, int]) -> Json:
        return {
            "id": "msg_demo",
            "type": "message",
            "role": "assistant",
            "model": self.request.get("model", MODEL),
            "content": content,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": usage,
        }

    def whole(self) -> Json:
        return self._message([{"type": "text", "text": self.reply.text}], "end_turn", self.usage)

    def events(self) -> Iterator[Event]:
        """Token by token, as named events."""
        for data in self._events():
            yield data["type"], data

    def _events(self) -> Iterator[Json]:
        start = self._message([], None, {**self.usage, "output_tokens": 1})
        yield {"type": "message_start", "message": start}
        yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        yield {"type": "ping"}
        for token in self.reply.tokens:
            delta = {"type": "text_delta", "text": token}
            yield {"type": "content_block_delta", "index": 0, "delta": delta}
        yield {"type": "content_block_stop", "index": 0}
        yield {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": self.usage["output_tokens"]},
        }
        yield {"type": "message_stop"}


def model_list(*, anthropic: bool) -> Json:
    """The models, as OpenAI's API lists them or as Anthropic's does."""
    if not anthropic:
        return {"object": "list", "data": [model(anthropic=False)]}
    return {"data": [model(anthropic=True)], "has_more": False, "first_id": MODEL, "last_id": MODEL}


def model(*, anthropic: bool) -> Json:
    """The only model."""
    if not anthropic:
        return {"id": MODEL, "object": "model", "created": 0, "owned_by": "demo"}
    return {
        "type": "model",
        "id": MODEL,
        "display_name": "Demo",
        "created_at": "2024-01-01T00:00:00Z",
        "lifecycle": "active",
    }
