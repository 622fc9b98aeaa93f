"""Tools for plugins that must have no effect: those of dry runs and of entries in shadow mode."""

from collections.abc import Callable, Sequence
from typing import NoReturn

from shared.core.errors import NotCalled
from shared.limits.distinct_values import DistinctValueTracker
from shared.limits.port import Limiter
from shared.limits.values import Decision, Limit
from shared.net.port import FetchRequest


class ReadOnlyLimiter:
    """Decides like another limiter, and charges nothing.

    `seen` gets each decision on a charge, with the states before the charge.
    """

    def __init__(self, limiter: Limiter, seen: Callable[[Decision], None] = lambda _: None) -> None:
        self._limiter = limiter
        self._seen = seen

    async def acquire(self, limits: Sequence[Limit]) -> Decision:
        """The decision on this request, with what would remain. The waits after a charge are unknown."""
        decision = await self._limiter.peek(limits)
        self._seen(decision)
        if not decision.allowed:
            return decision
        left = [state._replace(remaining=state.remaining - state.limit.units) for state in decision.states]
        return decision._replace(states=left)

    async def extend(self, limits: Sequence[Limit]) -> Decision:
        """As `acquire`."""
        return await self.acquire(limits)

    async def peek(self, limits: Sequence[Limit]) -> Decision:
        return await self._limiter.peek(limits)

    def end(self, limits: Sequence[Limit]) -> None:
        """Do nothing: nothing was acquired."""

    async def release(self, limits: Sequence[Limit]) -> None:
        """Do nothing: nothing was acquired."""

    renew = release

    async def correct(self, limits: Sequence[Limit], charged: Decision | None, units: Sequence[int]) -> None:
        """As `release`."""

    async def close(self) -> None:
        """Do nothing: the limiter belongs to its opener."""


class ReadOnlyTracker(DistinctValueTracker):
    """Knows the counters of another tracker, and adds none."""

    def __init__(self, known: DistinctValueTracker) -> None:
        super().__init__()
        self._known = known

    def has_counter(self, limit: str, value: str, now: float) -> bool:
        return self._known.has_counter(limit, value, now)

    def add(self, limit: str, value: str, lifetime: float, now: float) -> None:
        """Do nothing: nothing was counted."""


def not_called(request: FetchRequest, *, owner: str = "") -> NoReturn:
    """The `Fetch` of a dry run: raises `NotCalled`."""
    raise NotCalled(f"{request.method} {request.url.partition('?')[0]}")
