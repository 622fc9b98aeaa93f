"""Events that differ from the one before in one text alone, as do most events of the stream of a model.

To parse such an event and to walk through it takes ten times as long as to compare it.
"""

from typing import Final, NamedTuple

from shared.bodies.json.parse import JsonBounds
from shared.bodies.text.event_text import EventText, Piece
from shared.http.body_rejected import BodyRejected
from shared.model.event import Event
from shared.providers.apis.events import OTHER
from shared.providers.apis.text_fields import SPECIAL_NAMES

# Members with text that decides nothing about others: a name of a file tells how its content is read.
_NAMES: Final = (
    frozenset({"content", "text", "delta", "response", "refusal", "reasoning", "reasoning_content"})
    | {"thinking", "arguments", "partial_json", "transcript"}
) - SPECIAL_NAMES
# A text that stands for all that are written as they are read.
_PROBE: Final = "any text"


class Around(NamedTuple):
    """The data of an event before a text and after it, with its quotes."""

    before: str
    after: str


class RepeatedEvent:
    """An event of which the next ones repeat all but one text. `piece` is that text in a sample of them."""

    __slots__ = ("_after", "_before", "piece")

    def __init__(self, around: Around, piece: Piece) -> None:
        self._before, self._after = around
        self.piece = piece

    def text_in(self, data: str) -> str | None:
        """Return the text in the data of an event. None for an event that differs in more, or by escapes.

        In JSON, text without quotes, backslashes and control characters is what it says, so what is around it
        is read as in the sample.
        """
        start, end = len(self._before), len(data) - len(self._after)
        if start > end or not data.startswith(self._before) or not data.endswith(self._after):
            return None
        text = data[start:end]
        return text if text.isprintable() and '"' not in text and "\\" not in text else None


def around_text(event: Event, read: EventText) -> Around | None:
    """Return the data around the only text of an event. None if the places of texts may depend on that text.

    `read` are the texts of the event.
    """
    piece = _only_piece(read)
    quoted = "" if piece is None else f'"{piece.text}"'
    at = -1 if piece is None or event.data is None else event.data.find(quoted)
    if at < 0 or event.data is None:
        return None
    return Around(event.data[: at + 1], event.data[at + len(quoted) - 1 :])


def repeated_event(event: Event, around: Around, bounds: JsonBounds) -> RepeatedEvent | None:
    """Return the event whose text is between `around`; None if another text may stand there."""
    whole = "".join(around)
    if "\\" in whole or _PROBE in whole:
        return None
    try:
        read = EventText(Event(b"", _PROBE.join(around), event.is_line), bounds=bounds)
    except BodyRejected:
        return None
    piece = _only_piece(read)
    return None if piece is None or piece.text != _PROBE else RepeatedEvent(around, piece)


def _only_piece(read: EventText) -> Piece | None:
    if len(read.pieces) != 1 or read.texts or read.ended or read.kind == OTHER:
        return None
    piece = read.pieces[0]
    return piece if piece.part.key in _NAMES else None
