"""The limiter of a worker: Redis while it answers, a share of each limit while it does not."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from itertools import batched
from typing import Any, Protocol

from shared.core.clock import Clock
from shared.core.errors import StoreDown
from shared.core.single_flight import SingleFlight
from shared.limits.deny_cache import DenyCache
from shared.limits.fallback.held_leases import HeldLeases
from shared.limits.fallback.last_usage import LastUsage
from shared.limits.fallback.local_share import LocalShare
from shared.limits.fallback.outage import PROBE_EVERY, Outage
from shared.limits.redis.lease_keeper import LeaseKeeper
from shared.limits.redis.limiter import DEADLINE, RedisLimiter, open_redis_limiter
from shared.limits.values import CLOSED, Decision, Limit
from shared.redis_client.protocol import raise_store_down

# Entries that one slice of a sweep looks at, and windows that are charged at a time when Redis is back.
_SLICE = 256

_TEND, _SWEEP = "heartbeat of leases", "sweep of local limits"

logger = logging.getLogger(__name__)


class LimiterSettings(Protocol):
    """`settings.cache`, as far as it holds for limits. Times in seconds."""

    @property
    def cleanup_interval(self) -> float: ...

    @property
    def max_idle_time(self) -> float: ...

    @property
    def max_entries(self) -> int: ...


class GuardedLimiter:
    """A limiter that always decides. One event loop only; `start` begins its work in the background.

    It asks Redis once a request, not at all for who was refused a moment ago, and not while the breaker
    is open. `workers` is how many processes share the limits; `probe_every` seconds pass between two probes
    of a Redis that does not answer, and between two looks at leases and debts.
    """

    def __init__(
        self,
        remote: RedisLimiter,
        clock: Clock,
        settings: LimiterSettings,
        workers: int,
        probe_every: float = PROBE_EVERY,
    ) -> None:
        self._remote = remote
        self._clock = clock
        self._settings = settings
        self._tend_every = probe_every
        self._denied = DenyCache(settings.max_entries)
        self._known = LastUsage(settings.max_entries)
        self._held = HeldLeases()
        self._share = LocalShare(workers, self._known, self._held, settings.max_entries)
        self._leases = LeaseKeeper(remote, self._held, clock)
        self._flights = SingleFlight(self._failed)
        self._outage = Outage(remote.ping, self._recover, clock, self._flights, probe_every)

    @property
    def is_degraded(self) -> bool:
        """True while Redis is not asked, because it did not answer."""
        return self._outage.is_on

    def start(self) -> None:
        """Renew leases, settle debts and sweep from now on."""
        self._repeat(_TEND, self.tend, self._tend_every)
        self._repeat(_SWEEP, self.sweep, self._settings.cleanup_interval)

    async def acquire(self, limits: Sequence[Limit]) -> Decision:
        """Charge all the limits, or none. Raises `StoreDown` only for a limit that is ``closed``."""
        began = self._clock.monotonic()
        rejected = self._denied.find(limits, began)
        if rejected is not None:
            return rejected
        if self._outage.is_on:
            return self._acquire_alone(limits, StoreDown("Redis does not answer."))
        try:
            decision = await self._remote.acquire(limits)
        except asyncio.CancelledError:
            self._leases.abandon(limits)
            raise
        except StoreDown as error:
            # It may have given places all the same.
            self._leases.abandon(limits)
            self._outage.failed(error, began)
            return self._acquire_alone(limits, error)
        self._note_decision(limits, decision)
        return decision

    async def peek(self, limits: Sequence[Limit]) -> Decision:
        """What `acquire` would answer now. Raises `StoreDown` only for a limit that is ``closed``."""
        error, began = StoreDown("Redis does not answer."), self._clock.monotonic()
        if not self._outage.is_on:
            try:
                return await self._remote.peek(limits)
            except StoreDown as failure:
                self._outage.failed(failure, began)
                error = failure
        _refuse_closed(limits, error)
        return self._share.peek(limits, self._now())

    async def release(self, limits: Sequence[Limit]) -> None:
        """Give back the places in concurrent limits, later when Redis does not answer."""
        if self._outage.is_on:
            self._leases.abandon(limits)
        await self._outage.attempt(lambda: self._leases.release(limits))

    async def renew(self, limits: Sequence[Limit]) -> None:
        """Extend the leases in concurrent limits. Those of `acquire` are renewed without being asked."""
        self._leases.acquire(limits)
        await self._outage.attempt(lambda: self._remote.renew(limits))

    async def refund(self, limits: Sequence[Limit], charged: Decision | None = None) -> None:
        """Take back what `acquire` charged to windows; what Redis does not hear of stays charged."""
        self._denied.clear()
        at = charged.charged_at if charged else 0
        if charged is not None and charged.degraded:
            # Of what was pushed to Redis meanwhile, nobody knows the bucket.
            limits, charged = self._share.refund(limits, self._now(), at), None
        if limits:
            await self._outage.attempt(lambda: self._remote.refund(limits, charged))

    async def close(self) -> None:
        """End the work in the background, and the connection."""
        await self._flights.close()
        await self._remote.close()

    async def tend(self) -> None:
        """Renew leases that are due, and tell Redis what it has not heard. Raises nothing."""
        for work in (self._leases.renew_due, self._leases.flush, self._push):
            await self._outage.attempt(work)

    async def sweep(self) -> None:
        """Drop what is over or was not used for `max_idle_time`, in small slices."""
        now, before = self._now(), self._now() - round(self._settings.max_idle_time * 1e6)
        for _ in range(-(-len(self._share) // _SLICE)):
            self._share.sweep(now, _SLICE)
            await asyncio.sleep(0)
        while self._known.sweep(before, _SLICE) or self._denied.sweep(self._clock.monotonic(), _SLICE):
            await asyncio.sleep(0)

    def _acquire_alone(self, limits: Sequence[Limit], error: StoreDown) -> Decision:
        _refuse_closed(limits, error)
        decision = self._share.acquire(limits, self._now())
        if decision.allowed:
            self._leases.acquire(limits, known=False)
        return decision

    def _note_decision(self, limits: Sequence[Limit], decision: Decision) -> None:
        self._outage.record_success()
        self._known.record(decision.states, self._now())
        if decision.allowed:
            self._leases.acquire(limits)
        else:
            self._denied.put(decision, self._clock.monotonic())

    async def _recover(self) -> None:
        """Tell Redis what it missed; only then it is trusted again. Raises `StoreDown`."""
        await self._push()
        await self._leases.renew_all()
        await self._leases.flush()

    async def _push(self) -> None:
        """Charge Redis with what was admitted without it. Raises `StoreDown` when it does not answer."""
        for some in batched(self._share.unsynced(self._now()), _SLICE):
            paid = await asyncio.gather(
                *(self._remote.charge([unsynced]) for unsynced in some), return_exceptions=True
            )
            for unsynced, states in zip(some, paid, strict=True):
                if not isinstance(states, BaseException):
                    self._known.record(states, self._now())
                    self._share.mark_synced(unsynced, self._now())
            raise_store_down(paid)

    def _repeat(self, name: str, work: Callable[[], Coroutine[Any, Any, None]], pause: float) -> None:
        self._flights.join(("repeat", name), lambda: self._flights.repeat(name, work, pause))

    def _now(self) -> int:
        return round(self._clock.monotonic() * 1_000_000)

    def _failed(self, name: Hashable, error: BaseException) -> None:
        logger.error("The %s failed: %s", name, error, exc_info=error)


def _refuse_closed(limits: Sequence[Limit], error: StoreDown) -> None:
    if any(limit.on_error == CLOSED for limit in limits):
        raise error


def open_limiter(
    options: Mapping[str, Any],
    clock: Clock,
    settings: LimiterSettings,
    workers: int,
    deadline: float = DEADLINE,
) -> GuardedLimiter:
    """A limiter with a connection of its own; `options` are the keyword arguments of redis.Redis."""
    return GuardedLimiter(open_redis_limiter(options, deadline), clock, settings, workers)
