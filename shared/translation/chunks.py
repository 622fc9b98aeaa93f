"""The messages and chunks of OpenAI's chat, as its many servers write them."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, Protocol

from shared.providers.apis.events import DONE
from shared.translation.framing import StreamEvent
from shared.translation.notes import BadResponse, Context, Document
from shared.translation.tools import chat_id, input_of

THOUGHT: Final = "thought"
# Characters of the arguments of a call: the longest that are looked at, and all that are read for it.
_LONGEST: Final = 65_536
_LOOKED_AT: Final = 4 * 1024 * 1024
# The members with a text, and what it is, in the order in which the texts are read.
_TEXTS: Final = (
    ("reasoning_content", THOUGHT),
    ("reasoning", THOUGHT),
    ("content", "content"),
    ("refusal", "refusal"),
)


def first_choice(document: Document) -> tuple[Document, Document]:
    """The first choice of a whole response, and its message. Raises `BadResponse`."""
    match document.get("choices"):
        case [{"message": dict(message)} as choice, *_]:
            return choice, message
    raise BadResponse("The response of the upstream has no choice with a message.")


def text_parts(content: Any) -> Iterable[str]:
    """The texts of a content, which some servers send as a list of parts."""
    if isinstance(content, str):
        return (content,)
    parts = content if isinstance(content, list) else ()
    return (part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))


def texts_of_delta(delta: Document) -> Iterator[tuple[str, str]]:
    """The kind of each text of a delta (`THOUGHT`, ``content`` or ``refusal``), and its piece."""
    has_thought = False
    for name, kind in _TEXTS:
        given = delta.get(name)
        piece = given if isinstance(given, str) else "".join(text_parts(given))
        # Some servers send the thought in both members.
        if piece and not (kind == THOUGHT and has_thought):
            has_thought |= kind == THOUGHT
            yield kind, piece


class ChunkMaker:
    """Makes the chunks of one stream, for a client of chat."""

    __slots__ = ("_context", "_head")

    def __init__(self, context: Context) -> None:
        self._context = context
        # The members of every chunk.
        self._head: Document = {
            "id": chat_id(None, context.token),
            "object": "chat.completion.chunk",
            "created": context.now,
            "model": context.model,
        }

    def first(self, given: Document) -> Document:
        """The first chunk, with the id and the model of what the upstream has given."""
        self._head["id"] = chat_id(self._context.shown_id(given.get("id")), self._context.token)
        self._head["model"] = self._context.model or str(given.get("model") or "")
        return self.chunk({"role": "assistant", "content": ""})

    def chunk(self, delta: Document, finish: str | None = None) -> Document:
        """A chunk with a delta, and why the response ended."""
        return {**self._head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    def last(self, usage: Document | None) -> list[StreamEvent]:
        """The events after the chunk with the reason of the end: the usage, if the client asked for it."""
        if usage is None or not self._context.notes.include_usage:
            return [DONE]
        return [{**self._head, "choices": [], "usage": usage}, DONE]


class CallPiece(NamedTuple):
    """A piece of a call of a tool. Missing texts are empty, and a missing number is None."""

    number: int | None
    id: str
    name: str
    arguments: str


def calls_of_delta(delta: Document) -> Iterator[CallPiece]:
    """The pieces of calls in a delta. Those that say nothing are left out."""
    calls = delta.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if not isinstance(call, dict):
            continue
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        texts = (call.get("id"), function.get("name"), function.get("arguments"))
        id_, name, arguments = [value if isinstance(value, str) else "" for value in texts]
        index = call.get("index")
        if id_ or name or arguments:
            yield CallPiece(index if isinstance(index, int) else None, id_, name, arguments)


class KnownCall(Protocol):
    """A call of which pieces have come."""

    id: str
    name: str

    @property
    def is_complete(self) -> bool:
        """Whether its arguments are an object."""
        ...


def is_another(call: KnownCall, piece: CallPiece) -> bool:
    """Whether a piece is the beginning of another call than the last one with its number."""
    if piece.id and call.id:
        return piece.id != call.id
    return bool(piece.name and call.name and (piece.id or call.is_complete))


class Arguments:
    """The arguments of a call, which come in pieces.

    >>> arguments = Arguments()
    >>> arguments.add('{"city": "Ro')
    >>> arguments.is_complete
    False
    >>> arguments.add('me"}')
    >>> arguments.is_complete
    True
    """

    __slots__ = ("_end", "_left", "_pieces", "_size", "_was_complete")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = 0
        self._end = ""  # the last character that is no space
        self._left = _LOOKED_AT
        # None: it is not known of the pieces that have come.
        self._was_complete: bool | None = False

    def add(self, piece: str) -> None:
        """Add a piece."""
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)
            self._end = piece.rstrip()[-1:] or self._end
            self._was_complete = None

    @property
    def text(self) -> str:
        """All that have come."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return "".join(self._pieces)

    @property
    def is_complete(self) -> bool:
        """Whether they are an object. Of very long ones it is not known before the end.

        They are read after each piece that may be the last one, so that takes the longer the more have come.
        """
        if self._was_complete is None:
            self._was_complete = self._are_object()
        return self._was_complete

    def _are_object(self) -> bool:
        if self._end != "}" or self._size > min(self._left, _LONGEST):
            return False
        self._left -= self._size
        return input_of(self.text) is not None
