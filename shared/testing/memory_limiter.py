"""The limiter in one process: for tests, and as the reference for the limiter in Redis."""

from collections.abc import Sequence

from shared.core.clock import Clock
from shared.limits.values import Decision, Limit
from shared.testing.counters import Counters

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

    async def peek(self, limits: Sequence[Limit]) -> Decision:
        """The decision of `acquire` now, without a charge; the states are those before a charge."""
        return self._counters.peek(limits, self._now())

    async def release(self, limits: Sequence[Limit]) -> None:
        """Release the slots in concurrent limits."""
        self._counters.release(limits)

    async def renew(self, limits: Sequence[Limit]) -> None:
        """Extend the leases in concurrent limits, or acquire them again."""
        self._counters.renew(limits, self._now())

    async def refund(self, limits: Sequence[Limit], charged: Decision | None = None) -> None:
        """Remove what was charged to windows; `charged` is the decision of `acquire`."""
        self._counters.refund(limits, self._now(), charged.charged_at if charged else 0)

    async def close(self) -> None:
        """Drop all counters."""
        self._counters.clear()

    def _now(self) -> int:
        return round(self._clock.monotonic() * 1_000_000)
