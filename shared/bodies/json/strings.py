"""JSON in a string, such as a tool's arguments: read piece by piece, escapes undone, as its reader does."""

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

_HIGH, _LOW = r"u[dD][89abAB][0-9a-fA-F]{2}", r"u[dD][c-fC-F][0-9a-fA-F]{2}"
_RUN = re.compile(
    rf"(?P<plain>[^\\]+)|(?P<pair>\\{_HIGH}\\{_LOW})"
    # What the next piece may complete.
    rf"|(?P<open>\\{_HIGH}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?\Z|\\(?:u[0-9a-fA-F]{{0,3}})?\Z)"
    r"|(?P<code>\\u[0-9a-fA-F]{4})|(?P<one>\\.)",
    re.DOTALL,
)
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


# Characters that are undone in one call: longer ones keep all other threads waiting.
_SLICE = 65_536


def unescaped(written: str) -> str:
    """A whole text of JSON with its escapes undone."""
    if "\\" not in written:
        return written
    if len(written) <= _SLICE:
        return _RUN.sub(_undone, written)
    reader = JsonText(tells_values=False)
    slices = (written[start : start + _SLICE] for start in range(0, len(written), _SLICE))
    read = ["".join([run.text for run in reader.read(piece)]) for piece in slices]
    return "".join([*read, *(run.text for run in reader.end())])


class Run(NamedTuple):
    """Characters as they are read, and where they stand: from `start` up to `end` in what was written.

    `is_value` is 1 for each character that belongs to a text that is a value, so that another may stand in
    its place, and 0 for others; empty when nobody asked.
    """

    text: str
    start: int
    end: int
    is_value: bytes = b""


class JsonText:
    """Reads pieces. `held` is the beginning of an escape that the next piece will complete."""

    __slots__ = ("_grammar", "_taken", "held")

    def __init__(self, *, tells_values: bool) -> None:
        self._grammar = _Grammar() if tells_values else None
        self._taken = 0
        self.held = ""

    def read(self, piece: str) -> Iterator[Run]:
        text, start = self.held + piece, self._taken - len(self.held)
        self._taken += len(piece)
        self.held = ""
        for found in _RUN.finditer(text):
            if found.lastgroup == "open":
                self.held = found[0]
                return
            is_plain = found.lastgroup == "plain"
            yield self._run(_undone(found), start + found.start(), start + found.end(), is_plain=is_plain)

    def end(self) -> Iterator[Run]:
        """The text is over: what is held stands for itself."""
        if held := self.held:
            self.held = ""
            yield self._run(held, self._taken - len(held), self._taken, is_plain=True)

    def _run(self, text: str, start: int, end: int, *, is_plain: bool) -> Run:
        if self._grammar is None:
            return Run(text, start, end)
        values = map(self._grammar.takes, text) if is_plain else (self._grammar.is_in_value,)
        return Run(text, start, end, bytes(values))


def _undone(found: re.Match[str]) -> str:
    kind, written = found.lastgroup, found[0]
    if kind in ("plain", "open"):
        return written
    if kind == "one":
        return _SHORT.get(written[1], written[1])
    text: str = json.loads(f'"{written}"')
    return text.encode(errors="replace").decode() if kind == "code" else text


class _Grammar:
    """As much of JSON as tells a value that is a text from names, numbers and signs."""

    __slots__ = ("_at_name", "_is_open", "_nested")

    def __init__(self) -> None:
        self._nested: list[str] = []
        self._is_open = self._at_name = False

    @property
    def is_in_value(self) -> bool:
        return self._is_open and not self._at_name

    def takes(self, char: str) -> bool:
        """Whether this next character belongs to a value that is a text."""
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
