"""Refusals that need no second question: who was just refused is refused again, for a moment.

Times are seconds of a clock that never goes back.
"""

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from shared.limits.values import CONCURRENT, NEVER, Decision, Limit, LimitState, decide

#: Seconds for which a refusal is repeated at most. So long the news of a refund elsewhere may take.
LONGEST = 0.2


class _Rejection(NamedTuple):
    since: float
    until: float
    states: Sequence[LimitState]


class DenyCache:
    """At most `most` refusals, the oldest first. Each holds for the same limits with the same numbers."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._refusals: dict[tuple[str, ...], _Rejection] = {}

    def __len__(self) -> int:
        return len(self._refusals)

    def put(self, decision: Decision, now: float) -> None:
        """Remember a refusal until there is room again, unless that may be at any moment."""
        wait = decision.retry_after_ms / 1000 if decision.retry_after_ms != NEVER else LONGEST
        full = [state.limit for state in decision.states if not state.has_room]
        if any(limit.kind == CONCURRENT for limit in full):
            return
        key = tuple([state.limit.key for state in decision.states])
        self._refusals.pop(key, None)
        self._refusals[key] = _Rejection(now, now + min(wait, LONGEST), decision.states)
        if len(self._refusals) > self._most:
            del self._refusals[next(iter(self._refusals))]

    def find(self, limits: Sequence[Limit], now: float) -> Decision | None:
        """The refusal that holds for these limits, with the waits as they are now."""
        if not self._refusals:
            return None
        rejection = self._refusals.get(tuple([limit.key for limit in limits]))
        if rejection is None or not rejection.since <= now < rejection.until:
            return None
        pairs = list(zip(limits, rejection.states, strict=True))
        if any(_numbers(limit) != _numbers(state.limit) for limit, state in pairs):
            return None
        elapsed = int((now - rejection.since) * 1000)
        return decide([_aged(limit, state, elapsed) for limit, state in pairs])

    def clear(self) -> None:
        """Forget everything: there may be room again."""
        self._refusals.clear()

    def sweep(self, now: float, most: int) -> bool:
        """Drop what is over among the `most` oldest. False when there was nothing to drop."""
        over = [key for key, rejection in islice(self._refusals.items(), most) if rejection.until <= now]
        for key in over:
            del self._refusals[key]
        return bool(over)


def _numbers(limit: Limit) -> tuple[int, int]:
    return limit.quota.limit, limit.units


def _aged(limit: Limit, state: LimitState, elapsed_ms: int) -> LimitState:
    wait = state.reset_after_ms
    return LimitState(limit, state.remaining, wait if wait == NEVER else max(wait - elapsed_ms, 0))
