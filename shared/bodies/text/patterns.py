"""Patterns that tenants write, matched by RE2: no pattern and no text can make it slow.

RE2's syntax is at https://github.com/google/re2/wiki/Syntax; case is ignored with ``(?i)``.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from math import inf
from typing import NamedTuple
from weakref import WeakValueDictionary

import re2

from shared.bodies.text.pattern_bounds import Shape, shape_of

#: Length of a pattern in bytes, and patterns in one list.
MAX_LENGTH = 1024
MAX_PATTERNS = 100
#: Instructions of RE2's programs, in which counted repeats are written out: of one pattern, and of one list.
#: So many take 10 ms to compile, and nothing else of the process runs meanwhile (measured).
MAX_SIZE = 20_000
# Bytes that a pattern, or a set of them, may use. A pattern that does not fit is refused after 15 ms at most.
_PATTERN_MEMORY = 1024 * 1024
_SET_MEMORY = 16 * 1024 * 1024
# What the pattern for all beginnings may weigh, and the size of the list that it is made for. It takes 15 ms
# to compile at most; with five times as much of either it would take 0.4 s (measured).
_MOST_BEGUN, _MOST_BEGUN_SIZE = 20_000, 5_000
# Lists that stay compiled when nobody holds them: the admin API compiles what it checks, and drops it again.
# The largest take 1 MB (measured).
_MOST_RECENT = 64
# What takes as long to compile as one instruction of a program: characters of that pattern, and the square of
# a match's length, because from each of its characters on the rest may be missing.
_CHARACTERS, _SQUARES = 2, 64
_TOO_LARGE = (
    f"Must be smaller: the patterns of one list may take RE2 {MAX_SIZE} instructions together. "
    "Make counted repeats such as {1,500} shorter or open ({1,}), and classes such as \\pL fewer."
)


class PatternError(ValueError):
    """One of several patterns is wrong; `number` says which."""

    def __init__(self, number: int, message: str) -> None:
        self.number = number
        super().__init__(message)


def _options(memory: int) -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory
    return options


def compile_pattern(pattern: str) -> "re2._Regexp":
    """One pattern. Raises ValueError, with a full sentence, when RE2 cannot take it."""
    if len(pattern.encode(errors="replace")) > MAX_LENGTH:
        raise ValueError(f"Must be a pattern of at most {MAX_LENGTH} bytes.")
    try:
        compiled = re2.compile(pattern, _options(_PATTERN_MEMORY))
    except (re2.error, UnicodeEncodeError) as error:
        reason = _reason(error)
        told = _TOO_LARGE if "too large" in reason else f"Must be an RE2 pattern: {reason}."
        raise ValueError(told) from None
    check_size(compiled.programsize)
    return compiled


def check_size(size: int) -> None:
    """Raises ValueError, with a full sentence, when the patterns of one list are that large together."""
    if size > MAX_SIZE:
        raise ValueError(_TOO_LARGE)


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else error
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


class Match(NamedTuple):
    """Where the pattern of that number matches: characters from `start` up to `end`."""

    number: int
    start: int
    end: int


class Patterns:
    """Several patterns, looked for at once. Making one raises `PatternError`.

    It never changes, so that `patterns_of` may give the same one to many.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._each = []
        #: How much RE2 may have to do for one byte of text: the sum of its programs' instructions.
        self.size = 0
        for number, pattern in enumerate(patterns):
            try:
                self._each.append(compile_pattern(pattern))
                self.size += self._each[-1].programsize
                check_size(self.size)
            except ValueError as error:
                raise PatternError(number, str(error)) from None
        self._set = _set(patterns)
        self._sources = tuple(patterns)

    @cached_property
    def _shapes(self) -> list[Shape | None]:
        return [shape_of(source) for source in self._sources]

    @cached_property
    def lengths(self) -> tuple[float, ...]:
        """Of each pattern the number of characters that a match has at most; `inf` without a bound."""
        return tuple(inf if shape is None else shape.longest for shape in self._shapes)

    @cached_property
    def longest(self) -> float:
        return max(self.lengths, default=0)

    @property
    def weight(self) -> int:
        """How long all of it takes to compile, in instructions."""
        return self.size + (0 if self._choice is None else self._weight_of(self._choice))

    def _weight_of(self, choice: str) -> int:
        return len(choice) // _CHARACTERS + sum(int(length) ** 2 for length in self.lengths) // _SQUARES

    def __len__(self) -> int:
        return len(self._each)

    def found(self, texts: Iterable[str]) -> set[int]:
        """The numbers of the patterns that match somewhere in one of `texts`."""
        if not self._each:
            return set()
        return {number for text in texts for number in self.found_in(text)}

    def found_in(self, text: str) -> Iterable[int]:
        """The numbers of the patterns that match somewhere in `text`."""
        raw = text.encode(errors="replace")
        hits = self._set.Match(raw) if self._set else []
        # A set that ran out of memory reports no match at all, not even that of the sentinel.
        if len(self._each) in hits:
            return [number for number in hits if number != len(self._each)]
        return [number for number, pattern in enumerate(self._each) if pattern.search(raw)]

    def matches(self, text: str) -> Iterator[Match]:
        """All matches, each pattern's own without overlaps, from left to right."""
        for number in self.found_in(text):
            yield from self.matches_of(number, text, 0)

    def matches_of(self, number: int, text: str, start: int) -> Iterator[Match]:
        """Those of one pattern from `start` on; what stands before it is seen all the same."""
        for found in self._each[number].finditer(text, start):
            yield Match(number, *found.span())

    def begun_in(self, text: str, start: int) -> int:
        """Where behind `start` a match may begin that goes on behind the end of `text`; its length for none.

        For patterns of bounded length.
        """
        start = max(start, len(text) - int(self.longest))
        if self._begun is None:
            return start
        found: int = self._begun.search(text, start).start()
        return found

    def make_ready(self) -> None:
        """Compile what `begun_in` needs, which may take some milliseconds."""
        _ = self._begun

    @cached_property
    def _choice(self) -> str | None:
        """A pattern for all beginnings of matches; None when it is too much to compile, or never needed."""
        if self.size > _MOST_BEGUN_SIZE or self.longest == inf:
            return None
        choice = "|".join([shape.begun for shape in self._shapes if shape is not None])
        return choice if self._weight_of(choice) <= _MOST_BEGUN else None

    @cached_property
    def _begun(self) -> "re2._Regexp | None":
        """Matches all beginnings of matches at the end of a text; None when that is too much."""
        if self._choice is None:
            return None
        try:
            return re2.compile(rf"(?:{self._choice}|)\z", _options(_SET_MEMORY))
        except re2.error:
            return None


@lru_cache(maxsize=_MOST_RECENT)
def patterns_of(sources: tuple[str, ...]) -> Patterns:
    """`Patterns`, compiled once for as long as somebody holds them, and of the last lists in any case."""
    held = _held.get(sources)
    if held is None:
        held = _held[sources] = Patterns(sources)
    return held


_held: WeakValueDictionary[tuple[str, ...], Patterns] = WeakValueDictionary()


def _set(patterns: Sequence[str]) -> "re2.Set | None":
    """All patterns and, as the last one, the empty pattern, which matches everywhere.

    None when they are too much for one set.
    """
    together = re2.Set.SearchSet(_options(_SET_MEMORY))
    try:
        for pattern in (*patterns, ""):
            together.Add(pattern)
        together.Compile()
    except re2.error:
        return None
    return together
