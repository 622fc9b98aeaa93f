"""Anthropic's messages, and its count of their tokens."""

from collections.abc import Iterator
from typing import Any

from examples.demo_upstream.errors import error_body
from examples.demo_upstream.exchange import Event, Exchange, Json
from examples.demo_upstream.text import Reply, content_text, conversation, count_tokens, last_prompt


class CountTokensExchange(Exchange):
    """One call that counts the tokens of messages, without a reply."""

    anthropic = True
    can_stream = False

    def count_input(self) -> int:
        return _input_count(self.request)

    def whole(self) -> Json:
        return {"input_tokens": self.input_count}


class MessagesExchange(Exchange):
    """One call of Anthropic's messages."""

    anthropic = True

    def __init__(self, request: Json) -> None:
        super().__init__(request)
        self.reply = Reply(last_prompt(request.get("messages")), request.get("max_tokens"))
        self.stop = {"stop_reason": "max_tokens" if self.reply.is_cut else "end_turn", "stop_sequence": None}

    def count_input(self) -> int:
        return _input_count(self.request)

    def _usage(self, output: int) -> Json:
        """The tokens of the call, of which `output` are generated so far."""
        return {
            "input_tokens": self.input_count,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": output,
        }

    def _message(self, **more: Any) -> Json:
        return {
            "id": "msg_demo",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            **more,
        }

    def whole(self) -> Json:
        content = [{"type": "text", "text": self.reply.text}]
        return self._message(content=content, usage=self._usage(self.reply.count), **self.stop)

    def events(self) -> Iterator[Event]:
        """Token by token, as named events."""
        for data in self._events():
            yield data["type"], data

    def _events(self) -> Iterator[Json]:
        yield {"type": "message_start", "message": self._message(usage=self._usage(1))}
        yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        yield {"type": "ping"}
        for token in self.reply.tokens:
            delta = {"type": "text_delta", "text": token}
            yield {"type": "content_block_delta", "index": 0, "delta": delta}
        yield {"type": "content_block_stop", "index": 0}
        yield {"type": "message_delta", "delta": self.stop, "usage": self._usage(self.reply.count)}
        yield {"type": "message_stop"}

    def error_event(self, status: int) -> Event:
        return "error", error_body(status, anthropic=True)


def _input_count(request: Json) -> int:
    return count_tokens([content_text(request.get("system")), *conversation(request.get("messages"))])
