"""The texts in one event of a stream, and the text of the response that each piece continues.

The response of a model comes in pieces of a few letters. The pieces with the same place (`Place`: the choice,
the part, the field) are one text. So a stream gets the same verdict as the same response in one body.

An event is read as one of three things:

- an event of a known API (`shared.providers.apis.events`): pieces of numbered texts;
- another JSON document: each string is a piece, at the place of its member; names and numbers are texts too;
- plain data or a JSON string: one text for a reader of the data, and one for a reader that parses it first.
"""

from typing import Any, NamedTuple

from shared.bodies.json.parse import BOUNDS, JsonBounds, dump_json, looks_like_json, parse_body
from shared.bodies.text.maskable_text import MASK, Part, SubPart
from shared.bodies.text.messages import (
    Text,
    drop_tokens,
    fixed_texts,
    given_texts,
    hidden_texts,
    message_texts,
)
from shared.http.body_rejected import BodyRejected
from shared.model.event import Event
from shared.providers.apis import events, text_fields
from shared.providers.apis.events import Place
from shared.providers.apis.text_fields import Holder, is_given

# The places of the text of plain data: as it is, and as the string that it is in JSON.
_RAW, _UNQUOTED = ("raw",), ("",)


class Piece(NamedTuple):
    """A piece of the texts at `places`: of one that is read alone, and of one that joins several."""

    places: tuple[Place, ...]
    is_json: bool
    text: str
    part: Part


