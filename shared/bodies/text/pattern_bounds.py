r"""How long a match of a pattern can be, and how a match begins.

A stream is searched while it passes. A piece may go out only when no match can begin in it and go on in the
next piece. So the search must know how many characters a match has at most, and which texts are partial
matches: the beginnings of matches. RE2 reports neither, so this module reads the syntax of the pattern and
combines the results of its parts:

| part | longest match | partial matches |
|---|---|---|
| one character, a class such as ``[a-z]`` or ``\pL`` | 1 | nothing, or the character |
| an assertion such as ``^`` or ``\b`` | 0 | nothing |
| a sequence ``abc`` | the sum | ``(?:a(?:b(?:c)?)?)?``: an item only after all items before it |
| a choice of options | that of the longest option | those of all options |
| a repetition ``x{2,5}`` | 5 times that of ``x`` | up to 4 times ``x``, then a partial match of ``x`` |

Without a bound (``*``, ``+``, ``{2,}``) the longest match is infinite. Characters are Unicode characters, as
in RE2 and Python. Assertions are ignored, so the result allows too much at times, and never too little.
"""

import re
from dataclasses import dataclass
from math import inf

_CLASS = re.compile(
    r"\[\^?\]?(?:\[:\^?\w+:\]|\\[pP]\{[^}]*\}|\\x\{[^}]*\}|\\.|[^\]\\])*\]"
    r"|\\[pP](?:\{[^}]*\}|.)|\\x(?:\{[^}]*\}|[0-9a-fA-F]{2})|\\[0-7]{1,3}|\\.",
    re.DOTALL,
)
_PLAIN = re.compile(r"[\w\s]+")
_QUOTE = re.compile(r"\\Q(.*?)(?:\\E|\Z)", re.DOTALL)
_GROUP = re.compile(r"\((?:\?P?<\w+>|\?([a-zA-Z]*)(?:-([a-zA-Z]+))?([:)]))?")
_REPEAT = re.compile(r"(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})\??")
_ASSERTION = re.compile(r"\\[bBAz]|[$^]")


@dataclass(frozen=True, slots=True)
class Shape:
    """The bounds of a pattern.

    `longest` is the number of characters of the longest match, `inf` without a bound. `whole` is a pattern
    for all matches without assertions. `partial` is a pattern for all beginnings of matches, from nothing up
    to a whole match.
    """

    longest: float
    whole: str
    partial: str


_EMPTY = Shape(0, "", "")


def shape_of(pattern: str) -> Shape | None:
    """Return the shape of a valid pattern; None when it has syntax that is not supported here."""
    parser = _Parser(pattern)
    try:
        shape = parser.choice("")
    except (ValueError, RecursionError):
        return None
    return shape if parser.is_at_end else None


class _Parser:
    """Reads a pattern from left to right. `flags` are those of RE2's ``i`` and ``s`` that are on."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        return self._at >= len(self._text)

    def _accept(self, token: re.Pattern[str]) -> re.Match[str] | None:
        found = token.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return found

    def _accept_char(self, char: str) -> bool:
        found = self._text.startswith(char, self._at)
        self._at += found
        return found

    def choice(self, flags: str) -> Shape:
        options = []
        while True:
            option, flags = self._sequence(flags)
            options.append(option)
            if not self._accept_char("|"):
                return _either(options)

    def _sequence(self, flags: str) -> tuple[Shape, str]:
        """Read up to the end of an option. Return its shape, and the flags for the next option."""
        items: list[Shape] = []
        while not self.is_at_end and self._text[self._at] not in "|)":
            if group := self._accept(_GROUP):
                inner = _changed(flags, group)
                if group[3] == ")":  # such as (?i)
                    flags = inner
                    continue
                items.append(self.choice(inner))
                if not self._accept_char(")"):
                    raise ValueError("The group does not end.")
            else:
                items += self._atoms(flags)
            while items and (times := self._accept(_REPEAT)):
                items[-1] = _repeated(items[-1], times)
        return _in_sequence(items), flags

    def _atoms(self, flags: str) -> list[Shape]:
        """Read characters, one class or one assertion."""
        if plain := self._accept(_PLAIN):
            return [_one(char, flags) for char in plain[0]]
        if quoted := self._accept(_QUOTE):
            return [_one(re.escape(char), flags) for char in quoted[1]]
        if self._accept(_ASSERTION):
            return [_EMPTY]
        if self._text.startswith("\\C", self._at):
            raise ValueError("A single byte is not a character.")
        char = self._text[self._at]
        if char in "[\\":
            found = self._accept(_CLASS)
            if found is None:
                raise ValueError("The class does not end.")
            return [_one(found[0], flags)]
        self._at += 1
        return [_one(char if char == "." else re.escape(char), flags)]


def _changed(flags: str, group: re.Match[str]) -> str:
    on, off = group[1] or "", group[2] or ""
    return "".join(flag for flag in "is" if flag in on or (flag in flags and flag not in off))


def _one(source: str, flags: str) -> Shape:
    whole = f"(?{flags}:{source})" if flags else source
    return Shape(1, whole, f"(?:{whole})?")


def _in_sequence(items: list[Shape]) -> Shape:
    items = [item for item in items if item.whole]
    opened, closed = [], []
    for item in items[:-1]:
        # For one character, "(?:a…)?" has the same meaning as "(?:(?:a)?|a…)", and is shorter.
        single = item.longest == 1
        opened.append(f"(?:{item.whole}" if single else f"(?:{item.partial}|{item.whole}")
        closed.append(")?" if single else ")")
    partial = "".join((*opened, items[-1].partial, *reversed(closed))) if items else ""
    return Shape(sum(item.longest for item in items), "".join([item.whole for item in items]), partial)


def _either(options: list[Shape]) -> Shape:
    if len(options) == 1:
        return options[0]
    whole, partial = ("|".join(parts) for parts in zip(*((o.whole, o.partial) for o in options), strict=True))
    return Shape(max(option.longest for option in options), f"(?:{whole})", f"(?:{partial})")


def _repeated(item: Shape, times: re.Match[str]) -> Shape:
    sign, least, comma, most = times.groups()
    if sign:
        most = {"?": "1"}.get(sign, "")
        comma = ","
    highest = float(most) if most else (inf if comma else float(least))
    if not item.longest or not highest:
        return _EMPTY
    before = "*" if highest == inf else f"{{0,{int(highest) - 1}}}"
    again = f"(?:{item.whole}){before}" if highest > 1 else ""
    return Shape(item.longest * highest, f"(?:{item.whole}){times[0]}", f"{again}{item.partial}")
