r"""Searches a text that comes in pieces, and finds each match that a search of the whole text finds.

The search keeps the end of the text: from one character before the first partial match on, since ``\b`` and
``^`` see the character before a match. A match is reported once no later text can change it.
"""

from collections.abc import Callable, Iterable
from math import inf

from shared.bodies.text.patterns import Match, Patterns

#: Takes a match. Returns True to get more matches of that pattern.
OnMatch = Callable[[Match], bool]


class StreamSearch:
    """The search of one text.

    `length` characters were added. The first `settled` of them cannot be part of a match that is not reported
    yet. The characters after them may be the beginning of one.
    """

    __slots__ = ("_base", "_later", "_next", "_patterns", "_tail", "length", "reports_early", "settled")

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns
        self._tail = ""
        self._later: list[str] = []  # further pieces of the tail, if no match is certain before the end
        self._base = 0  # the number of characters before the tail
        self._next: dict[int, int] = {}  # the end of a pattern's last match, if it is not settled
        self.length = self.settled = 0
        #: Whether a match can be certain before the end of the text.
        self.reports_early = patterns.longest < inf

    def add(self, piece: str, on_match: OnMatch) -> None:
        """Add the next piece, and report the matches that are certain now."""
        self.length += len(piece)
        if not self.reports_early:
            self._later.append(piece)
        else:
            self._tail += piece
            partial, found = self._patterns.look(self._tail, self.settled - self._base)
            settled = self._base + partial
            if found:
                self._report(found, settled, on_match)
            self._settle(settled)

    def report_if_over(self, on_match: OnMatch) -> None:
        """Report the further matches if the text ended here. More text may follow."""
        before = dict(self._next)
        self._report(self._patterns.found_in(self._tail), inf, on_match)
        self._next = before

    def end(self, on_match: OnMatch) -> None:
        """Report the last matches: the text is complete."""
        self._tail = "".join((self._tail, *self._later))
        self._later.clear()
        self._report(self._patterns.found_in(self._tail), inf, on_match)
        self._settle(self.length)

    def _report(self, found: Iterable[int], before: float, on_match: OnMatch) -> None:
        """Report the matches of the patterns `found` that begin before the character `before`."""
        for number in found:
            start = max(self._next.get(number, 0), self.settled)
            for match in self._patterns.matches_of(number, self._tail, start - self._base):
                if match.start + self._base >= before:
                    break
                hit = Match(number, match.start + self._base, match.end + self._base)
                self._next[number] = max(hit.end, hit.start + 1)
                if not on_match(hit):
                    break

    def _settle(self, settled: int) -> None:
        self.settled = settled
        if self._next:
            self._next = {number: end for number, end in self._next.items() if end > settled}
        removed = settled - 1 - self._base
        if removed > 0:
            self._tail = self._tail[removed:]
            self._base += removed
