"""The bound on counters that clients choose by what they send."""

from dataclasses import dataclass, field

#: Values of one limit that have a counter of their own at a time. Those beyond share one.
MAX_VALUES = 10_000
# Below this number of limits a sweep is not worth its time.
_SWEEP_FROM = 1024


class DistinctValueTracker:
    """Which values of each limit have a counter of their own: the first `max_values` of a window.

    It is kept in each worker, and a value that was counted is known for at least as long as its counter
    lives: two sets for each limit, of which the older is dropped each time that a window is over. So it
    depends on nothing but the order of the requests, and costs at most 0.2 MB a thousand values.
    Times are seconds of one monotonic clock.
    """

    def __init__(self, max_values: int = MAX_VALUES) -> None:
        self._max_values = max_values
        self._limits: dict[str, _Values] = {}
        self._sweep_at = _SWEEP_FROM

    def has_counter(self, limit: str, value: str, now: float) -> bool:
        """True when `value` has a counter of its own under `limit`, or there is room for one more."""
        values = self._limits.get(limit)
        if values is None:
            return True
        values.turn(now)
        return value in values.newer or value in values.older or values.count < self._max_values

    def add(self, limit: str, value: str, lifetime: float, now: float) -> None:
        """Note that `value` has one, which lives for `lifetime` seconds from now."""
        values = self._limits.get(limit)
        if values is None:
            self._sweep(now)
            values = self._limits[limit] = _Values(lifetime, now)
        values.turn(now)
        values.older.discard(value)
        values.newer.add(value)

    def _sweep(self, now: float) -> None:
        """Drop what is over, each time that the number of limits has doubled."""
        if len(self._limits) < self._sweep_at:
            return
        for values in self._limits.values():
            values.turn(now)
        self._limits = {limit: values for limit, values in self._limits.items() if values.count}
        self._sweep_at = max(_SWEEP_FROM, 2 * len(self._limits))


@dataclass(slots=True)
class _Values:
    lifetime: float
    turned: float
    newer: set[str] = field(default_factory=set)
    older: set[str] = field(default_factory=set)

    @property
    def count(self) -> int:
        return len(self.newer) + len(self.older)

    def turn(self, now: float) -> None:
        gone = now - self.turned
        if gone < self.lifetime:
            return
        self.older = self.newer if gone < 2 * self.lifetime else set()
        self.newer = set()
        self.turned += gone // self.lifetime * self.lifetime
