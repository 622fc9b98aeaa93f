"""Limits while Redis does not respond: each process counts its share with the same algorithm.

A share starts from the usage that Redis last returned, so an outage does not refill a limit. Times are
microseconds of a monotonic clock.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from shared.limits.fallback.budget_share import BudgetShare
from shared.limits.fallback.last_usage import LastUsage
from shared.limits.sliding_window import BucketedWindow, window_state
from shared.limits.values import (
    BUDGET,
    CONCURRENT,
    NEVER,
    OPEN,
    WINDOW,
    Decision,
    Limit,
    LimitState,
    Quota,
    decide,
)


@dataclass(slots=True)
class _Share:
    """`used` is the usage that counts; `unsynced` is its part that Redis was not charged with."""

    limit: Limit
    used: BucketedWindow
    unsynced: BucketedWindow


class LocalShare:
    """The share of one process among `workers`: limit / workers, at least one request.

    `workers` are those of all machines, and may be set at any time. At most `max_entries` windows are
    counted; the least recently used is dropped first. `held_slots` returns the number of slots that this
    process holds under a key, without those of a lease. Budgets have shares of their own: `BudgetShare`.
    """

    def __init__(
        self, workers: int, known: LastUsage, held_slots: Callable[[str, str], int], max_entries: int
    ) -> None:
        self.workers = workers
        self._known = known
        self._held_slots = held_slots
        self._max_entries = max_entries
        self._shares: dict[str, _Share] = {}
        self._budgets = BudgetShare(known, max_entries)

    def __len__(self) -> int:
        return len(self._shares)

    def acquire(self, limits: Sequence[Limit], now: int) -> Decision:
        """Charge all windows and budgets that count locally, or none. The caller acquires the slots."""
        decision = self.peek(limits, now)
        if not decision.allowed:
            shares = {limit.key: self._shares.get(limit.key) for limit in limits}
            charged = {key: share.used.charged(now) for key, share in shares.items() if share is not None}
            return decision._replace(charged=charged, decided_at=now)
        for limit in limits:
            if limit.kind == BUDGET:
                self._budgets.reserve(limit)
            elif limit.kind == WINDOW and limit.on_error != OPEN:
                self._charge(limit, now)
        states = [self._state(limit, now, 1) for limit in limits]
        return Decision(True, states, degraded=True, charged_at=now)

    def peek(self, limits: Sequence[Limit], now: int) -> Decision:
        """The decision of `acquire` now, without a charge."""
        return decide([self._state(limit, now, 0) for limit in limits])._replace(degraded=True)

    def correct(
        self, corrections: Iterable[tuple[Limit, int]], now: int, charged_at: int
    ) -> list[tuple[Limit, int]]:
        """Add units to what was charged here. Returns those that Redis was charged with meanwhile."""
        synced = []
        for limit, units in corrections:
            share = self._shares.get(limit.key)
            if limit.kind != WINDOW or limit.on_error == OPEN:
                continue
            if share is not None and share.unsynced.total(now) >= limit.cost:
                share.used.correct(now, units, charged_at)
                share.unsynced.correct(now, units, charged_at)
            else:
                synced.append((limit, units))
        return synced

    def unsynced(self, now: int) -> Sequence[Limit]:
        """The charges that Redis lacks: each window once, with all that was admitted here as its cost.

        And what each request that goes on has reserved in each budget.
        """
        totals = [(share.limit, share.unsynced.total(now)) for share in self._shares.values()]
        return [replace(limit, cost=total) for limit, total in totals if total] + [*self._budgets.unsynced()]

    def end(self, limits: Sequence[Limit]) -> None:
        """Forget what requests have reserved that are over."""
        self._budgets.end(limits)

    def mark_synced(self, charged: Limit, now: int) -> None:
        """Note that Redis was charged with `charged`. Those admitted here since then stay unsynced."""
        if charged.kind == BUDGET:
            self._budgets.mark_synced(charged)
        share = self._shares.get(charged.key)
        if share is not None:
            share.unsynced.refund(now, charged.cost)
            if not share.unsynced.total(now):
                del self._shares[charged.key]

    def sweep(self, now: int, most: int) -> None:
        """Check `most` shares, the longest unchecked first, and drop those that count nothing."""
        for key in list(islice(self._shares, most)):
            share = self._shares.pop(key)
            if share.used.total(now):
                self._shares[key] = share

    def _charge(self, limit: Limit, now: int) -> None:
        share = self._share(limit)
        share.limit = limit
        share.used.charge(now, limit.cost)
        share.unsynced.charge(now, limit.cost)
        self._shares.pop(limit.key, None)
        self._shares[limit.key] = share
        if len(self._shares) > self._max_entries:
            del self._shares[next(iter(self._shares))]

    def _state(self, limit: Limit, now: int, own: int) -> LimitState:
        if limit.kind == BUDGET:
            return self._budgets.state(limit, self.workers)
        never = limit.units > limit.quota.limit
        if limit.on_error == OPEN:
            return LimitState(limit, limit.quota.limit, NEVER if never else 0)
        room = limit.quota.limit if never else max(limit.units, limit.quota.limit // self.workers)
        if limit.kind == CONCURRENT:
            left = room - self._held_slots(limit.key, limit.lease) - own
            return LimitState(limit, max(left, 0), NEVER if never else 0)
        shared = replace(limit, quota=Quota(room, limit.quota.window_ms))
        state = window_state(shared, self._share(limit).used, now)
        return LimitState(limit, state.remaining, state.reset_after_ms)

    def _share(self, limit: Limit) -> _Share:
        """The share of a window. A new one starts from the usage that Redis last returned."""
        share = self._shares.get(limit.key)
        if share is None:
            window_ms = limit.quota.window_ms
            share = _Share(limit, BucketedWindow(window_ms), BucketedWindow(window_ms))
            used, at = self._known.get(limit.key)
            if used:
                share.used.charge(at, self._used_of_share(limit, used))
        return share

    def _used_of_share(self, limit: Limit, used: int) -> int:
        """The used part of the share when `used` of the limit is used: the rest is divided, rounded up."""
        room = max(limit.units, limit.quota.limit // self.workers)
        left = -(-max(limit.quota.limit - used, 0) // self.workers)
        return max(room - left, 0)
