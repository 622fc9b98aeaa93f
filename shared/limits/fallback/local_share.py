"""Limits without the store: each process counts its share by the same algorithm.

A share starts from what the store last said, so an outage is no free refill. Times are microseconds of a
clock that never goes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

from shared.limits.fallback.held_leases import HeldLeases
from shared.limits.fallback.last_usage import LastUsage
from shared.limits.sliding_window import BucketedWindow, window_state
from shared.limits.values import CONCURRENT, NEVER, OPEN, WINDOW, Decision, Limit, LimitState, Quota, decide


@dataclass(slots=True)
class _Share:
    """`used` is what counts; `unsynced` is the part admitted here that the store has not heard of."""

    limit: Limit
    used: BucketedWindow
    unsynced: BucketedWindow


class LocalShare:
    """The share of one process among `workers`: limit / workers, at least one request.

    At most `most` windows are counted; the one that was not used for the longest time goes first.
    """

    def __init__(self, workers: int, known: LastUsage, held: HeldLeases, most: int) -> None:
        self._workers = workers
        self._known = known
        self._held = held
        self._most = most
        self._shares: dict[str, _Share] = {}

    def __len__(self) -> int:
        return len(self._shares)

    def acquire(self, limits: Sequence[Limit], now: int) -> Decision:
        """Charge all windows that count locally, or none. Places are for the caller to take, in `held`."""
        decision = self.peek(limits, now)
        if not decision.allowed:
            return decision
        for limit in limits:
            if limit.kind == WINDOW and limit.on_error != OPEN:
                self._charge(limit, now)
        states = [self._state(limit, now, 1) for limit in limits]
        return Decision(True, states, degraded=True, charged_at=now)

    def peek(self, limits: Sequence[Limit], now: int) -> Decision:
        """What `acquire` would answer, charging nothing."""
        return decide([self._state(limit, now, 0) for limit in limits])._replace(degraded=True)

    def refund(self, limits: Sequence[Limit], now: int, charged_at: int) -> Sequence[Limit]:
        """Take back what was charged here. Returns the windows of which the store has heard meanwhile."""
        heard = []
        for limit in limits:
            share = self._shares.get(limit.key)
            if limit.kind == WINDOW and share is not None and share.unsynced.total(now) >= limit.cost:
                share.used.refund(now, limit.cost, charged_at)
                share.unsynced.refund(now, limit.cost, charged_at)
            elif limit.kind == WINDOW:
                heard.append(limit)
        return heard

    def unsynced(self, now: int) -> Sequence[Limit]:
        """What the store has to be charged with: each window once, its cost all that was admitted here."""
        totals = [(share.limit, share.unsynced.total(now)) for share in self._shares.values()]
        return [replace(limit, cost=total) for limit, total in totals if total]

    def mark_synced(self, paid: Limit, now: int) -> None:
        """The store has been charged with `paid`. What was admitted here since then is still owed."""
        share = self._shares.get(paid.key)
        if share is not None:
            share.unsynced.refund(now, paid.cost)
            if not share.unsynced.total(now):
                del self._shares[paid.key]

    def sweep(self, now: int, most: int) -> None:
        """Look at `most` shares, the longest not looked at first, and drop those that count nothing."""
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
        if len(self._shares) > self._most:
            del self._shares[next(iter(self._shares))]

    def _state(self, limit: Limit, now: int, own: int) -> LimitState:
        never = limit.units > limit.quota.limit
        if limit.on_error == OPEN:
            return LimitState(limit, limit.quota.limit, NEVER if never else 0)
        room = limit.quota.limit if never else max(limit.units, limit.quota.limit // self._workers)
        if limit.kind == CONCURRENT:
            left = room - self._held.count(limit.key, besides=limit.lease) - own
            return LimitState(limit, max(left, 0), NEVER if never else 0)
        shared = replace(limit, quota=Quota(room, limit.quota.window_ms))
        state = window_state(shared, self._share(limit).used, now)
        return LimitState(limit, state.remaining, state.reset_after_ms)

    def _share(self, limit: Limit) -> _Share:
        """The share of a window. A new one starts from what the store last said."""
        share = self._shares.get(limit.key)
        if share is None:
            window_ms = limit.quota.window_ms
            share = _Share(limit, BucketedWindow(window_ms), BucketedWindow(window_ms))
            used, heard = self._known.get(limit.key)
            if used:
                share.used.charge(heard, self._used_of_share(limit, used))
        return share

    def _used_of_share(self, limit: Limit, used: int) -> int:
        """What is gone of the share when `used` is gone of the whole: the rest is divided, rounded up."""
        room = max(limit.units, limit.quota.limit // self._workers)
        left = -(-max(limit.quota.limit - used, 0) // self._workers)
        return max(room - left, 0)
