"""The events of the items of a response, with their numbers.

Chat's chunks continue a text, a thought or any of several calls. Each becomes an item. A text or a thought is
open until another item begins; calls are open until the end, since their pieces may come in any order.
"""

from typing import Final, NamedTuple

from shared.translation.chunks import Arguments
from shared.translation.framing import StreamEvent
from shared.translation.notes import ClientTool, Document, Notes
from shared.translation.responses_to_chat.calls import (
    CUSTOM,
    FUNCTION,
    NO_ARGUMENTS,
    call_item,
    client_tool,
    item_id,
)
from shared.translation.responses_to_chat.items import (
    COMPLETED,
    DECLINED,
    IN_PROGRESS,
    MESSAGE,
    OUTPUT_TEXT,
    REASONING,
    SUMMARY,
    TEXTS,
    make_part,
    message_item,
    reasoning_item,
    text_part,
    without_bytes,
)
from shared.translation.responses_to_chat.response import CALL_PREFIX
from shared.translation.tools import ToolIds


class _Kind(NamedTuple):
    """The names of the events of a part."""

    item: str
    text: str
    part: str
    number: str


_KINDS: Final = {
    OUTPUT_TEXT: _Kind(MESSAGE, "response.output_text", "response.content_part", "content_index"),
    DECLINED: _Kind(MESSAGE, "response.refusal", "response.content_part", "content_index"),
    SUMMARY: _Kind(
        REASONING, "response.reasoning_summary_text", "response.reasoning_summary_part", "summary_index"
    ),
}
_ITEMS: Final = {MESSAGE: message_item, REASONING: reasoning_item}


class _Text:
    """An open item with a text: what of it is over, and its open part."""

    __slots__ = ("annotations", "delta", "id", "index", "kind", "logprobs", "parts", "pieces", "place")

    def __init__(self, kind: str, id_: str, index: int) -> None:
        self.id = id_
        self.index = index
        self.parts: list[Document] = []
        self.begin(kind)

    def begin(self, kind: str) -> None:
        """Begin a part."""
        self.kind = kind
        self.pieces: list[str] = []
        self.annotations: list[Document] = []
        self.logprobs: list[Document] = []
        self.delta = f"{_KINDS[kind].text}.delta"
        self.place = {"item_id": self.id, "output_index": self.index, _KINDS[kind].number: len(self.parts)}


class Call:
    """A call of a tool.

    Attributes:
        id: as the model gave it; empty: not yet, or never.
        name: that of the function; empty: not yet.
        arguments: those that have come.
        index: the number of its item; None: the client does not know of it.
        members: the members of its item that stay as they are.
        tool: the client's tool.
    """

    __slots__ = ("arguments", "id", "index", "members", "name", "tool")

    def __init__(self) -> None:
        self.id = self.name = ""
        self.arguments = Arguments()
        self.index: int | None = None
        self.members: Document = {}
        self.tool = ClientTool(FUNCTION, "")

    @property
    def is_complete(self) -> bool:
        """Whether its arguments are an object."""
        return self.arguments.is_complete


