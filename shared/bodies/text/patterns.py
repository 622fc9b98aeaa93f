"""Patterns of tenants, matched by RE2 in linear time: no pattern and no text can make a match slow.

To compile a pattern takes time too, and meanwhile no other thread of the process runs. So the length, the
memory and the compiled size of patterns are bounded. The size is the number of instructions of RE2's program,
which writes counted repeats out: ``x{1,500}`` has 500 times the size of ``x``.

RE2's syntax: https://github.com/google/re2/wiki/Syntax. ``(?i)`` ignores case.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from math import inf
from typing import NamedTuple
from weakref import WeakValueDictionary

import re2

from shared.bodies.slices import SLICE
from shared.bodies.text.pattern_bounds import Shape, shape_of

#: The most bytes of a pattern, and patterns of a list.
MAX_LENGTH = 1024
MAX_PATTERNS = 100
#: The most instructions of a list of patterns. They take 10 ms to compile (measured).
MAX_SIZE = 20_000
# The most bytes of a compiled pattern, and of a set. A larger pattern is rejected after at most 15 ms.
_PATTERN_MEMORY = 1024 * 1024
_SET_MEMORY = 16 * 1024 * 1024
# The most weight of the pattern for partial matches, and the most size of the list that it is made for. It
# takes at most 15 ms to compile; five times as much of either would take 0.4 s (measured).
_MAX_PARTIAL_WEIGHT, _MAX_PARTIAL_SIZE = 20_000, 5_000
# The most weight and size of a list whose whole and partial matches are looked for at once: it takes a
# millisecond to compile.
_MAX_EITHER = 2_000
# The number of lists that stay compiled while no one uses them: the admin API compiles each list that it
# checks. The largest take 1 MB (measured).
_CACHE_SIZE = 64
# In the pattern for partial matches, so many characters take as long to compile as one instruction does, and
# so does so much of the square of the longest match (a match may break off after each of its characters).
_CHARACTERS, _SQUARES = 2, 64
# In a text of so many bytes, a few patterns are found faster one by one than by their set (measured).
_LONG, _FEW = 4096, 2
# The parts of a pattern that may refer to the beginning or the end of a text.
_ANCHORS = ("^", "$", r"\A", r"\z")
_TOO_LARGE = (
    f"Must be at most {MAX_SIZE:,} RE2 instructions per list. "
    "Shorten counted repeats such as {1,500}, and use fewer classes such as \\pL."
)


class PatternError(ValueError):
    """A pattern of a list is invalid: the one at the index `number`."""

    def __init__(self, number: int, message: str) -> None:
        self.number = number
        super().__init__(message)


def _options(memory: int) -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory
    return options


def compile_pattern(pattern: str) -> "re2._Regexp":
    """Compile a pattern. Raises ValueError, with a full sentence, when it is invalid or too large."""
    if len(pattern.encode(errors="replace")) > MAX_LENGTH:
        raise ValueError(f"Must be a pattern of at most {MAX_LENGTH} bytes.")
    try:
        compiled = re2.compile(pattern, _options(_PATTERN_MEMORY))
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0] if error.args else error
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(_TOO_LARGE if "too large" in text else f"Must be an RE2 pattern: {text}.") from None
    check_size(compiled.programsize)
    return compiled


def check_size(size: int) -> None:
    """Raise ValueError, with a full sentence, when `size` is too large for the patterns of one list."""
    if size > MAX_SIZE:
        raise ValueError(_TOO_LARGE)


class Match(NamedTuple):
    """A match of the pattern at the index `number`: the characters from `start` up to `end`."""

    number: int
    start: int
    end: int


class Patterns:
    """An immutable list of patterns, searched at once. Raises `PatternError` on an invalid pattern."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._each = []
        #: The sum of all instructions: the most work of RE2 for one byte of text.
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
        # Then what matches in a text also matches where the text is a line among others.
        self._can_join = not any(anchor in source for source in patterns for anchor in _ANCHORS)

    @cached_property
    def _shapes(self) -> list[Shape | None]:
        return [shape_of(source) for source in self._sources]

    @cached_property
    def lengths(self) -> tuple[float, ...]:
        """The longest match of each pattern in characters; `inf` without a bound."""
        return tuple(inf if shape is None else shape.longest for shape in self._shapes)

    @cached_property
    def longest(self) -> float:
        return max(self.lengths, default=0)

    @cached_property
    def _reach(self) -> int:
        return int(self.longest)

    @property
    def weight(self) -> int:
        """The time to compile the list, in instructions."""
        return self.size + (self._weight_of(self._partial_source) if self._partial_source else 0)

    def _weight_of(self, source: str) -> int:
        return len(source) // _CHARACTERS + sum(int(length) ** 2 for length in self.lengths) // _SQUARES

    def __len__(self) -> int:
        return len(self._each)

    def found(self, texts: Sequence[str]) -> set[int]:
        """Return the indexes of the patterns that match in one of `texts`."""
        if not self._each:
            return set()
        if len(texts) == 1:  # as of most prompts
            return set(self._found_in(texts[0].encode(errors="replace")))
        if self._can_join:
            texts = [text for some in _gathered(texts) for text in self._suspected(some)]
        return {number for text in texts for number in self._found_in(text.encode(errors="replace"))}

    def _suspected(self, texts: Sequence[str]) -> Sequence[str]:
        """Return none of `texts` if nothing matches in all of them together, as is usual."""
        return texts if len(texts) == 1 or self.found_in("\n".join(texts)) else ()

    def found_in(self, text: str) -> Iterable[int]:
        """Return the indexes of the patterns that match in `text`."""
        return self._found_in(text.encode(errors="replace"))

    def _found_in(self, raw: bytes) -> Iterable[int]:
        if len(raw) < _LONG or len(self._each) > _FEW:
            hits = self._set.Match(raw) if self._set else ()
            # A set that ran out of memory reports no match, not even one of the empty pattern.
            if hits and len(self._each) in hits:
                return [number for number in hits if number != len(self._each)]
        return [number for number, pattern in enumerate(self._each) if pattern.search(raw)]

    def matches(self, text: str) -> Iterator[Match]:
        """Yield all matches of one pattern after the other, from left to right and without overlaps."""
        for number in self.found_in(text):
            yield from self.matches_of(number, text, 0)

    def matches_of(self, number: int, text: str, start: int) -> Iterator[Match]:
        """Yield the matches of one pattern from `start` on. Its assertions see the text before `start`."""
        for found in self._each[number].finditer(text, start):
            yield Match(number, *found.span())

    def look(self, text: str, start: int) -> tuple[int, Iterable[int]]:
        """Return where a partial match begins that more text may complete, and `found_in` of `text`.

        It begins at `start` or later, and is the length of `text` if there is none. Only for patterns with a
        bound.
        """
        raw, size = text.encode(errors="replace"), len(text)
        if self._either is not None and self._either.search(raw).start() == len(raw):
            return size, ()  # as in most pieces
        least = size - self._reach
        start = least if least > start else start
        if self._partial is not None:
            # RE2's Python part takes three times as long to search text. The places of ASCII are the same.
            start = self._partial.search(raw if len(raw) == size else text, start).start()
        return start, self._found_in(raw)

    def make_ready(self) -> None:
        """Compile the patterns for streams, which may take some milliseconds."""
        _ = self._partial, self._either

    @cached_property
    def _partial_source(self) -> str:
        """A pattern for all partial matches; empty when it is not needed, or takes too long to compile."""
        if self.size > _MAX_PARTIAL_SIZE or self.longest == inf:
            return ""
        source = "|".join([shape.partial for shape in self._shapes if shape is not None])
        return source if self._weight_of(source) <= _MAX_PARTIAL_WEIGHT else ""

    @cached_property
    def _partial(self) -> "re2._Regexp | None":
        """Matches the longest partial match at the end of a text. None when it takes too long to compile."""
        return _compiled(rf"(?:{self._partial_source}|)\z") if self._partial_source else None

    @cached_property
    def _either(self) -> "re2._Regexp | None":
        """Matches the first whole match of a text, or a partial one at its end; else nothing, at its end.

        Without the assertions there may be more whole matches. None when it takes too long to compile.
        """
        if not self._partial_source or self.weight > _MAX_EITHER:
            return None
        whole = "|".join([shape.whole for shape in self._shapes if shape is not None])
        return _compiled(rf"(?:{whole})|(?:{self._partial_source}|)\z")


