"""Events of streams: from the data of a server-sent event to what is translated, and back to bytes.

An event is the JSON in its data; `DONE` is the end of a stream of chunks, and `PING` says that the response
goes on.
"""

import json
from typing import Any, Final

import orjson

from shared.providers.apis.events import DONE
from shared.providers.calls import OPENAI_CHAT
from shared.translation.notes import Document

#: An event for which chat has no chunk: a comment.
PING: Final = ": ping"

#: An event that is translated: a document, `DONE` or `PING`.
type StreamEvent = Document | str


def read_event(data: str | None) -> Any:
    """The event with that data. None is the data of a comment. Data that are not JSON stay as they are."""
    if data is None:
        return PING
    if data == DONE:
        return DONE
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _with_half_letters(data)


def _with_half_letters(data: str) -> Any:
    """The document of an event whose text ends in the middle of a letter (a surrogate), as JSON allows."""
    try:
        return json.loads(data)
    except ValueError:
        return data


def write_event(event: StreamEvent, api: str) -> bytes:
    r"""The bytes of an event for clients of that API.

    >>> write_event({"type": "ping"}, "anthropic.messages")
    b'event: ping\ndata: {"type":"ping"}\n\n'
    """
    if isinstance(event, str):
        return f"{event}\n\n".encode() if event == PING else f"data: {event}\n\n".encode()
    if api == OPENAI_CHAT:
        return b"data: " + write_document(event) + b"\n\n"
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + write_document(event) + b"\n\n"


def write_document(document: Document) -> bytes:
    """The bytes of a document."""
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:  # a number with more than 64 bits, or half a letter: both can be written
        return json.dumps(document, separators=(",", ":")).encode()


class Letters:
    """Joins texts that come in pieces, where a piece may end in the middle of a letter.

    >>> letters = Letters()
    >>> letters.join("text", "a\\ud83d"), letters.join("text", "\\ude00")
    ('a', '\U0001f600')
    """

    __slots__ = ("_halves",)

    def __init__(self) -> None:
        self._halves: dict[object, str] = {}

    def join(self, place: object, piece: str) -> str:
        """The complete letters of the text at a place. A half that stays alone becomes U+FFFD."""
        if piece.isascii() and not self._halves:
            return piece
        text = self._halves.pop(place, "") + piece
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._halves[place] = text[-1]
            text = text[:-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
