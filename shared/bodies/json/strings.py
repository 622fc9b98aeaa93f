r"""JSON inside a string, such as the arguments of a call to a tool: read piece by piece, unescaped.

In a body, the arguments ``{"city": "Bonn"}`` are the string ``"{\"city\": \"Bonn\"}"``. The parser of the
body removes one level of escapes. Then the tool parses the string again, so it may have further escapes:
``\u0042onn`` is Bonn too. A stream may cut such an escape anywhere.
"""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from shared.bodies.slices import slices

_HIGH, _LOW = r"u[dD][89abAB][0-9a-fA-F]{2}", r"u[dD][c-fC-F][0-9a-fA-F]{2}"
# The beginning of an escape, which the next piece may complete.
_OPEN = rf"(?:\\{_HIGH}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?|\\(?:u[0-9a-fA-F]{{0,3}})?)\Z"
_RUN = re.compile(
    rf"(?P<plain>[^\\]+)|(?P<pair>\\{_HIGH}\\{_LOW})"
    rf"|(?P<open>{_OPEN})"
    r"|(?P<code>\\u[0-9a-fA-F]{4})|(?P<one>\\.)",
    re.DOTALL,
)
_OPEN_END = re.compile(_OPEN)
_LONGEST = len(r"\ud800\udc0")  # of such a beginning
_BACKSLASH = r"\u005c"
# An escape that JSON does not have: its reader removes the backslash.
_ODD = re.compile(r'\\(?!["/bfnrt]|u[0-9a-fA-F]{4})')
_LENIENT = json.JSONDecoder(strict=False)
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def unescape(written: str) -> str:
    """Return a whole text without its escapes."""
    if "\\" not in written:
        return written
    reader = JsonStringReader(marks_values=False)
    return "".join([*map(reader.text, slices(written)), reader.held])


class Run(NamedTuple):
    """Unescaped characters, and their place in the written text: from `start` up to `end`.

    `is_value` has one byte per character: 1 for a character of a string that is a value, so that a mask may
    replace it, else 0. It is empty when values are not marked.
    """

    text: str
    start: int
    end: int
    is_value: bytes = b""


class JsonStringReader:
    """Reads the pieces of a text. `held` is the beginning of an escape that the next piece may complete."""

    __slots__ = ("_taken", "_values", "held")

    def __init__(self, *, marks_values: bool) -> None:
        self._values = _ValueFinder() if marks_values else None
        self._taken = 0
        self.held = ""

    def read(self, piece: str) -> Iterator[Run]:
        """Yield the characters that are complete with this piece."""
        text, start = self.held + piece, self._taken - len(self.held)
        self._taken += len(piece)
        self.held = ""
        for found in _RUN.finditer(text):
            if found.lastgroup == "open":
                self.held = found[0]
                return
            is_plain = found.lastgroup == "plain"
            yield self._run(_unescaped(found), start + found.start(), start + found.end(), is_plain=is_plain)

    def text(self, piece: str) -> str:
        """Return the characters that are complete with this piece, like `read` but without their places."""
        written, self.held = self.held + piece, ""
        if "\\" not in written:
            return written
        # Each other backslash begins an escape now.
        written = written.replace(r"\\", _BACKSLASH)
        if found := _OPEN_END.search(written, max(len(written) - _LONGEST, 0)):
            self.held = found[0]
        return _decoded(written.removesuffix(self.held))

    def end(self) -> Iterator[Run]:
        """At the end of the text, yield an incomplete escape as it is."""
        if held := self.held:
            self.held = ""
            yield self._run(held, self._taken - len(held), self._taken, is_plain=True)

    def _run(self, text: str, start: int, end: int, *, is_plain: bool) -> Run:
        if self._values is None:
            return Run(text, start, end)
        values = map(self._values.takes, text) if is_plain else (self._values.is_in_value,)
        return Run(text, start, end, bytes(values))


def _unescaped(found: re.Match[str]) -> str:
    kind, written = found.lastgroup, found[0]
    if kind in ("plain", "open"):
        return written
    if kind == "one":
        return _SHORT.get(written[1], written[1])
    return _decoded(written)


def _decoded(written: str) -> str:
    """Decode the escapes of a text in which no backslash escapes another. One call of C does it."""
    quoted = '"' + written.replace(r"\"", '"').replace('"', r"\"") + '"'
    try:
        text: str = _LENIENT.decode(quoted)
    except ValueError:
        text = _LENIENT.decode(_ODD.sub("", quoted))
    return text.encode(errors="replace").decode()


class _ValueFinder:
    """Follows JSON just enough to find the strings that are values: not names, numbers or punctuation."""

    __slots__ = ("_at_name", "_is_open", "_nested")

    def __init__(self) -> None:
        self._nested: list[str] = []
        self._is_open = self._at_name = False

    @property
    def is_in_value(self) -> bool:
        return self._is_open and not self._at_name

    def takes(self, char: str) -> bool:
        """Take the next character. True when it is part of a string that is a value."""
        if char == '"':
            self._is_open = not self._is_open
            return False
        if not self._is_open:
            self._move(char)
        return self.is_in_value

    def _move(self, char: str) -> None:
        if char in "{[":
            self._nested.append(char)
        elif char in "}]" and self._nested:
            self._nested.pop()
        if char in "{[,":
            self._at_name = self._nested[-1:] == ["{"]
        elif char == ":":
            self._at_name = False