class Output:
    """Makes the numbered events of the items of one response.

    Attributes:
        items: those that are over, by their numbers; None: it is open.
    """

    __slots__ = ("_calls", "_id", "_ids", "_made", "_notes", "_number", "_text", "items")

    def __init__(self, id_: str, token: str, notes: Notes) -> None:
        self._id = id_
        self._ids = ToolIds(token, CALL_PREFIX)
        self._notes = notes
        self._number = 0
        self._made: list[StreamEvent] = []
        self._text: _Text | None = None
        self._calls: list[Call] = []
        self.items: list[Document | None] = []

    def take(self) -> list[StreamEvent]:
        """The events that were made since the last time."""
        made, self._made = self._made, []
        return made

    def add(self, kind: str, members: Document) -> None:
        """Make the next event."""
        self._made.append({"type": kind, "sequence_number": self._number, **members})
        self._number += 1

    def say(self, kind: str, piece: str, logprobs: list[Document]) -> None:
        """Add a piece of a text, which continues the open part or begins one."""
        text = self._text
        if text is None or text.kind != kind:
            text = self._begin(kind)
        text.pieces.append(piece)
        members = {**text.place, "delta": piece}
        if kind == OUTPUT_TEXT:
            text.logprobs += logprobs
            members["logprobs"] = without_bytes(logprobs) if logprobs else []
        self.add(text.delta, members)

    def cite(self, annotation: Document) -> None:
        """Add a citation to the open text."""
        text = self._text
        if text is None or text.kind != OUTPUT_TEXT:
            self._notes.lose("annotations")
            return
        members = {"annotation_index": len(text.annotations), "annotation": annotation}
        self.add("response.output_text.annotation.added", {**text.place, **members})
        text.annotations.append(annotation)

    def begin_call(self) -> Call:
        """Add a call behind the others."""
        call = Call()
        self._calls.append(call)
        return call

    def continue_call(self, call: Call, piece: str) -> None:
        """Add a piece of the arguments of a call. Pieces before its name wait."""
        call.arguments.add(piece)
        if call.index is None:
            if not call.name:
                return
            self._open_call(call)
            piece = call.arguments.text
        if piece and call.tool.kind == FUNCTION:
            self.add("response.function_call_arguments.delta", {**_place(call), "delta": piece})

    def close(self, status: str) -> None:
        """End all items. With that status ends the last one."""
        last = len(self.items) - 1
        if self._text is not None:
            self._end_text(status if self._text.index == last else COMPLETED)
        for call in self._calls:
            if call.index is not None:
                self._end_call(call, status if call.index == last else COMPLETED)
        self._calls = []

    def _item(self, kind: str, index: int, item: Document) -> None:
        self.add(f"response.output_item.{kind}", {"output_index": index, "item": item})

    def _begin(self, kind: str) -> _Text:
        text = self._text
        if text is not None and _KINDS[text.kind].item == _KINDS[kind].item:
            self._end_part(text)
            text.begin(kind)
        else:
            self._end_text(COMPLETED)
            index, item = len(self.items), _KINDS[kind].item
            text = self._text = _Text(kind, item_id(item, self._id, index), index)
            self.items.append(None)
            self._item("added", index, _ITEMS[item](text.id, [], IN_PROGRESS))
        self.add(f"{_KINDS[kind].part}.added", {**text.place, "part": make_part(kind, "")})
        return text

    def _end_part(self, text: _Text) -> None:
        kind, whole = _KINDS[text.kind], "".join(text.pieces)
        done: Document = {**text.place, TEXTS[text.kind]: whole}
        part = make_part(text.kind, whole)
        if text.kind == OUTPUT_TEXT:
            part = text_part(whole, text.annotations, text.logprobs)
            done["logprobs"] = without_bytes(text.logprobs)
        text.parts.append(part)
        self.add(f"{kind.text}.done", done)
        self.add(f"{kind.part}.done", {**text.place, "part": part})

    def _end_text(self, status: str) -> None:
        text, self._text = self._text, None
        if text is None:
            return
        self._end_part(text)
        item = _ITEMS[_KINDS[text.kind].item](text.id, text.parts, status)
        self.items[text.index] = item
        self._item("done", text.index, item)

    def _open_call(self, call: Call) -> None:
        self._end_text(COMPLETED)
        call.index = len(self.items)
        call.tool = client_tool(call.name, self._notes)
        id_ = item_id(call.tool.kind, self._id, call.index)
        call.members = {"id": id_, "call_id": self._ids.make(call.id)}
        self.items.append(None)
        self._item("added", call.index, self._call_item(call, "", IN_PROGRESS, Notes()))

    def _call_item(self, call: Call, arguments: str, status: str, notes: Notes) -> Document:
        return call_item(call.tool, arguments, {**call.members, "status": status}, notes)

    def _end_call(self, call: Call, status: str) -> None:
        if call.tool.kind == FUNCTION and not call.arguments.text.strip():
            self.continue_call(call, NO_ARGUMENTS)
        item = self._call_item(call, call.arguments.text, status, self._notes)
        place = _place(call)
        if call.tool.kind == FUNCTION:
            said = {"name": item["name"], "arguments": call.arguments.text}
            self.add("response.function_call_arguments.done", {**place, **said})
        elif call.tool.kind == CUSTOM:
            # Its text stands in JSON, so it comes in one piece.
            self.add("response.custom_tool_call_input.delta", {**place, "delta": item["input"]})
            self.add("response.custom_tool_call_input.done", {**place, "input": item["input"]})
        self.items[place["output_index"]] = item
        self._item("done", place["output_index"], item)


def _place(call: Call) -> Document:
    return {"item_id": call.members["id"], "output_index": call.index}
