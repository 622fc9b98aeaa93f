"""How limits are counted, whatever counts them."""

from collections.abc import Sequence
from typing import Protocol

from shared.limits.values import Decision, Limit


class Limiter(Protocol):
    """Counts requests against limits. Asynchronous; the clock is the store's.

    The keys of one call differ from each other, and those of one request share a hash tag.
    """

    async def acquire(self, limits: Sequence[Limit]) -> Decision:
        """Charge all the limits, or none of them when one has no room. One round trip.

        When the store does not answer in time, each limit's `on_error` decides: raises
        `errors.StoreDown` if one is ``closed``; otherwise `Decision.degraded` is True.
        """
        ...

    async def peek(self, limits: Sequence[Limit]) -> Decision:
        """What `acquire` would answer now, charging nothing; the states are those before a charge."""
        ...

    async def release(self, limits: Sequence[Limit]) -> None:
        """Give back the places in concurrent limits; others are ignored.

        Never raises `errors.StoreDown`: what the store did not hear is said again in the background.
        """
        ...

    async def renew(self, limits: Sequence[Limit]) -> None:
        """Extend the leases in concurrent limits, or take them again if they ran out; others are ignored.

        Leases that `acquire` took are renewed in the background. Never raises `errors.StoreDown`.
        """
        ...

    async def refund(self, limits: Sequence[Limit], charged: Decision | None = None) -> None:
        """Take back what `acquire` charged to windows; concurrent limits are ignored.

        `charged` is what it answered: it says which bucket to take from. Without it the oldest is taken,
        which gives the room back at once but the rest of the window later. Never below nothing. Never
        raises `errors.StoreDown`: of what the store did not hear, the window's end takes care.
        """
        ...

    async def close(self) -> None: ...
