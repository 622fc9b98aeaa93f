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

    __slots__ = ("_parts", "_total", "_until", "_width")

    def __init__(self, seconds: float) -> None:
        self._width = seconds / _PARTS
        self._parts: deque[list[int]] = deque()  # the number of a part, and the count in it
        self._total = 0
        self._until = -math.inf  # the end of the last part

    def add(self, now: float) -> None:
        """Count one more."""
        self._total += 1
        if now < self._until:
            self._parts[-1][1] += 1
            return
        part = int(now / self._width)
        self._until = (part + 1) * self._width
        self._parts.append([part, 1])
        self._leave(part)

    def total(self, now: float) -> int:
        """The number that counts now."""
        self._leave(int(now / self._width))
        return self._total

    def clear(self) -> None:
        """Count from zero again."""
        self._parts.clear()
        self._total, self._until = 0, -math.inf

    def _leave(self, part: int) -> None:
        """Remove the parts that have left the window. `part` is the number of the present one."""
        while self._parts and self._parts[0][0] <= part - _PARTS:
            self._total -= self._parts.popleft()[1]
            if not self._parts:
                self._until = -math.inf