def _compiled(source: str) -> "re2._Regexp | None":
    """Compile a pattern for streams. None when it is too large."""
    try:
        return re2.compile(source, _options(_SET_MEMORY))
    except re2.error:
        return None


def _gathered(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield `texts` in lists of at least `SLICE` characters together."""
    start = size = 0
    for end, text in enumerate(texts, 1):
        size += len(text)
        if size >= SLICE:
            yield texts[start:end]
            start, size = end, 0
    yield texts[start:]


@lru_cache(maxsize=_CACHE_SIZE)
def patterns_of(sources: tuple[str, ...]) -> Patterns:
    """Return the compiled list. It is shared while it is in use, and the last lists stay compiled."""
    patterns = _in_use.get(sources)
    if patterns is None:
        patterns = _in_use[sources] = Patterns(sources)
    return patterns


_in_use: WeakValueDictionary[tuple[str, ...], Patterns] = WeakValueDictionary()


def _set(patterns: Sequence[str]) -> "re2.Set | None":
    """Compile all patterns and, as the last one, the empty pattern, which matches everywhere.

    None when they are too large for one set.
    """
    together = re2.Set.SearchSet(_options(_SET_MEMORY))
    try:
        for pattern in (*patterns, ""):
            together.Add(pattern)
        together.Compile()
    except re2.error:
        return None
    return together
