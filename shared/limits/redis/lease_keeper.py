"""Keeps the leases of this process alive, and sees to it that given-back places are given back."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import batched

from shared.core.clock import Clock
from shared.core.errors import StoreDown
from shared.limits.fallback.held_leases import HeldLeases
from shared.limits.redis.limiter import RedisLimiter
from shared.limits.values import CONCURRENT, Limit
from shared.redis_client.protocol import CommandRefused, raise_store_down

# Leases that one command renews or gives back.
_BATCH = 500
# A lease is renewed each time that this part of it has passed: it survives one renewal that gets lost.
_PART = 1 / 3


class LeaseKeeper:
    """The leases that this process holds in Redis. Times are seconds of `clock.monotonic`."""

    def __init__(self, remote: RedisLimiter, held: HeldLeases, clock: Clock) -> None:
        self._remote = remote
        self._held = held
        self._clock = clock
        self._due: dict[str, float] = {}
        self._unreleased: dict[tuple[str, str], tuple[float, Limit]] = {}

    def acquire(self, limits: Sequence[Limit], *, known: bool = True) -> None:
        """Renew these leases from now on until they are released; at once those that Redis may not know."""
        slots = [limit for limit in limits if limit.kind == CONCURRENT]
        if not slots:
            return
        self._held.acquire(slots)
        now = self._clock.monotonic()
        for limit in slots:
            self._unreleased.pop((limit.key, limit.lease), None)
            due = self._due.get(limit.key, now + _length(limit) * _PART)
            self._due[limit.key] = due if known else now

    async def release(self, limits: Sequence[Limit]) -> None:
        """Give back places; by `flush` when Redis does not answer, for which it raises `StoreDown`."""
        self._held.release(limits)
        try:
            await self._remote.release(limits)
        except (StoreDown, asyncio.CancelledError):
            self.abandon(limits)
            raise

    def abandon(self, limits: Sequence[Limit]) -> None:
        """Renew no more. Places that Redis may have given are given back by `flush`."""
        self._held.release(limits)
        now = self._clock.monotonic()
        for limit in limits:
            if limit.kind == CONCURRENT:
                self._unreleased[limit.key, limit.lease] = (now + _length(limit), limit)
        self._forget_ended(now)

    async def flush(self) -> None:
        """Give back what was abandoned. Raises `StoreDown`."""
        self._forget_ended(self._clock.monotonic())
        for some in batched(list(self._unreleased.items()), _BATCH):
            await self._remote.release([limit for _, (_, limit) in some])
            for name, _ in some:
                self._unreleased.pop(name, None)

    async def renew_due(self) -> None:
        """Renew what has run for a third of its length. Raises `StoreDown` when Redis does not answer."""
        now = self._clock.monotonic()
        await self._renew({key: held for key, held in self._held.by_key.items() if self._due[key] <= now})
        self._due = {key: due for key, due in self._due.items() if key in self._held.by_key}

    async def renew_all(self) -> None:
        """Renew everything: Redis may have lost it. Raises `StoreDown` when it does not answer."""
        await self._renew(dict(self._held.by_key))

    def _forget_ended(self, now: float) -> None:
        """A place whose lease has ended is free anyway."""
        while self._unreleased:
            name = next(iter(self._unreleased))
            if self._unreleased[name][0] > now:
                return
            del self._unreleased[name]

    async def _renew(self, wanted: Mapping[str, Mapping[str, Limit]]) -> None:
        limits = [list(leases.values()) for leases in wanted.values()]
        results = await asyncio.gather(*map(self._remote.renew, limits), return_exceptions=True)
        for key, leases, result in zip(wanted, limits, results, strict=True):
            # What Redis refuses once it refuses again; it is asked at the usual time.
            if result is None or isinstance(result, CommandRefused):
                self._due[key] = self._clock.monotonic() + _length(leases[0]) * _PART
        raise_store_down(results)


def _length(limit: Limit) -> float:
    return limit.quota.window_ms / 1000