class EventText:
    """The texts of one event.

    Attributes:
        pieces: continue texts of the response.
        texts: are complete in this event.
        ended: beginnings of the places of texts that are complete with this event.
        kind: the kind of its document (`events.kind_of`).
    """

    __slots__ = ("_event", "_holder", "_is_json", "_unquoted", "ended", "kind", "pieces", "texts")

    def __init__(self, event: Event, *, bounds: JsonBounds = BOUNDS, document: Any = None) -> None:
        """Read an event, or its `document` when it is parsed already.

        Raises `BodyRejected` (``invalid_json``) on data that is not strict JSON.
        """
        self._event = event
        self._is_json = False
        self.kind = events.OTHER
        self._holder: list[Any] = []
        self._unquoted: list[str] = []  # the parsed string, if it had escapes
        self.pieces: list[Piece] = []
        self.texts: list[Text] = []
        self.ended: list[Place] = []
        if document is not None:
            self._is_json = True
            self._read_document(document)
        elif event.data == events.DONE:
            self.ended.append(())
        elif event.data is not None:
            self._read(event.data, bounds)

    def _read(self, data: str, bounds: JsonBounds) -> None:
        document, self._is_json = _parsed(data, self._event.is_line, bounds)
        if isinstance(document, str):
            self._holder = [document]
            self._read_text(data, document)
        else:
            self._read_document(document)

    def _read_document(self, document: Any) -> None:
        self._holder = [document]
        self.kind = kind = events.kind_of(document)
        if kind in (events.WHOLE, events.SENT):
            holder = text_fields.EVENT if kind == events.WHOLE else text_fields.REQUEST
            self.texts += message_texts(document, holder)
        else:
            self.texts += fixed_texts(document) if kind == events.OTHER else ()
            self._find(document, kind, (), events.HOLDERS.get(kind))
        self.ended += events.ended_places(document, kind)

    def _find(self, node: Any, kind: str, place: Place, holder: Holder) -> None:
        """Add every text below `node`, which has the place `place`. Parsed JSON has no subclasses."""
        if type(node) is dict:
            if (kind, holder) in events.NUMBERED:
                place += events.numbers_of(node, kind, holder)
            is_known = kind != events.OTHER
            for key, child in node.items():
                is_special = is_known and key in text_fields.SPECIAL_NAMES
                if type(child) is str:
                    if not is_special or self._is_text(node, key, child, holder):
                        self.pieces.append(_piece(node, key, kind, place))
                elif (type(child) is dict or type(child) is list) and (
                    not is_special or self._may_be_text(node, key, holder)
                ):
                    self._find_in_member(key, child, kind, place, holder)
        elif type(node) is list:
            self._find_in_list(node, kind, place, holder)

    def _find_in_list(self, node: list[Any], kind: str, place: Place, holder: Holder) -> None:
        for number, child in enumerate(node):
            if type(child) is str:
                self.pieces.append(_piece(node, number, kind, place))
            else:
                self._find(child, kind, place, holder)

    def _is_text(self, node: dict[str, Any], key: str, child: str, holder: Holder) -> bool:
        if (labels := text_fields.LABELS.get((holder, key))) is not None:
            return not labels[child]
        return self._may_be_text(node, key, holder)

    def _may_be_text(self, node: dict[str, Any], key: str, holder: Holder) -> bool:
        """Whether a member of `SPECIAL_NAMES` may hold text."""
        if key in text_fields.MEDIA_NAMES:
            self.texts += hidden_texts(holder, node, key)
        return text_fields.is_text_member(holder, node, key)

    def _find_in_member(self, key: str, child: Any, kind: str, place: Place, holder: Holder) -> None:
        if kind != events.OTHER and key in text_fields.GIVEN_NAMES and is_given(holder, key, child):
            self.texts += given_texts(key, child) if child else ()
            return
        is_wrapper = kind != events.CHAT and key in events.WRAPPERS
        place = place if is_wrapper else (*place, key)
        is_place = holder is not None and key in text_fields.PLACES
        self._find(child, kind, place, key if is_place else None)

    def _read_text(self, data: str, document: str) -> None:
        """Read an event that is only a text. If it is a JSON string, its reader may parse it, or not."""
        if self._event.is_line:
            self.pieces.append(Piece((_UNQUOTED,), False, document, Part(self._holder, 0)))
            return
        self._holder = [data]
        raw = Part(self._holder, 0)
        if not self._is_json:
            self.pieces.append(Piece((_RAW, _UNQUOTED), False, data, raw))
            return
        self._is_json = False  # `masked` writes it as data
        inside: Part = SubPart(raw, data.index('"') + 1, data.rindex('"'))
        if inside.text != document:
            self._unquoted = [document]
            inside = Part(self._unquoted, 0)
        self.pieces += (Piece((_RAW,), False, data, raw), Piece((_UNQUOTED,), False, document, inside))

    def masked(self) -> Event:
        """Return the event with its marked texts masked; the same event when nothing is marked."""
        written = [piece.part.write() for piece in self.pieces] + [text.write() for text in self.texts]
        if not any(written):
            return self._event
        document = self._holder[0]
        if self._is_json:
            drop_tokens(document)
            document = dump_json(document).decode()
        elif self._unquoted and written[-1]:
            # If both readings were masked, escapes make their places differ: mask everything.
            is_raw_masked = document != self._event.data
            document = MASK * len(document) if is_raw_masked else dump_json(self._unquoted[0]).decode()
        return self._event.with_data(document)


def _parsed(data: str, is_line: bool, bounds: JsonBounds) -> tuple[Any, bool]:
    """Return the document and True, or plain data and False."""
    raw = data.encode()
    if is_line or data[:1] == "{" or data.lstrip()[:1] in ("{", "[", '"'):
        try:
            return parse_body(raw, bounds), True
        except ValueError as error:
            if is_line or looks_like_json(raw, bounds):
                raise BodyRejected("invalid_json", f"In the stream: {error}") from None
    return data, False


def _piece(node: Any, key: Any, kind: str, place: Place) -> Piece:
    name = events.field_of(node, kind, key) if isinstance(node, dict) else ""
    own = (*place, name)
    joined = events.joined_place(own, kind) if name == text_fields.TEXT else own
    places = (own,) if joined == own else (own, joined)
    is_json = kind != events.OTHER and name in text_fields.JSON_MEMBERS
    return Piece(places, is_json, node[key], Part(node, key))
