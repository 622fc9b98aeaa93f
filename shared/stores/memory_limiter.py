"""The limiter in one process: for tests, and the form that the Redis one is compared with."""

from collections.abc import Sequence

from shared.core.bucketed_window import BucketedWindow
from shared.core.limits import NEVER, Decision, Limit, LimitState, decide
from shared.core.ports import Clock

# Below this number of counters a sweep is not worth its time.
_SWEEP_FROM = 1024


class MemoryLimiter:
    """Counts in this process only. The keys of one call must differ from each other."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counters: dict[str, BucketedWindow] = {}
        self._sweep_at = _SWEEP_FROM

    async def acquire(self, limits: Sequence[Limit]) -> Decision:
        """Charge all the limits, or none of them when one has no room."""
        now = self._now()
        decision = decide(self._states(limits, now))
        if not decision.allowed:
            return decision
        for limit in limits:
            if limit.key not in self._counters:
                self._sweep(now)
            window = self._counters.setdefault(limit.key, BucketedWindow(limit.quota.window_ms))
            window.charge(now, limit.cost)
        return Decision(True, self._states(limits, now))

    async def peek(self, limits: Sequence[Limit]) -> Decision:
        """What `acquire` would answer now, charging nothing; the states are those before a charge."""
        return decide(self._states(limits, self._now()))

    async def close(self) -> None:
        """Forget everything."""
        self._counters.clear()

    def _now(self) -> int:
        return round(self._clock.monotonic() * 1_000_000)

    def _states(self, limits: Sequence[Limit], now: int) -> list[LimitState]:
        return [self._state(limit, now) for limit in limits]

    def _state(self, limit: Limit, now: int) -> LimitState:
        window = self._counters.get(limit.key) or BucketedWindow(limit.quota.window_ms)
        used = window.total(now)
        lacking = used + limit.cost - limit.quota.limit
        wait = NEVER if limit.cost > limit.quota.limit else window.wait_ms(now, max(lacking, 1))
        return LimitState(limit, max(limit.quota.limit - used, 0), wait)

    def _sweep(self, now: int) -> None:
        """Drop idle counters, each time that their number has doubled."""
        if len(self._counters) >= self._sweep_at:
            self._counters = {key: window for key, window in self._counters.items() if window.total(now)}
            self._sweep_at = max(_SWEEP_FROM, 2 * len(self._counters))
