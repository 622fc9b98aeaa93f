"""A count of what happened within the last seconds."""

import math
from collections import deque

# The parts of a window. An event counts until the whole part in which it happened has left the window.
_PARTS = 10


class RecentCount:
    """Counts for between nine and ten tenths of a window.

    >>> calls = RecentCount(seconds=10)
    >>> calls.add(0.0), calls.add(5.0)
    (None, None)
    >>> calls.total(9.9), calls.total(12.0), calls.total(20.0)
    (2, 1, 0)
    """

    __slots__ = ("_count", "_part", "_parts", "_total", "_until", "_width")

    def __init__(self, seconds: float) -> None:
        self._width = seconds / _PARTS
        self._parts: deque[tuple[int, int]] = deque()  # the number of a part that is over, and its count
        self._total = 0  # of these parts
        self._count = self._part = 0  # the count in the last part, its number and its end
        self._until = -math.inf

    def add(self, now: float) -> None:
        """Count one more."""
        if now >= self._until:
            self._leave(now)
            self._part = int(now / self._width)
            self._until = (self._part + 1) * self._width
        self._count += 1

    def total(self, now: float) -> int:
        """The number that counts now."""
        self._leave(now)
        return self._total + self._count

    def clear(self) -> None:
        """Count from zero again."""
        self._parts.clear()
        self._total, self._count, self._until = 0, 0, -math.inf

    def _leave(self, now: float) -> None:
        """Close the last part if it is over, and remove the parts that have left the window."""
        if self._count and now >= self._until:
            self._parts.append((self._part, self._count))
            self._total, self._count = self._total + self._count, 0
        part = int(now / self._width)
        while self._parts and self._parts[0][0] <= part - _PARTS:
            self._total -= self._parts.popleft()[1]
