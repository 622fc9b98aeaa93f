"""A limiter in the memory of one process: for tests, and as the reference for the limiter in Redis.

Times are whole microseconds.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from shared.core.clock import Clock
from shared.limits.sliding_window import BucketedWindow, window_state
from shared.limits.values import BUDGET, CONCURRENT, NEVER, WINDOW, Decision, Limit, LimitState, decide


@dataclass(slots=True)
class MemoryBudget:
    """One budget in one period.

    Attributes:
        used: what was settled, and what lost leases had reserved.
        leases: the end and the amount of each that holds something.
        lost: the amounts of those that ended without a settle.
    """

    used: int = 0
    leases: dict[str, tuple[int, int]] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)

    @property
    def held(self) -> int:
        """The reserved amount."""
        return sum(amount for _, amount in self.leases.values())

    def state(self, limit: Limit, now: int) -> LimitState:
        """The state of the limit that it is."""
        never = limit.cost > limit.quota.limit or not limit.resets_at
        wait = NEVER if never else max(-(-(limit.resets_at * 1000 - now) // 1000), 0)
        return LimitState(limit, limit.quota.limit - self.used - self.held, wait)

    def reserve(self, limit: Limit, now: int) -> None:
        """Reserve the cost of the limit under its lease, whether there is room or not."""
        _, amount = self.leases.get(limit.lease, (0, 0))
        self.leases[limit.lease] = (now + limit.quota.window_ms * 1000, amount + limit.cost)

    def renew(self, limit: Limit, now: int) -> None:
        """Extend the lease, if it holds something."""
        if limit.lease in self.leases:
            self.leases[limit.lease] = (now + limit.quota.window_ms * 1000, self.leases[limit.lease][1])

    def settle(self, lease: str, amount: int, *, counts_always: bool = False) -> None:
        """Count what a lease used in the end: once, unless it `counts_always`."""
        if counts_always or lease in self.leases or lease in self.lost:
            self.used += amount - self.lost.pop(lease, 0)
            self.leases.pop(lease, None)

    def count_lost(self, now: int) -> None:
        """Count as used what leases have reserved that ended."""
        for lease in [lease for lease, (end, _) in self.leases.items() if end <= now]:
            _, amount = self.leases.pop(lease)
            self.lost[lease] = self.lost.get(lease, 0) + amount
            self.used += amount


class Leases:
    """Leases and their ends. A lease that is not renewed for its length ends.

    A lease that ends later than two lengths from now was acquired before the clock went back. It does not
    count: its holder renews it, if there still is one.
    """

    __slots__ = ("_ends", "_length")

    def __init__(self, length_ms: int) -> None:
        self._length = length_ms * 1000
        self._ends: dict[str, int] = {}

    def taken(self, now: int, besides: str = "") -> int:
        """The number of slots that are taken, without that of the lease `besides`."""
        return sum(self._is_live(end, now) and lease != besides for lease, end in self._ends.items())

    def acquire(self, now: int, lease: str) -> None:
        """Take a slot from now on for one length, whether there is room or not."""
        self._ends = {name: end for name, end in self._ends.items() if self._is_live(end, now)}
        self._ends[lease] = now + self._length

    def release(self, lease: str) -> None:
        """Free the slot of the lease, if it holds one."""
        self._ends.pop(lease, None)

    def is_over(self, now: int) -> bool:
        """True when all leases have ended."""
        return all(end <= now for end in self._ends.values())

    def _is_live(self, end: int, now: int) -> bool:
        return now < end <= now + 2 * self._length


class Counters:
    """Counters by the keys of their limits. The keys of one call differ from each other."""

    def __init__(self) -> None:
        self._windows: dict[str, BucketedWindow] = {}
        self._leases: dict[str, Leases] = {}
        #: Budgets by their keys.
        self.budgets: dict[str, MemoryBudget] = {}

    def __len__(self) -> int:
        return len(self._windows) + len(self._leases)

    def __contains__(self, key: str) -> bool:
        return key in self._windows or key in self._leases

    def acquire(self, limits: Sequence[Limit], now: int) -> Decision:
        """Charge all the limits, or none of them when one has no room."""
        decision = self.peek(limits, now)
        for limit in limits:
            if limit.key in self.budgets:
                self.budgets[limit.key].count_lost(now)
        if not decision.allowed:
            windows = {limit.key: self._windows.get(limit.key) for limit in limits}
            charged = {key: window.charged(now) for key, window in windows.items() if window is not None}
            return decision._replace(charged=charged, decided_at=now)
        self.charge(limits, now)
        return Decision(True, [self._state(limit, now, 1) for limit in limits], charged_at=now)

    def peek(self, limits: Sequence[Limit], now: int) -> Decision:
        """The decision of `acquire` now, without a charge."""
        return decide([self._state(limit, now, 0) for limit in limits])

    def charge(self, limits: Sequence[Limit], now: int) -> None:
        """Charge all the limits, whether there is room or not."""
        for limit in limits:
            if limit.kind == WINDOW:
                window = self._windows.setdefault(limit.key, BucketedWindow(limit.quota.window_ms))
                window.charge(now, limit.cost)
            elif limit.kind == BUDGET:
                self.budgets.setdefault(limit.key, MemoryBudget()).reserve(limit, now)
        self.renew(limits, now)

    def renew(self, limits: Sequence[Limit], now: int) -> None:
        """Acquire slots for all leases, also again, whether there is room or not. Extend those of budgets."""
        for limit in limits:
            if limit.kind == CONCURRENT:
                leases = self._leases.setdefault(limit.key, Leases(limit.quota.window_ms))
                leases.acquire(now, limit.lease)
            elif limit.kind == BUDGET and limit.key in self.budgets:
                self.budgets[limit.key].renew(limit, now)

    def release(self, limits: Sequence[Limit]) -> None:
        """Release the slots of the leases."""
        for limit in limits:
            if limit.kind == CONCURRENT and limit.key in self._leases:
                self._leases[limit.key].release(limit.lease)

    def correct(self, corrections: Iterable[tuple[Limit, int]], now: int, charged_at: int = 0) -> None:
        """Add units to what was charged to windows at `charged_at`; 0: it is not known."""
        for limit, units in corrections:
            if limit.kind == WINDOW and (units > 0 or limit.key in self._windows):
                window = self._windows.setdefault(limit.key, BucketedWindow(limit.quota.window_ms))
                window.correct(now, units, charged_at)

    def sweep(self, now: int, most: int) -> None:
        """Check `most` counters, the longest unchecked first, and drop those that count nothing."""
        for key in list(islice(self._windows, most)):
            window = self._windows.pop(key)
            if window.total(now):
                self._windows[key] = window
        for key in list(islice(self._leases, most)):
            leases = self._leases.pop(key)
            if not leases.is_over(now):
                self._leases[key] = leases

    def clear(self) -> None:
        """Drop all counters."""
        self._windows.clear()
        self._leases.clear()
        self.budgets.clear()

    def _state(self, limit: Limit, now: int, own: int) -> LimitState:
        """The state of a limit; `own` is the number of slots that this request has just acquired."""
        if limit.kind == CONCURRENT:
            room = limit.quota.limit
            leases = self._leases.get(limit.key) or Leases(limit.quota.window_ms)
            left = room - leases.taken(now, besides=limit.lease) - own
            return LimitState(limit, max(left, 0), 0 if limit.units <= room else NEVER)
        if limit.kind == BUDGET:
            return self.budgets.get(limit.key, MemoryBudget()).state(limit, now)
        return window_state(limit, self._windows.get(limit.key) or BucketedWindow(limit.quota.window_ms), now)


# Below this number of counters a sweep is not worth its time. Above it, each call checks more than it
# can add, so idle ones do not accumulate.
_SWEEP_FROM, _SWEEP = 1024, 16


class MemoryLimiter:
    """Counts in this process only. The keys of one call must differ from each other."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counters = Counters()

    async def acquire(self, limits: Sequence[Limit]) -> Decision:
        """Charge all the limits, or none of them when one has no room."""
        now = self._now()
        if len(self._counters) > _SWEEP_FROM:
            self._counters.sweep(now, _SWEEP)
        return self._counters.acquire(limits, now)

    extend = acquire

    async def peek(self, limits: Sequence[Limit]) -> Decision:
        """The decision of `acquire` now, without a charge; the states are those before a charge."""
        return self._counters.peek(limits, self._now())

    def end(self, limits: Sequence[Limit]) -> None:
        """Do nothing: no lease is renewed."""

    async def release(self, limits: Sequence[Limit]) -> None:
        """Release the slots in concurrent limits."""
        self._counters.release(limits)

    async def renew(self, limits: Sequence[Limit]) -> None:
        """Extend the leases in concurrent limits, or acquire them again."""
        self._counters.renew(limits, self._now())

    async def correct(self, limits: Sequence[Limit], charged: Decision | None, units: Sequence[int]) -> None:
        """Add units to what was charged to windows; `charged` is the decision of `acquire`."""
        corrections = zip(limits, units, strict=True)
        self._counters.correct(corrections, self._now(), charged.charged_at if charged else 0)

    def settle(self, key: str, lease: str, amount: int, *, counts_always: bool = False) -> None:
        """Count what a lease of a budget used in the end: once, unless it `counts_always`."""
        budget = self._counters.budgets.setdefault(key, MemoryBudget())
        budget.settle(lease, amount, counts_always=counts_always)

    def budget(self, key: str) -> MemoryBudget:
        """The budget with that key."""
        return self._counters.budgets.get(key, MemoryBudget())

    async def close(self) -> None:
        """Drop all counters."""
        self._counters.clear()

    def _now(self) -> int:
        return round(self._clock.monotonic() * 1_000_000)
