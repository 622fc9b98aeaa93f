"""OpenAI's responses."""

from collections.abc import Iterator
from typing import Any

from examples.demo_upstream.errors import FAILURES
from examples.demo_upstream.exchange import Event, Exchange, Json
from examples.demo_upstream.text import Reply, content_text, conversation, count_tokens, last_prompt

_ITEM = "msg_demo"


class ResponsesExchange(Exchange):
    """One call of OpenAI's responses."""

    def __init__(self, request: Json) -> None:
        super().__init__(request)
        self.reply = Reply(last_prompt(request.get("input")), request.get("max_output_tokens"))
        self.status = "incomplete" if self.reply.is_cut else "completed"

    def count_input(self) -> int:
        instructions = content_text(self.request.get("instructions"))
        return count_tokens([instructions, *conversation(self.request.get("input"))])

    @property
    def usage(self) -> Json:
        """The tokens of the call."""
        return {
            "input_tokens": self.input_count,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": self.reply.count,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.input_count + self.reply.count,
        }

    def whole(self) -> Json:
        details = {"reason": "max_output_tokens"} if self.reply.is_cut else None
        item = self._item(self.status, self.reply.text)
        return self._response(self.status, output=[item], usage=self.usage, incomplete_details=details)

    def _response(self, status: str, **more: Any) -> Json:
        return {
            "id": "resp_demo",
            "object": "response",
            "created_at": 0,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": self.request.get("instructions"),
            "metadata": {},
            "model": self.model,
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": None,
            **more,
        }

    @staticmethod
    def _item(status: str, text: str | None = None) -> Json:
        content = [] if text is None else [_part(text)]
        return {"id": _ITEM, "type": "message", "role": "assistant", "status": status, "content": content}

    def events(self) -> Iterator[Event]:
        """Token by token, as named events with numbers."""
        for number, data in enumerate(self._events()):
            yield data["type"], {**data, "sequence_number": number}

    def _events(self) -> Iterator[Json]:
        item = {"output_index": 0}
        part = {**item, "item_id": _ITEM, "content_index": 0}
        text = self.reply.text
        yield {"type": "response.created", "response": self._response("in_progress")}
        yield {"type": "response.in_progress", "response": self._response("in_progress")}
        yield {"type": "response.output_item.added", **item, "item": self._item("in_progress")}
        yield {"type": "response.content_part.added", **part, "part": _part("")}
        for token in self.reply.tokens:
            yield {"type": "response.output_text.delta", **part, "delta": token, "logprobs": []}
        yield {"type": "response.output_text.done", **part, "text": text, "logprobs": []}
        yield {"type": "response.content_part.done", **part, "part": _part(text)}
        yield {"type": "response.output_item.done", **item, "item": self._item(self.status, text)}
        yield {"type": f"response.{self.status}", "response": self.whole()}

    def error_event(self, status: int) -> Event:
        failure = FAILURES[status]
        error = {"code": failure.code, "message": failure.message, "param": None}
        return "error", {"type": "error", **error, "sequence_number": 0}


def _part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": []}
