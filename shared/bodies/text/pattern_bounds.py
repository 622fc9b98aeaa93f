"""How long a match of a pattern can be, and how one begins: what a sliding window has to know.

RE2 tells neither, so its syntax is read here, down to what matters: one character, a sequence, a choice,
a repetition. What stands for the place between characters (``^``, ``\\b``) has no length.
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
_PLACES = ("\\b", "\\B", "\\A", "\\z")


@dataclass(frozen=True, slots=True)
class Shape:
    """`longest` is the number of characters that a match has at most, `inf` when there is no bound.

    `whole` is a pattern for all that matches, wherever it stands; `begun` one for all beginnings of it, from
    nothing up to a whole match.
    """

    longest: float
    whole: str
    begun: str


_NOTHING = Shape(0, "", "")


def shape_of(pattern: str) -> Shape | None:
    """The shape of a pattern that RE2 takes; None when it holds something that is not known here."""
    reader = _Reader(pattern)
    try:
        shape = reader.choice("")
    except (ValueError, RecursionError):
        return None
    return shape if reader.is_over else None


class _Reader:
    """Reads a pattern from left to right. `flags` are those in force: ``i`` and ``s`` of RE2's."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._text)

    def _skips(self, token: str) -> bool:
        found = self._text.startswith(token, self._at)
        self._at += len(token) if found else 0
        return found

    def _takes(self, token: re.Pattern[str]) -> re.Match[str] | None:
        found = token.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return found

    def choice(self, flags: str) -> Shape:
        options = []
        while True:
            option, flags = self._sequence(flags)
            options.append(option)
            if not self._skips("|"):
                return _either(options)

    def _sequence(self, flags: str) -> tuple[Shape, str]:
        """Up to the end of the choice, and the flags that hold behind it."""
        items: list[Shape] = []
        while not self.is_over and self._text[self._at] not in "|)":
            if opened := self._takes(_GROUP):
                if opened[3] == ")":
                    flags = _changed(flags, opened)
                    continue
                items.append(self._group(_changed(flags, opened)))
            else:
                items += self._atoms(flags)
            while items and (times := self._takes(_REPEAT)):
                items[-1] = _repeated(items[-1], times)
        return _in_a_row(items), flags

    def _group(self, flags: str) -> Shape:
        inner = self.choice(flags)
        if not self._skips(")"):
            raise ValueError("The group does not end.")
        return inner

    def _atoms(self, flags: str) -> list[Shape]:
        """The next characters, or what stands for one."""
        if plain := self._takes(_PLAIN):
            return [_one(char, flags) for char in plain[0]]
        if quoted := self._takes(_QUOTE):
            return [_one(re.escape(char), flags) for char in quoted[1]]
        if any(self._skips(place) for place in (*_PLACES, "^", "$")):
            return [_NOTHING]
        if self._text.startswith("\\C", self._at):
            raise ValueError("A single byte is no character.")
        if self._text[self._at] in "[\\":
            found = self._takes(_CLASS)
            if found is None:
                raise ValueError("The class does not end.")
            return [_one(found[0], flags)]
        self._at += 1
        char = self._text[self._at - 1]
        return [_one(char if char == "." else re.escape(char), flags)]


def _changed(flags: str, opened: re.Match[str]) -> str:
    on, off = opened[1] or "", opened[2] or ""
    return "".join(flag for flag in "is" if flag in on or (flag in flags and flag not in off))


def _one(source: str, flags: str) -> Shape:
    whole = f"(?{flags}:{source})" if flags else source
    return Shape(1, whole, f"(?:{whole})?")


def _in_a_row(items: list[Shape]) -> Shape:
    """The beginning of a row is one of its first item, or all of that and one of the rest."""
    items = [item for item in items if item.whole]
    opened, closed = [], []
    for item in items[:-1]:
        single = item.longest == 1
        opened.append(f"(?:{item.whole}" if single else f"(?:{item.begun}|{item.whole}")
        closed.append(")?" if single else ")")
    begun = "".join((*opened, items[-1].begun, *reversed(closed))) if items else ""
    return Shape(sum(item.longest for item in items), "".join([item.whole for item in items]), begun)


def _either(options: list[Shape]) -> Shape:
    if len(options) == 1:
        return options[0]
    whole, begun = ("|".join(parts) for parts in zip(*((o.whole, o.begun) for o in options), strict=True))
    return Shape(max(option.longest for option in options), f"(?:{whole})", f"(?:{begun})")


def _repeated(item: Shape, times: re.Match[str]) -> Shape:
    sign, least, comma, most = times.groups()
    if sign:
        most = {"?": "1"}.get(sign, "")
        comma = ","
    highest = float(most) if most else (inf if comma else float(least))
    if not item.longest or not highest:
        return _NOTHING
    before = "*" if highest == inf else f"{{0,{int(highest) - 1}}}"
    again = f"(?:{item.whole}){before}" if highest > 1 else ""
    return Shape(item.longest * highest, f"(?:{item.whole}){times[0]}", f"{again}{item.begun}")
