"""A stream of OpenAI's responses, for a client of OpenAI's chat."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.providers.calls import OPENAI_RESPONSES
from shared.translation.chat_to_responses.response import BETWEEN, called, citations_of, finish_of
from shared.translation.chunks import ChunkMaker
from shared.translation.errors import chat_error, chat_protocol_error, status_of
from shared.translation.framing import PING, Letters, StreamEvent
from shared.translation.members import object_of, objects_of
from shared.translation.notes import EXPOSE, Context, Document
from shared.translation.tools import ToolIds
from shared.translation.usage import chat_usage
from shared.usage.reported import ReportedUsage

_CALLS: Final = ("function_call", "custom_tool_call")
# The member of chat for each kind of part.
_PARTS: Final = {"output_text": ("content", "text"), "refusal": ("refusal", "refusal")}
_THOUGHT: Final = "reasoning_content"


class Events:
    """Makes chunks of the events of one response."""

    __slots__ = (
        "_calls",
        "_context",
        "_count",
        "_ids",
        "_is_over",
        "_is_started",
        "_letters",
        "_maker",
        "_sent",
        "_thought",
        "_usage",
    )

    def __init__(self, context: Context) -> None:
        self._context = context
        self._usage = ReportedUsage(OPENAI_RESPONSES, context.settings.kind)
        self._letters = Letters()
        self._ids = ToolIds(context.token, "call_")
        self._maker = ChunkMaker(context)
        # The number and the kind of each call, by the number of its item or its id.
        self._calls: dict[int | str, tuple[int, str]] = {}
        self._count = 0
        # The items of which the client has a piece.
        self._sent: set[int | str] = set()
        # The last part of a thought: its item, the kind of its events, and its number.
        self._thought: tuple[int | str, str, Any] | None = None
        self._is_started = self._is_over = False

    def feed(self, event: Any) -> list[StreamEvent]:
        """The chunks that an event makes. Events of a kind that is not known make none."""
        if self._is_over:
            return []
        if not isinstance(event, dict):
            return [PING] if event == PING else self._fail(chat_protocol_error())
        kind = event.get("type")
        if not isinstance(kind, str):
            return self._fail(self._error_of(event))
        handler = _HANDLERS.get(kind)
        return [] if handler is None else handler(self, event)

    def end(self) -> list[StreamEvent]:
        """An error, if the stream ended before the response."""
        return [] if self._is_over else self._fail(chat_protocol_error())

    def _fail(self, error: Document) -> list[StreamEvent]:
        self._is_over = True
        return [error]

    def _error_of(self, event: Document) -> Document:
        known = isinstance(event.get("error"), dict)
        return chat_error(status_of(event), event).document if known else chat_protocol_error()

    def _error(self, event: Document) -> list[StreamEvent]:
        # Its members are those of an error, but for servers that have it in the member error.
        given = event if isinstance(event.get("error"), dict) else {"error": {**event, "type": None}}
        return self._fail(chat_error(status_of(given), given).document)

    def _failed(self, event: Document) -> list[StreamEvent]:
        return self._fail(self._error_of(object_of(event.get("response"))))

    def _begin(self, event: Document) -> list[StreamEvent]:
        if self._is_started:
            return []
        self._is_started = True
        return [self._maker.first(object_of(event.get("response")))]

    def _text(self, event: Document) -> list[StreamEvent]:
        return self._say("content", event.get("delta"), event)

    def _decline(self, event: Document) -> list[StreamEvent]:
        return self._say("refusal", event.get("delta"), event)

    def _say(self, name: str, piece: Any, event: Document) -> list[StreamEvent]:
        if not isinstance(piece, str):
            return []
        self._sent.add(_index(event))
        piece = self._letters.join(name, piece)
        if not piece:
            return []
        chunk = self._maker.chunk({name: piece})
        if event.get("logprobs"):
            logprobs = [_with_bytes(token) for token in objects_of(event["logprobs"])]
            chunk["choices"][0]["logprobs"] = {"content": logprobs, "refusal": None}
        return [chunk]

    def _think(self, event: Document) -> list[StreamEvent]:
        kind = str(event.get("type"))
        number = event.get("summary_index", event.get("content_index"))
        part, last = (_index(event), kind, number), self._thought
        if last is not None and last[0] == part[0] and last[1] != kind:
            return []  # a server sends the thought, and its summary
        piece = event.get("delta")
        if not isinstance(piece, str) or not piece or self._context.settings.reasoning != EXPOSE:
            return []
        self._thought = part
        self._sent.add(part[0])
        piece = self._letters.join(_THOUGHT, BETWEEN + piece if last not in (None, part) else piece)
        return [self._maker.chunk({_THOUGHT: piece})] if piece else []

    def _cite(self, event: Document) -> list[StreamEvent]:
        found = list(citations_of([event.get("annotation")], self._context))
        return [self._maker.chunk({"annotations": found})] if found else []

    def _add_item(self, event: Document) -> list[StreamEvent]:
        item, index = object_of(event.get("item")), _index(event)
        if item.get("type") not in _CALLS:
            return []
        tool = called(item)
        kind = tool["type"]
        number = self._count
        self._count += 1
        self._calls[index] = (number, kind)
        id_ = self._ids.make(item.get("call_id"))
        if any(value for name, value in tool[kind].items() if name != "name"):
            self._sent.add(index)
        return [self._maker.chunk({"tool_calls": [{"index": number, "id": id_, **tool}]})]

    def _argue(self, event: Document) -> list[StreamEvent]:
        return self._call_with(_index(event), event.get("delta"))

    def _call_with(self, index: int | str, piece: Any) -> list[StreamEvent]:
        if index not in self._calls or not isinstance(piece, str):
            return []
        number, kind = self._calls[index]
        piece = self._letters.join(index, piece)
        if not piece:
            return []
        self._sent.add(index)
        text = "arguments" if kind == "function" else "input"
        return [self._maker.chunk({"tool_calls": [{"index": number, kind: {text: piece}}]})]

    def _end_item(self, event: Document) -> list[StreamEvent]:
        """The chunks of an item that came at once, without pieces."""
        item, index = object_of(event.get("item")), _index(event)
        kind = item.get("type")
        made: list[StreamEvent] = []
        if kind in _CALLS and index not in self._calls:
            return self._add_item(event)
        if index in self._sent:
            return made
        if kind in _CALLS:
            made += self._call_with(index, item.get("arguments" if kind == "function_call" else "input"))
        elif kind == "message":
            for part in objects_of(item.get("content")):
                name, member = _PARTS.get(str(part.get("type")), ("", ""))
                made += self._say(name, part.get(member), event) if name else []
        elif kind == "reasoning":
            for name, event_kind in (("summary", "summary"), ("content", "content")):
                for number, part in enumerate(objects_of(item.get(name))):
                    piece = {"type": event_kind, "summary_index": number, "delta": part.get("text")}
                    made += self._think({**piece, "output_index": index})
        else:
            self._context.notes.lose(str(kind))
        return made

    def _finish(self, event: Document) -> list[StreamEvent]:
        response = object_of(event.get("response"))
        self._usage.add(event)
        status = str(event.get("type")).removeprefix("response.")
        made = self._begin(event)
        if not self._sent and not self._calls:
            # Some servers send everything at the end.
            for index, item in enumerate(objects_of(response.get("output"))):
                made += self._end_item({"output_index": index, "item": item})
        finish = finish_of({**response, "status": status}, self._context, has_tools=bool(self._calls))
        made.append(self._maker.chunk({}, finish))
        self._is_over = True
        return [*made, *self._maker.last(chat_usage(self._usage.units()))]


_HANDLERS: Final[Mapping[str, Callable[[Events, Document], list[StreamEvent]]]] = {
    "response.created": Events._begin,
    "response.queued": Events._begin,
    "response.in_progress": Events._begin,
    "response.output_item.added": Events._add_item,
    "response.output_item.done": Events._end_item,
    "response.output_text.delta": Events._text,
    "response.output_text.annotation.added": Events._cite,
    "response.refusal.delta": Events._decline,
    "response.function_call_arguments.delta": Events._argue,
    "response.custom_tool_call_input.delta": Events._argue,
    "response.reasoning_summary_text.delta": Events._think,
    "response.reasoning_text.delta": Events._think,
    "response.completed": Events._finish,
    "response.incomplete": Events._finish,
    "response.failed": Events._failed,
    "error": Events._error,
}


def _index(event: Document) -> int | str:
    """The number of the item that an event is about; its id, if a server does not number them."""
    index = event.get("output_index")
    if isinstance(index, int):
        return index
    id_ = event.get("item_id") or object_of(event.get("item")).get("id")
    return id_ if isinstance(id_, str) else ""


def _with_bytes(token: Document) -> Document:
    """The probability of a token as chunks have it."""
    others = [{"bytes": None, **other} for other in objects_of(token.get("top_logprobs"))]
    return {"bytes": None, **token, "top_logprobs": others}
