"""What a reader of a stream gets to see of one event, and to which text of the answer it belongs.

A model's answer comes in pieces of a few letters. Pieces that belong together (same choice, same
field) are one text, so that a stream gets the verdict that the same answer gets in one piece.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from shared.bodies.json.parse import BOUNDS, JsonBounds, dump_json, looks_like_json, parse_body
from shared.bodies.text.maskable_text import MASK, Inside, Part
from shared.bodies.text.messages import (
    Text,
    drop_logprobs,
    fixed_texts,
    given_texts,
    is_given,
    is_json_member,
    members,
    message_texts,
)
from shared.bodies.text.provider_fields import EVENT, RESPONSE, Holder, inner, is_text_member
from shared.http.body_rejected import BodyRejected
from shared.model.event import Event

#: Names of members and numbers of choices and parts: texts with the same place are one text.
Place = tuple[str, ...]

# The places of texts without an API: as they came, and with the quotes of JSON undone.
_RAW, _UNQUOTED = ("raw",), ("",)
#: What OpenAI sends behind the last event.
DONE = "[DONE]"
_MAX_NUMBER = 2**31 - 1
# What stands in these lists has an index.
_COUNTED = ("choices", "tool_calls")
_NUMBERS = ("output_index", "index", "content_index", "summary_index")
# Members in which a piece may come; the text that it goes on with has another name, or none.
_WRAPPERS = frozenset({"delta", "content_block", "part", "item"})
_ANTHROPIC = frozenset({"message_start", "message_delta", "message_stop"}) | {
    f"content_block_{what}" for what in ("start", "delta", "stop")
}
_RESPONSES = "response."
# The field that a text called "delta" goes on with; see OpenAI's reference, "Streaming events".
_FIELDS = {
    "response.output_text.delta": "text",
    "response.reasoning_text.delta": "text",
    "response.reasoning_summary_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.function_call_arguments.delta": "arguments",
    "response.mcp_call_arguments.delta": "arguments",
}
# What the events of a kind are; of others all strings are text.
_HOLDERS = {"chat": RESPONSE, "anthropic": EVENT, "responses": EVENT}
# Events that say again what came before, whole.
_OVER = frozenset({"response.completed", "response.incomplete", "response.failed"})
_WHOLE = _OVER | {"response.created", "response.queued", "response.in_progress"}


class Piece(NamedTuple):
    """A piece of a text that goes on over events; of several, when it is read alone and joined to others."""

    places: tuple[Place, ...]
    is_json: bool
    text: str
    part: Part


class EventText:
    """An event, read. `pieces` go on with texts of the answer, `texts` stand by themselves.

    `ended` are the beginnings of places to which nothing will be added, as the answer says.
    """

    __slots__ = ("_event", "_holder", "_is_json", "_unquoted", "ended", "pieces", "texts")

    def __init__(self, event: Event, *, bounds: JsonBounds = BOUNDS) -> None:
        """Raises `BodyRejected` (``invalid_json``) on data that two parsers could read differently."""
        self._event = event
        self._is_json = False
        self._holder: list[Any] = []
        self._unquoted: list[str] = []  # the text, where undoing its quotes undoes escapes, too
        self.pieces: list[Piece] = []
        self.texts: list[Text] = []
        self.ended: list[Place] = []
        if event.data == DONE:
            self.ended.append(())
        elif event.data is not None:
            self._read(event.data, bounds)

    def _read(self, data: str, bounds: JsonBounds) -> None:
        document, self._is_json = _parsed(data, self._event.is_line, bounds)
        self._holder = [document]
        if isinstance(document, str):
            self._read_text(data, document)
            return
        kind = _kind_of(document)
        if kind == "whole":
            self.texts += message_texts(document, EVENT)
        else:
            self.texts += fixed_texts(document) if kind == "other" else ()
            for found in _pieces(document, kind, (), _HOLDERS.get(kind)):
                if isinstance(found, Piece):
                    self.pieces.append(found)
                else:
                    self.texts.append(found)
        self.ended += _ended(document, kind)

    def _read_text(self, data: str, document: str) -> None:
        """An event that is nothing but a text. A reader of a JSON string may undo its quotes, or not."""
        if self._event.is_line:
            self.pieces.append(Piece((_UNQUOTED,), False, document, Part(self._holder, 0)))
            return
        self._holder = [data]
        raw = Part(self._holder, 0)
        if not self._is_json:
            self.pieces.append(Piece((_RAW, _UNQUOTED), False, data, raw))
            return
        self._is_json = False  # it is written as it stands
        inside: Part = Inside(raw, data.index('"') + 1, data.rindex('"'))
        if inside.text != document:
            self._unquoted = [document]
            inside = Part(self._unquoted, 0)
        self.pieces += (Piece((_RAW,), False, data, raw), Piece((_UNQUOTED,), False, document, inside))

    def _masked_text(self, is_unquoted: bool) -> str:
        data: str = self._holder[0]
        if not is_unquoted:
            return data
        # Where both readings were met, and escapes stand between them, nothing of it is left.
        return MASK * len(data) if data != self._event.data else dump_json(self._unquoted[0]).decode()

    def masked(self) -> Event:
        """The event with what was marked in its texts masked; the same one when there is nothing."""
        written = [piece.part.write() for piece in self.pieces] + [text.write() for text in self.texts]
        if not any(written):
            return self._event
        document = self._holder[0]
        if not self._is_json:
            return self._event.with_data(self._masked_text(bool(self._unquoted) and written[-1]))
        drop_logprobs(document)
        return self._event.with_data(dump_json(document).decode())


def _parsed(data: str, is_line: bool, bounds: JsonBounds) -> tuple[Any, bool]:
    """The document, or the data as it is when that is plain text; and whether it is JSON."""
    raw = data.encode()
    if is_line or data.lstrip()[:1] in ("{", "[", '"'):
        try:
            return parse_body(raw, bounds), True
        except ValueError as error:
            if is_line or looks_like_json(raw, bounds):
                raise BodyRejected("invalid_json", f"In the stream: {error}") from None
    return data, False


def _kind_of(document: Any) -> str:
    if not isinstance(document, dict):
        return "other"
    name = document.get("type")
    if isinstance(document.get("choices"), list):
        return "chat"
    if not isinstance(name, str):
        return "other"
    if name.startswith(_RESPONSES):
        return "whole" if name in _WHOLE or name.endswith(".done") else "responses"
    return "anthropic" if name in _ANTHROPIC else "other"


def _numbers(node: dict[str, Any], holder: Holder) -> Place:
    """Which choice or part it is. One that does not say it is the first, as readers of streams have it.

    Raises `BodyRejected` (``invalid_json``) where the API defines a number and something else stands.
    """
    numbers = []
    for name in _NUMBERS:
        value = node.get(name)
        number = _integer(value)
        if number is not None:
            numbers.append(f"{name}={number}")
        elif value is not None and holder is not None:
            raise BodyRejected(
                "invalid_json", f"In the stream: {name} is no integer from 0 to {_MAX_NUMBER}."
            )
    return tuple(numbers) if numbers or holder not in _COUNTED else ("index=0",)


def _integer(value: Any) -> int | None:
    """The number of a choice or part; None for what is none. JSON's 1 and 1.0 are one number."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= _MAX_NUMBER:
        return None
    return int(value) if int(value) == value else None


