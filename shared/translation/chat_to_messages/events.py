"""A stream of Anthropic's messages, for a client of OpenAI's chat."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.providers.calls import ANTHROPIC_MESSAGES
from shared.translation.chat_to_messages.response import stop_explanation
from shared.translation.chunks import ChunkMaker
from shared.translation.errors import chat_error, chat_protocol_error, status_of
from shared.translation.framing import PING, Letters, StreamEvent
from shared.translation.members import object_of
from shared.translation.notes import EXPOSE, Context, Document
from shared.translation.stops import finish_reason
from shared.translation.tools import arguments_of
from shared.translation.usage import chat_usage
from shared.usage.reported import ReportedUsage

#: The text of each kind of delta, and of each kind of block that begins with a text.
_DELTAS: Final = {"text_delta": "text", "thinking_delta": "thinking"}
_NAMES: Final = {"text": "content", "thinking": "reasoning_content"}


class Events:
    """Makes chunks of the events of one message."""

    __slots__ = (
        "_arguments",
        "_context",
        "_is_over",
        "_letters",
        "_maker",
        "_stop",
        "_stop_details",
        "_tools",
        "_usage",
    )

    def __init__(self, context: Context) -> None:
        self._context = context
        self._usage = ReportedUsage(ANTHROPIC_MESSAGES, context.settings.kind)
        self._letters = Letters()
        self._maker = ChunkMaker(context)
        # The numbers of the calls, by the numbers of their blocks, and those with arguments.
        self._tools: dict[int, int] = {}
        self._arguments: set[int] = set()
        self._stop: Any = None
        self._stop_details: Any = None
        self._is_over = False

    def feed(self, event: Any) -> list[StreamEvent]:
        """The chunks that an event makes. Events of a kind that is not known make none."""
        if self._is_over:
            return []
        if not isinstance(event, dict):
            return [PING] if event == PING else self._fail(chat_protocol_error())
        kind = event.get("type")
        if not isinstance(kind, str):
            return self._fail(chat_protocol_error())
        handler = _HANDLERS.get(kind)
        return [] if handler is None else handler(self, event)

    def end(self) -> list[StreamEvent]:
        """An error, if the stream ended before the message."""
        return [] if self._is_over else self._fail(chat_protocol_error())

    def _fail(self, error: Document) -> list[StreamEvent]:
        self._is_over = True
        return [error]

    def _error(self, event: Document) -> list[StreamEvent]:
        return self._fail(chat_error(status_of(event), event).document)

    def _ping(self, event: Document) -> list[StreamEvent]:
        return [PING]

    def _begin(self, event: Document) -> list[StreamEvent]:
        self._usage.add(event)
        return [self._maker.first(object_of(event.get("message")))]

    def _begin_block(self, event: Document) -> list[StreamEvent]:
        index, block = _index(event), object_of(event.get("content_block"))
        match block:
            case {"type": "tool_use", "id": str(id_), "name": str(name)}:
                number = self._tools[index] = len(self._tools)
                arguments = arguments_of(block["input"]) if block.get("input") else ""
                if arguments:
                    self._arguments.add(index)
                function = {"name": name, "arguments": arguments}
                call = {"index": number, "id": id_, "type": "function", "function": function}
                return [self._maker.chunk({"tool_calls": [call]})]
            case {"type": "text" | "thinking" as kind}:
                return self._text(index, kind, block.get(kind))
        self._context.notes.lose(str(block.get("type")))
        return []

    def _delta(self, event: Document) -> list[StreamEvent]:
        index, delta = _index(event), object_of(event.get("delta"))
        kind = str(delta.get("type"))
        if kind in _DELTAS:
            return self._text(index, _DELTAS[kind], delta.get(_DELTAS[kind]))
        if kind == "input_json_delta" and index in self._tools:
            piece = delta.get("partial_json")
            piece = self._letters.join(index, piece) if isinstance(piece, str) else ""
            if piece:
                self._arguments.add(index)
                call = {"index": self._tools[index], "function": {"arguments": piece}}
                return [self._maker.chunk({"tool_calls": [call]})]
        elif kind == "citations_delta":
            self._context.notes.lose("citations")
        return []

    def _text(self, index: int, kind: str, piece: Any) -> list[StreamEvent]:
        if not isinstance(piece, str) or (kind == "thinking" and self._context.settings.reasoning != EXPOSE):
            return []
        piece = self._letters.join(index, piece)
        return [self._maker.chunk({_NAMES[kind]: piece})] if piece else []

    def _end_block(self, event: Document) -> list[StreamEvent]:
        index = _index(event)
        if index not in self._tools or index in self._arguments:
            return []
        call = {"index": self._tools[index], "function": {"arguments": "{}"}}
        return [self._maker.chunk({"tool_calls": [call]})]

    def _remember_stop(self, event: Document) -> list[StreamEvent]:
        # There may be several of these events, and a later one need not repeat what an earlier one said.
        self._usage.add(event)
        delta = object_of(event.get("delta"))
        self._stop = delta.get("stop_reason") or self._stop
        self._stop_details = delta.get("stop_details") or self._stop_details
        return []

    def _finish(self, event: Document) -> list[StreamEvent]:
        self._is_over = True
        reason, is_known = finish_reason(self._stop)
        if not is_known:
            self._context.notes.change("stop_reason")
        words = stop_explanation({"stop_reason": self._stop, "stop_details": self._stop_details})
        made: list[StreamEvent] = [] if words is None else [self._maker.chunk({"refusal": words})]
        made.append(self._maker.chunk({}, reason))
        return [*made, *self._maker.last(chat_usage(self._usage.units()))]


_HANDLERS: Final[Mapping[str, Callable[[Events, Document], list[StreamEvent]]]] = {
    "content_block_delta": Events._delta,
    "content_block_start": Events._begin_block,
    "content_block_stop": Events._end_block,
    "message_start": Events._begin,
    "message_delta": Events._remember_stop,
    "message_stop": Events._finish,
    "ping": Events._ping,
    "error": Events._error,
}


def _index(event: Document) -> int:
    index = event.get("index")
    return index if isinstance(index, int) else -1
