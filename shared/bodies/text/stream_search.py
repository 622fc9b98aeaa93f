"""A text that comes in pieces, seen through a window in which no match of a pattern is missed."""

from collections.abc import Callable
from math import inf

from shared.bodies.text.patterns import Match, Patterns

#: Is told a match, and answers whether more of that pattern are wanted.
Found = Callable[[Match], bool]


class StreamSearch:
    """Finds the matches that the whole text has, wherever it was cut, each as soon as it is certain.

    `length` characters were taken. The first `settled` of them can be no part of a match that is not known
    yet: what stands behind may be the beginning of one.
    """

    __slots__ = ("_base", "_next", "_patterns", "_tail", "length", "settled")

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns
        self._tail = ""
        self._base = 0  # characters that the tail does not hold any more
        self._next: dict[int, int] = {}  # where a pattern's last match ended, behind what is settled
        self.length = self.settled = 0

    def add(self, piece: str, found: Found) -> None:
        """Take the next piece, and tell the matches that have become certain."""
        self._tail += piece
        self.length += len(piece)
        if self._patterns.longest < inf:  # without a bound nothing is certain before the end
            limit = self._base + self._patterns.partial_start(self._tail, self.settled - self._base)
            self._tell(limit, found)
            self._settle(limit)

    def tell_if_over(self, found: Found) -> None:
        """Tell the matches that are still to come if the text ends here. Changes nothing."""
        before = dict(self._next)
        self._tell(inf, found)
        self._next = before

    def end(self, found: Found) -> None:
        """The text is over: tell its last matches."""
        self._tell(inf, found)
        self._settle(self.length)

    def _tell(self, limit: float, found: Found) -> None:
        """Those that begin before `limit`, where nothing that comes can change them."""
        for number in self._patterns.found_in(self._tail):
            start = max(self._next.get(number, 0), self.settled)
            for match in self._patterns.matches_of(number, self._tail, start - self._base):
                if match.start + self._base >= limit:
                    break
                here = Match(number, match.start + self._base, match.end + self._base)
                self._next[number] = max(here.end, here.start + 1)
                if not found(here):
                    break

    def _settle(self, limit: int) -> None:
        self.settled = limit
        self._next = {number: place for number, place in self._next.items() if place > limit}
        # What stands before a match matters for \\b and ^: the tail begins one character earlier.
        gone = max(limit - 1 - self._base, 0)
        self._tail = self._tail[gone:]
        self._base += gone