def _pieces(node: Any, kind: str, place: Place, holder: Holder) -> Iterator[Piece | Text]:
    """Every text with its place."""
    is_named = isinstance(node, dict)
    if is_named:
        place += _numbers(node, holder)
    for key, child in members(node):
        if is_named and kind != "other" and not is_text_member(holder, node, key):
            continue
        if isinstance(child, str):
            yield _piece(node, key, kind, place)
        elif is_named and kind != "other" and is_given(key, child):
            yield from given_texts(key, child) if child else ()
        else:
            within = inner(holder, key) if is_named else holder
            is_wrapper = not is_named or (kind != "chat" and key in _WRAPPERS)
            yield from _pieces(child, kind, place if is_wrapper else (*place, key), within)


def _piece(node: Any, key: Any, kind: str, place: Place) -> Piece:
    text, name = node[key], str(key) if isinstance(node, dict) else ""
    if kind == "responses" and name == "delta":
        name = _FIELDS.get(str(node.get("type")), str(node.get("type")))
    own = (*place, name)
    places: tuple[Place, ...] = (own,)
    joined = _joined(own, kind)
    if name == "text" and joined != own:
        places = (own, joined)
    return Piece(places, kind != "other" and is_json_member(name), text, Part(node, key))


def _joined(place: Place, kind: str) -> Place:
    """The place of the text that all parts of a message make together."""
    if kind == "anthropic":
        counted: tuple[str, ...] = ("index=",)
    elif kind == "responses":
        counted = ("content_index=", "summary_index=")
    else:
        return place
    return tuple(name.partition("=")[0] if name.startswith(counted) else name for name in place)


def _ended(document: Any, kind: str) -> Iterator[Place]:
    if kind == "chat":
        for choice in document["choices"]:
            if isinstance(choice, dict) and choice.get("finish_reason"):
                yield ("choices", *_numbers(choice, "choices"))
    elif kind == "whole":
        if document["type"] in _OVER:
            yield ()
        elif numbers := _numbers(document, EVENT):
            yield numbers
    elif kind == "anthropic" and document["type"] in ("content_block_stop", "message_stop"):
        yield _numbers(document, EVENT)
