"""The effects of limits on recorded requests: each limit is tried alone on rows of the ledger.

A request counts when it began, with what it used in the end. One that a limit rejects is not counted by it.
Rows have no addresses, paths and headers: only limits of all requests, of keys and of models are tried.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from shared.budgets.demand import amount_of
from shared.limits.compiled import compile_limit
from shared.limits.sliding_window import BUCKETS, bucket_width
from shared.limits.values import WINDOW, LimitSpec
from shared.usage.row import LedgerRow

#: The keys that are named, those with the most rejections first.
MAX_KEYS: Final = 10
_DIMENSIONS: Final = ((), ("key",), ("model",))


class KeyEffect(NamedTuple):
    """The effect of a limit on the requests of an API key; `key` is empty for those without one."""

    key: str
    requests: int
    rejected: int


@dataclass(slots=True, kw_only=True)
class LimitEffect:
    """The effect that a limit would have had.

    Attributes:
        spec: the limit.
        requests: those that it counts.
        rejected: those of them that it would have rejected.
        unpriced: requests that it cannot count: their price is not known. It would have rejected them, too.
        first_rejected_at: when the first rejected one began, in seconds since the Unix epoch; None: none was.
        peak: the most that one counter had in one window, without any rejection.
        peak_at: the end of that window.
        keys: the keys with the most rejections.
    """

    spec: LimitSpec
    requests: int = 0
    rejected: int = 0
    unpriced: int = 0
    first_rejected_at: float | None = None
    peak: int = 0
    peak_at: float | None = None
    keys: Sequence[KeyEffect] = ()


def can_try(spec: LimitSpec) -> bool:
    """Whether rows of the ledger have what the limit counts by."""
    return spec.kind == WINDOW and spec.by in _DIMENSIONS


def began_at(row: LedgerRow) -> float:
    """The time when the request of a row began, in seconds since the Unix epoch."""
    return row.time - row.duration_ms / 1000


def try_limits(specs: Iterable[LimitSpec], rows: Iterable[LedgerRow]) -> list[LimitEffect]:
    """The effect of each limit on the requests of all rows, which may come in any order."""
    tried = [_TriedLimit(spec) for spec in specs]
    for row in sorted(rows, key=began_at):
        for one in tried:
            one.take(row, began_at(row))
    return [one.effect() for one in tried]


class _Window:
    """The total of a bucketed sliding window (`shared.limits.sliding_window`) whose time never goes back."""

    __slots__ = ("_charges", "total")

    def __init__(self) -> None:
        self.total = 0
        self._charges: deque[tuple[int, int]] = deque()

    def go_to(self, bucket: int) -> int:
        """The total in a bucket."""
        while self._charges and self._charges[0][0] < bucket - BUCKETS:
            self.total -= self._charges.popleft()[1]
        return self.total

    def charge(self, bucket: int, units: int) -> None:
        self.total += units
        self._charges.append((bucket, units))


@dataclass(slots=True)
class _Counter:
    """The windows of one value: what is admitted, and all that came."""

    admitted: _Window = field(default_factory=_Window)
    came: _Window = field(default_factory=_Window)


class _TriedLimit:
    """One limit, tried on one row after the other, the first one first."""

    def __init__(self, spec: LimitSpec) -> None:
        self._spec = spec
        self._compiled = compile_limit("", None, spec)
        self._width = bucket_width(spec.quota.window_ms)
        self._counters: dict[str, _Counter] = {}
        self._effect = LimitEffect(spec=spec)
        self._requests, self._rejected = Counter[str](), Counter[str]()

    def take(self, row: LedgerRow, began: float) -> None:
        """Count the request of a row, or reject it."""
        name = self._compiled.first_model((f"{row.provider}/{row.model}", row.model, row.model_asked))
        if name is None:
            return
        amount = amount_of(self._spec.unit, row.usage, row.cost_nano)
        if amount is None:
            self._effect.unpriced += 1
            return
        self._requests[row.key] += 1
        counter = self._counters.setdefault(self._value(row, name), _Counter())
        bucket = round(began * 1_000_000) // self._width
        counter.came.go_to(bucket)
        counter.came.charge(bucket, amount)
        if counter.came.total > self._effect.peak:
            self._effect.peak, self._effect.peak_at = counter.came.total, began
        # A call without usage is not counted.
        if amount and counter.admitted.go_to(bucket) + amount > self._spec.quota.limit:
            self._rejected[row.key] += 1
            if self._effect.first_rejected_at is None:
                self._effect.first_rejected_at = began
        else:
            counter.admitted.charge(bucket, amount)

    def _value(self, row: LedgerRow, name: str) -> str:
        match self._spec.by:
            case ("key",):
                return row.key
            case ("model",):
                return name.casefold()
        return ""

    def effect(self) -> LimitEffect:
        """The effect of the limit."""
        effect = self._effect
        effect.requests, effect.rejected = self._requests.total(), self._rejected.total()
        effect.keys = [
            KeyEffect(key, self._requests[key], rejected)
            for key, rejected in self._rejected.most_common(MAX_KEYS)
        ]
        return effect
