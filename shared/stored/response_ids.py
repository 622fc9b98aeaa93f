"""Reads the ids of a response of OpenAI's Responses, and of its items, while it passes."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from shared.bodies.json.lenient import json_or_none
from shared.bodies.json.members import member_span

#: In bytes: the longest line of a stream, and the longest whole response, that are read.
MAX_LINE: Final = 1024 * 1024
MAX_WHOLE: Final = 1024 * 1024
#: The most ids that are read of one response.
MAX_IDS: Final = 256

# The id of a response is read early if it is in so many bytes: the client may continue it at once.
_EARLY: Final = 16 * 1024
_CREATED: Final = "response.created"
_ADDED: Final = "response.output_item.added"
_MARKS: Final = (_CREATED.encode(), _ADDED.encode())


class ResponseIds:
    """The ids in one response: feed it the pieces of a stream of events, or those of a whole response.

    >>> ids = ResponseIds(print)
    >>> ids.feed_stream(b'data: {"type":"response.created","response":{"id":"resp_1"}}\\n\\n')
    ['resp_1']
    """

    __slots__ = ("_found", "_is_cut", "_known", "_looked_at", "_rest")

    def __init__(self, found: Callable[[Sequence[str]], None]) -> None:
        """`found` is called with new ids, as soon as they have come."""
        self._found = found
        self._known: set[str] = set()
        self._rest = bytearray()
        self._is_cut = False
        # The length at the last look for an early id. The next is at twice of it, also for tiny pieces.
        self._looked_at = 0

    def feed_stream(self, piece: bytes) -> None:
        """Look at a piece of a stream."""
        end = piece.rfind(b"\n")
        if end < 0:
            self._keep(piece, MAX_LINE)
            return
        lines = piece[:end]
        if self._is_cut:
            lines = lines.partition(b"\n")[2]  # a line that is too long ends here
        elif self._rest:
            lines = bytes(self._rest) + lines
        self._rest.clear()
        self._is_cut = False
        self._keep(piece[end + 1 :], MAX_LINE)
        self._read_lines(lines)

    def feed_whole(self, piece: bytes) -> None:
        """Look at a piece of a response that is one JSON document."""
        self._keep(piece, MAX_WHOLE)
        size = len(self._rest)
        if not self._known and not self._is_cut and self._looked_at * 2 <= size <= _EARLY:
            self._looked_at = size
            body = bytes(self._rest)
            if body.lstrip().startswith(b"{") and (span := member_span(body, "id")) is not None:
                self._take([json_or_none(body[span.start : span.end])])

    def end(self) -> None:
        """Read the rest: the response is complete."""
        body, self._rest = bytes(self._rest), bytearray()
        document = json_or_none(body)
        if isinstance(document, dict) and "output" in document:
            output = document["output"] if isinstance(document["output"], list) else []
            self._take([document.get("id"), *map(_id, output)])
        else:
            self._read_lines(body)

    def _keep(self, piece: bytes, longest: int) -> None:
        if self._is_cut or len(self._rest) + len(piece) > longest:
            self._is_cut = True
            self._rest.clear()
        else:
            self._rest += piece

    def _read_lines(self, lines: bytes) -> None:
        if not any([mark in lines for mark in _MARKS]):
            return
        for line in lines.splitlines():
            if any([mark in line for mark in _MARKS]):
                document = json_or_none(line[line.find(b"{") :])
                kind = document.get("type") if isinstance(document, dict) else None
                if kind == _CREATED:
                    self._take([_id(document.get("response"))])
                elif kind == _ADDED:
                    self._take([_id(document.get("item"))])

    def _take(self, ids: Iterable[Any]) -> None:
        room = MAX_IDS - len(self._known)
        new = [id for id in ids if isinstance(id, str) and id and id not in self._known][:room]
        if new:
            self._known.update(new)
            self._found(new)


def _id(value: Any) -> Any:
    return value.get("id") if isinstance(value, dict) else None
