"""The port of all limiters."""

from collections.abc import Sequence
from typing import Protocol

from shared.limits.values import Decision, Limit


class Limiter(Protocol):
    """Counts requests against limits. Asynchronous; the clock is that of Redis.

    The keys of one call differ from each other, and those of one request share a hash tag.
    """

    async def acquire(self, limits: Sequence[Limit]) -> Decision:
        """Charge all the limits, or none of them when one has no room. One round trip.

        When Redis does not respond in time, `on_error` of each limit decides. If one is ``closed``,
        `errors.StoreDown` is raised; otherwise `Decision.degraded` is True.
        """
        ...

    async def peek(self, limits: Sequence[Limit]) -> Decision:
        """The decision of `acquire` now, without a charge; the states are those before a charge."""
        ...

    async def release(self, limits: Sequence[Limit]) -> None:
        """Free the slots in concurrent limits; other limits are ignored.

        Never raises `errors.StoreDown`: a release that failed is repeated in the background.
        """
        ...

    async def renew(self, limits: Sequence[Limit]) -> None:
        """Extend the leases in concurrent limits, or acquire them again; other limits are ignored.

        Leases from `acquire` are renewed in the background. Never raises `errors.StoreDown`.
        """
        ...

    async def refund(self, limits: Sequence[Limit], charged: Decision | None = None) -> None:
        """Remove what `acquire` charged to windows; concurrent limits are ignored.

        `charged` is its decision and names the bucket. Without it the oldest buckets are reduced, never
        below zero. Never raises `errors.StoreDown`: a refund that failed stays charged for the window.
        """
        ...

    async def close(self) -> None: ...
