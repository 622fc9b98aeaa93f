"""Sets another name for the model in the responses of providers, with all other bytes as they were.

A response with a million strings, arrays and objects passes as it is: no model makes one.
"""

from typing import Final

import orjson

from shared.bodies.json.members import is_object, member_span

#: The longest line of a stream that is held back to be changed. A longer one passes as it is.
MAX_LINE: Final = 4 * 1024 * 1024

_MODEL: Final = b'"model"'
# To look through a document with more of these marks would take too long.
_MARKS: Final = (b'"', b"[", b"{")
_MOST_MARKS: Final = 1_000_000
# The members of events that have a model: of OpenAI's Responses, and of Anthropic's message_start.
_HOLDERS: Final = ("response", "message")


def with_model(document: bytes, name: str) -> bytes:
    """A JSON object with `name` in place of its model, or of that in its ``response`` or ``message``.

    >>> with_model(b'{"message": {"model": "claude-x", "n":1}}', "fast")
    b'{"message": {"model": "fast", "n":1}}'
    """
    if _MODEL not in document:
        return document
    value = orjson.dumps(name)
    for holder in _HOLDERS:
        if (span := member_span(document, holder)) is not None:
            inner = _renamed(document[span.start : span.end], value)
            document = document[: span.start] + inner + document[span.end :]
    return _renamed(document, value)


def renamed_response(body: bytes, name: str) -> bytes:
    """A whole response with another name for its model: one object, or a stream that was collected."""
    if sum(map(body.count, _MARKS)) > _MOST_MARKS:
        return body
    if is_object(body):
        start = body.index(b"{")
        return body[:start] + with_model(body[start:], name)
    changes = ModelRenamer(name)
    return changes.feed(body) + changes.end()


def _renamed(value: bytes, name: bytes) -> bytes:
    """An object with another model at its top; any other value as it is."""
    span = member_span(value, "model") if value.startswith(b"{") else None
    if span is None or value[span.start : span.start + 1] != b'"':
        return value
    return value[: span.start] + name + value[span.end :]


class ModelRenamer:
    """Changes the model in each event of a stream, or in each line of JSON: feed it the pieces, in order.

    >>> renamer = ModelRenamer("fast")
    >>> renamer.feed(b'data: {"model":"gpt-x"}' + b"\\n\\ndata: [DO")
    b'data: {"model":"fast"}\\n\\n'
    >>> renamer.end()
    b'data: [DO'
    """

    __slots__ = ("_name", "_rest")

    def __init__(self, name: str) -> None:
        self._name = name
        self._rest = bytearray()

    def feed(self, piece: bytes) -> bytes:
        """The bytes for the client. The beginning of a line waits for its end."""
        end = max(piece.rfind(b"\n"), piece.rfind(b"\r")) + 1
        if not end:
            self._rest += piece
            return self._rest_as_it_is() if len(self._rest) > MAX_LINE else b""
        lines = bytes(self._rest) + piece[:end]
        self._rest = bytearray(piece[end:])
        return self._renamed(lines)

    def end(self) -> bytes:
        """The rest of the bytes, when the stream has ended."""
        return self._renamed(self._rest_as_it_is())

    def _rest_as_it_is(self) -> bytes:
        rest, self._rest = bytes(self._rest), bytearray()
        return rest

    def _renamed(self, lines: bytes) -> bytes:
        if _MODEL not in lines:
            return lines
        return b"".join([self._line(line) for line in lines.splitlines(keepends=True)])

    def _line(self, line: bytes) -> bytes:
        before, brace, after = line.partition(b"{")
        if before.strip() not in (b"", b"data:"):
            return line
        return before + with_model(brace + after, self._name)
