"""Keeps the leases of this process alive in Redis, and releases their slots in the end.

The reservation of a request in budgets is settled with its row of the ledger, unless it was never admitted.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from itertools import batched

from shared.core.clock import Clock
from shared.core.errors import StoreDown
from shared.limits.redis.limiter import RedisLimiter
from shared.limits.values import BUDGET, CONCURRENT, WINDOW, Limit
from shared.redis_client.protocol import ErrorReply, raise_store_down

# Leases that one command renews or releases.
_BATCH = 500
# A lease is renewed after this part of its length, so it survives one renewal that is lost.
_RENEW_AFTER = 1 / 3


#: Whether a key is one of those to be looked at: for example those of one node of a Cluster.
Concerns = Callable[[str], bool]


def any_key(_: str) -> bool:
    """True."""
    return True


class LeaseKeeper:
    """The leases that this process holds. Times are seconds of `clock.monotonic`."""

    def __init__(self, remote: RedisLimiter, clock: Clock) -> None:
        self._remote = remote
        self._clock = clock
        self._held: dict[str, dict[str, Limit]] = {}  # key -> lease -> the limit that it was acquired for
        self._due: dict[str, float] = {}
        self._unreleased: dict[tuple[str, str], tuple[float, Limit]] = {}
        self._uncanceled: dict[tuple[str, str], Limit] = {}
        # Leases of budgets that this process gave alone. Redis may have given them, too, or may do so later.
        self._unknown: set[tuple[str, str]] = set()

    def count(self, key: str, besides: str) -> int:
        """The number of slots of a limit that this process holds, without that of the lease `besides`."""
        leases = self._held.get(key, {})
        return len(leases) - (besides in leases)

    def acquire(self, limits: Sequence[Limit], *, known: bool = True) -> None:
        """Renew leases until their release; at once if Redis may not know them.

        Such a lease of a budget is canceled in the end: the row of its request counts all the same.
        """
        leased = [limit for limit in limits if limit.kind != WINDOW]
        if not leased:
            return
        now = self._clock.monotonic()
        for limit in leased:
            if not known and limit.kind == BUDGET and limit.lease not in self._held.get(limit.key, {}):
                self._unknown.add((limit.key, limit.lease))
            self._held.setdefault(limit.key, {})[limit.lease] = limit
            if self._unreleased:
                self._unreleased.pop((limit.key, limit.lease), None)
            if self._uncanceled:
                self._uncanceled.pop((limit.key, limit.lease), None)
            if not known:
                self._due[limit.key] = now
            elif limit.key not in self._due:
                self._due[limit.key] = now + _length(limit) * _RENEW_AFTER

    async def release(self, limits: Sequence[Limit]) -> None:
        """Release slots. When Redis does not respond, `flush` does it later, and `StoreDown` is raised."""
        self.end(limits)
        try:
            await self._remote.release(limits)
        except (StoreDown, asyncio.CancelledError):
            self.abandon([limit for limit in limits if limit.kind == CONCURRENT])
            raise

    def end(self, limits: Sequence[Limit]) -> None:
        """Renew these leases no longer."""
        for limit in limits:
            leases = self._held.get(limit.key)
            if leases is not None:
                leases.pop(limit.lease, None)
                if not leases:
                    del self._held[limit.key]
            if (limit.key, limit.lease) in self._unknown:
                self._unknown.remove((limit.key, limit.lease))
                self._uncanceled[limit.key, limit.lease] = limit

    def abandon(self, limits: Sequence[Limit]) -> None:
        """Renew these leases no longer. `flush` gives back what Redis may have given, also in budgets."""
        self.end(limits)
        now = self._clock.monotonic()
        for limit in limits:
            if limit.kind == CONCURRENT:
                self._unreleased[limit.key, limit.lease] = (now + _length(limit), limit)
            elif limit.kind == BUDGET:
                self._uncanceled[limit.key, limit.lease] = limit
        self._drop_ended(now)

    async def flush(self, concerns: Concerns = any_key) -> None:
        """Give back what abandoned leases hold. Raises `StoreDown`."""
        self._drop_ended(self._clock.monotonic())
        waiting = [one for one in self._unreleased.items() if concerns(one[0][0])]
        for some in batched(waiting, _BATCH):
            await self._remote.release([limit for _, (_, limit) in some])
            for name, _ in some:
                self._unreleased.pop(name, None)
        for few in batched([one for key, one in self._uncanceled.items() if concerns(key[0])], _BATCH):
            await self._remote.cancel(few)
            for limit in few:
                self._uncanceled.pop((limit.key, limit.lease), None)

    async def renew_due(self, concerns: Concerns = any_key) -> None:
        """Renew the leases that are due. Raises `StoreDown` when Redis does not respond."""
        now = self._clock.monotonic()
        due = (key for key in self._held if self._due[key] <= now)
        await self._renew({key: self._held[key] for key in due if concerns(key)})
        self._due = {key: due for key, due in self._due.items() if key in self._held}

    async def renew_all(self, concerns: Concerns = any_key) -> None:
        """Renew all leases: Redis may have lost them. Raises `StoreDown` when it does not respond."""
        await self._renew({key: leases for key, leases in self._held.items() if concerns(key)})

    def _drop_ended(self, now: float) -> None:
        """A slot whose lease has ended is free without a release."""
        while self._unreleased:
            name = next(iter(self._unreleased))
            if self._unreleased[name][0] > now:
                return
            del self._unreleased[name]

    async def _renew(self, wanted: Mapping[str, Mapping[str, Limit]]) -> None:
        limits = [list(leases.values()) for leases in wanted.values()]
        results = await asyncio.gather(*map(self._remote.renew, limits), return_exceptions=True)
        for key, leases, result in zip(wanted, limits, results, strict=True):
            # A command that Redis rejects once fails again, so it is repeated at the usual time.
            if result is None or isinstance(result, ErrorReply):
                self._due[key] = self._clock.monotonic() + _length(leases[0]) * _RENEW_AFTER
        raise_store_down(results)


def _length(limit: Limit) -> float:
    return limit.quota.window_ms / 1000
