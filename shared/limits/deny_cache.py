"""Rejections that are repeated for a moment without a call to Redis.

Times are seconds of a clock that never goes back.
"""

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from shared.limits.values import CONCURRENT, NEVER, Decision, Limit, LimitState, decide

#: The longest time, in seconds, that a rejection is repeated. A correction takes effect after it.
MAX_SECONDS = 0.2


class _Rejection(NamedTuple):
    since: float
    until: float
    states: Sequence[LimitState]


class DenyCache:
    """At most `max_entries` rejections, the oldest first. Each holds for equal limits, quotas and costs."""

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        #: Empty as long as nobody was rejected, as is usual.
        self.rejections: dict[tuple[str, ...], _Rejection] = {}

    def __len__(self) -> int:
        return len(self.rejections)

    def put(self, decision: Decision, now: float) -> None:
        """Repeat a rejection until there is room. A concurrent limit can have room at any time."""
        wait = decision.retry_after_ms / 1000 if decision.retry_after_ms != NEVER else MAX_SECONDS
        full = [state.limit for state in decision.states if not state.has_room]
        if any(limit.kind == CONCURRENT for limit in full):
            return
        key = tuple([state.limit.key for state in decision.states])
        self.rejections.pop(key, None)
        self.rejections[key] = _Rejection(now, now + min(wait, MAX_SECONDS), decision.states)
        if len(self.rejections) > self._max_entries:
            del self.rejections[next(iter(self.rejections))]

    def find(self, limits: Sequence[Limit], now: float) -> Decision | None:
        """The rejection that still holds for these limits, with the waits that are left."""
        if not self.rejections:
            return None
        rejection = self.rejections.get(tuple([limit.key for limit in limits]))
        if rejection is None or not rejection.since <= now < rejection.until:
            return None
        pairs = list(zip(limits, rejection.states, strict=True))
        if any(_numbers(limit) != _numbers(state.limit) for limit, state in pairs):
            return None
        elapsed = int((now - rejection.since) * 1000)
        return decide([_aged(limit, state, elapsed) for limit, state in pairs])

    def sweep(self, now: float, most: int) -> bool:
        """Drop the ended ones among the `most` oldest rejections. False when there was none."""
        over = [key for key, rejection in islice(self.rejections.items(), most) if rejection.until <= now]
        for key in over:
            del self.rejections[key]
        return bool(over)


def _numbers(limit: Limit) -> tuple[int, int]:
    return limit.quota.limit, limit.units


def _aged(limit: Limit, state: LimitState, elapsed_ms: int) -> LimitState:
    wait = state.reset_after_ms
    return LimitState(limit, state.remaining, wait if wait == NEVER else max(wait - elapsed_ms, 0))
