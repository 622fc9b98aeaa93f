"""The port of all limiters."""

from collections.abc import Sequence
from typing import Protocol

from shared.core.errors import StoreDown, make_rejection
from shared.limits.values import BUDGET, Decision, Limit


class LimitUnknown(StoreDown):
    """A limit that must be counted cannot be: it is ``closed``, or a budget of which no more is known.

    `rejection` is that of the request.
    """

    def __init__(self, limit: Limit, cause: StoreDown) -> None:
        super().__init__(str(cause), cause.detail)
        subject = "budget" if limit.kind == BUDGET else f"{limit.scope} limit"
        self.rejection = make_rejection(
            "limits_unavailable",
            f"The {subject} '{limit.name}' cannot be counted now, and admits no request until it can. "
            "Retry the request.",
        )


class Limiter(Protocol):
    """Counts requests against limits. Asynchronous; the clock is that of Redis.

    The keys of one call differ from each other, and those of one request share a hash tag.
    """

    async def acquire(self, limits: Sequence[Limit]) -> Decision:
        """Charge all the limits, or none of them when one has no room. One round trip.

        What it reserves in budgets holds until the row of the request is settled, or its lease ends. Leases
        are renewed in the background until `end` or `release`. The row of a request whose decision is
        `degraded` has to be `is_unreserved`.

        When Redis does not respond in time, `on_error` of each limit decides. If one is ``closed``,
        `LimitUnknown` is raised; otherwise `Decision.degraded` is True.
        """
        ...

    async def extend(self, limits: Sequence[Limit]) -> Decision:
        """Reserve more in budgets under leases that `acquire` gave, in all of them or in none.

        When Redis does not respond, `on_error` decides as in `acquire`.
        """
        ...

    async def peek(self, limits: Sequence[Limit]) -> Decision:
        """The decision of `acquire` now, without a charge; the states are those before a charge."""
        ...

    def end(self, limits: Sequence[Limit]) -> None:
        """Renew the leases of budgets no longer: their requests are over. It waits for nothing."""
        ...

    async def release(self, limits: Sequence[Limit]) -> None:
        """Free the slots in concurrent limits, and renew the leases of budgets no longer.

        What a request used is settled with its row of the ledger; one without a row by `Settler.release`.
        Never raises `errors.StoreDown`: a release that failed is repeated in the background.
        """
        ...

    async def renew(self, limits: Sequence[Limit]) -> None:
        """Extend the leases in concurrent limits, or acquire them again, and those of budgets.

        Leases from `acquire` are renewed in the background. Never raises `errors.StoreDown`.
        """
        ...

    async def correct(self, limits: Sequence[Limit], charged: Decision | None, units: Sequence[int]) -> None:
        """Add `units`, one number per limit, to what `acquire` charged to windows; others are ignored.

        A negative number removes units, never below zero. `charged` is the decision and names the bucket.
        Without it the oldest buckets are reduced, and the newest grows. Never raises `errors.StoreDown`: a
        correction that failed leaves what was charged.
        """
        ...

    async def close(self) -> None: ...
