"""The series of one process, as plain numbers: to count costs a request an addition, and no call.

A child is resolved once, from the values of its labels, and kept by the code that counts. Values that
tenants or upstreams choose are bounded: beyond the bound they share the value ``other``.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from shared.metrics.names import BUILD_INFO, HISTOGRAM, Family

#: The value of a label beyond its bound.
OTHER: Final = "other"
#: The most values of a label in one process; of a rule, with its tenant.
MAX_VALUES: Final[Mapping[str, int]] = {"tenant": 500, "rule": 2_000, "model": 500}
_MAX_OTHERS: Final = 500
#: The longest value, in characters.
MAX_LENGTH: Final = 100


class Value:
    """A counter or a gauge. Add to `value`, or set it."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    @property
    def numbers(self) -> list[float]:
        """All its numbers, of which each is a sample."""
        return [self.value]


class Histogram:
    """Counts of values up to each of `bounds`, and beyond; and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0.0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value.

        >>> histogram = Histogram((1.0, 5.0))
        >>> for value in (0.5, 1.0, 7.0):
        ...     histogram.observe(value)
        >>> histogram.numbers
        [2.0, 0.0, 1.0, 8.5]
        """
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def numbers(self) -> list[float]:
        """The count of each bucket alone, and the sum."""
        return [*self.counts, self.total]


Child = tuple[Family, tuple[str, ...]]


class Registry:
    """All series of a process. `has_tenants`: whether tenants and rules are told apart."""

    def __init__(self, *, has_tenants: bool = True) -> None:
        self.has_tenants = has_tenants
        self._series: dict[Child, Value | Histogram] = {}
        self._values: dict[str, set[object]] = defaultdict(set)

    def value(self, family: Family, *labels: str) -> Value:
        """The counter or gauge with these labels. Keep it, where it is needed often."""
        found = self._child(family, labels)
        if not isinstance(found, Value):
            raise TypeError(f"{family.name} is a histogram.")
        return found

    def histogram(self, family: Family, *labels: str) -> Histogram:
        """The histogram with these labels, as `value`."""
        found = self._child(family, labels)
        if not isinstance(found, Histogram):
            raise TypeError(f"{family.name} is not a histogram.")
        return found

    def series(self) -> list[tuple[Child, Value | Histogram]]:
        """All series. Another thread may make some meanwhile."""
        return list(self._series.items())

    def clear(self, family: Family) -> None:
        """Set all gauges of a family to 0: what is gone has no state."""
        for (other, _), one in self.series():
            if other is family and isinstance(one, Value):
                one.value = 0.0

    def begin(self, program: str, version: str) -> None:
        """Say which program this is."""
        self.value(BUILD_INFO, program, version).value = 1

    def _child(self, family: Family, labels: tuple[str, ...]) -> Value | Histogram:
        bounded = self._bounded(family, labels)
        if (found := self._series.get((family, bounded))) is None:
            made = Histogram(family.bounds) if family.kind == HISTOGRAM else Value()
            found = self._series.setdefault((family, bounded), made)
        return found

    def _bounded(self, family: Family, labels: tuple[str, ...]) -> tuple[str, ...]:
        named = dict(zip(family.labels, labels, strict=True))
        tenant = named.get("tenant", "")
        return tuple(self._one(label, value[:MAX_LENGTH], tenant) for label, value in named.items())

    def _one(self, label: str, value: str, tenant: str) -> str:
        if label in ("tenant", "rule") and not self.has_tenants:
            return ""
        known = self._values[label]
        name = (tenant, value) if label == "rule" else value
        if name in known:
            return value
        if len(known) >= MAX_VALUES.get(label, _MAX_OTHERS):
            return OTHER
        known.add(name)
        return value


#: The series of this process.
REGISTRY: Final = Registry()
