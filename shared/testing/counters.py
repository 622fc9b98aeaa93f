"""The counters of many limits in this process: the Lua script in Python.

Times are whole microseconds.
"""

from collections.abc import Sequence
from itertools import islice

from shared.limits.sliding_window import BucketedWindow, window_state
from shared.limits.values import CONCURRENT, NEVER, WINDOW, Decision, Limit, LimitState, decide
from shared.testing.leases import Leases


class Counters:
    """Counters by the keys of their limits. The keys of one call differ from each other."""

    def __init__(self) -> None:
        self._windows: dict[str, BucketedWindow] = {}
        self._leases: dict[str, Leases] = {}

    def __len__(self) -> int:
        return len(self._windows) + len(self._leases)

    def __contains__(self, key: str) -> bool:
        return key in self._windows or key in self._leases

    def acquire(self, limits: Sequence[Limit], now: int) -> Decision:
        """Charge all the limits, or none of them when one has no room."""
        decision = self.peek(limits, now)
        if not decision.allowed:
            return decision
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
        self.renew(limits, now)

    def renew(self, limits: Sequence[Limit], now: int) -> None:
        """Acquire slots for all leases, also again, whether there is room or not."""
        for limit in limits:
            if limit.kind == CONCURRENT:
                leases = self._leases.setdefault(limit.key, Leases(limit.quota.window_ms))
                leases.acquire(now, limit.lease)

    def release(self, limits: Sequence[Limit]) -> None:
        """Release the slots of the leases."""
        for limit in limits:
            if limit.kind == CONCURRENT and limit.key in self._leases:
                self._leases[limit.key].release(limit.lease)

    def refund(self, limits: Sequence[Limit], now: int, charged_at: int = 0) -> None:
        """Remove what was charged to windows at `charged_at`; when that is 0, from the oldest buckets."""
        for limit in limits:
            if limit.kind == WINDOW and limit.key in self._windows:
                self._windows[limit.key].refund(now, limit.cost, charged_at)

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

    def _state(self, limit: Limit, now: int, own: int) -> LimitState:
        """The state of a limit; `own` is the number of slots that this request has just acquired."""
        if limit.kind == CONCURRENT:
            room = limit.quota.limit
            leases = self._leases.get(limit.key) or Leases(limit.quota.window_ms)
            left = room - leases.taken(now, besides=limit.lease) - own
            return LimitState(limit, max(left, 0), 0 if limit.units <= room else NEVER)
        return window_state(limit, self._windows.get(limit.key) or BucketedWindow(limit.quota.window_ms), now)
