"""A bound on the number of counters that clients can create by what they send."""

from dataclasses import dataclass, field

#: Values of one limit that may have counters of their own. Further values share one.
MAX_VALUES = 10_000
# Below this number of limits a sweep is not worth its time.
_SWEEP_FROM = 1024


class DistinctValueTracker:
    """Caps the counters of a limit: the first `max_values` of a window have their own, the rest share one.

    Each worker has a tracker. It keeps two sets of values per limit and drops the older one when a window
    ends, so a value is known at least as long as its counter lives. It takes at most 0.2 MB per thousand
    values. Times are seconds of one monotonic clock.
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
        values.rotate(now)
        return value in values.newer or value in values.older or values.count < self._max_values

    def add(self, limit: str, value: str, lifetime: float, now: float) -> None:
        """Add a value whose counter lives for `lifetime` seconds from now."""
        values = self._limits.get(limit)
        if values is None:
            self._sweep(now)
            values = self._limits[limit] = _Values(lifetime, now)
        values.rotate(now)
        values.older.discard(value)
        values.newer.add(value)

    def _sweep(self, now: float) -> None:
        """Drop limits without values, each time that the number of limits has doubled."""
        if len(self._limits) < self._sweep_at:
            return
        for values in self._limits.values():
            values.rotate(now)
        self._limits = {limit: values for limit, values in self._limits.items() if values.count}
        self._sweep_at = max(_SWEEP_FROM, 2 * len(self._limits))


@dataclass(slots=True)
class _Values:
    lifetime: float
    rotated_at: float
    newer: set[str] = field(default_factory=set)
    older: set[str] = field(default_factory=set)

    @property
    def count(self) -> int:
        return len(self.newer) + len(self.older)

    def rotate(self, now: float) -> None:
        elapsed = now - self.rotated_at
        if elapsed < self.lifetime:
            return
        self.older = self.newer if elapsed < 2 * self.lifetime else set()
        self.newer = set()
        self.rotated_at += elapsed // self.lifetime * self.lifetime
