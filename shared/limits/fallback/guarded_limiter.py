"""The limiter of a worker: Redis while it responds, a share of each limit while it does not."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from functools import partial
from itertools import batched
from typing import Any

from shared.core.clock import Clock
from shared.core.errors import StoreDown
from shared.core.process.failures import Failures
from shared.core.single_flight import SingleFlight
from shared.limits.deny_cache import DenyCache
from shared.limits.fallback.last_usage import LastUsage
from shared.limits.fallback.local_share import LocalShare
from shared.limits.fallback.node_breakers import Node, NodeBreakers
from shared.limits.port import LimitUnknown
from shared.limits.redis.lease_keeper import Concerns, LeaseKeeper
from shared.limits.redis.limiter import WORKERS_KEY, RedisLimiter, acquired, charged_at
from shared.limits.retry_queues import Turn
from shared.limits.values import BUDGET, CLOSED, CONCURRENT, OPEN, Decision, Limit
from shared.redis_client.cluster import ClusterConnection
from shared.redis_client.protocol import ErrorReply, LateReply, raise_store_down

#: Seconds between two probes of a Redis that does not respond.
PROBE_EVERY = 0.5

# Seconds between two counts of the workers: as long as their number stays, and after it has changed.
_COUNT_EVERY, _COUNT_AGAIN = 5.0, 2.0
# Entries that one slice of a sweep looks at, and windows that are charged at a time when Redis is back.
_SLICE = 256

_TEND, _SWEEP, _PROBE = "heartbeat of leases", "sweep of local limits", "probe of Redis"
_UNDO = "correction of a late charge"

logger = logging.getLogger(__name__)


class GuardedLimiter:
    """A limiter that always decides. One event loop only; `start` begins its work in the background.

    It calls Redis once per request: not for a client that was rejected a moment ago, and not while the
    circuit breaker is open. After an outage Redis is charged with what was admitted meanwhile.
    """

    def __init__(
        self,
        remote: RedisLimiter,
        clock: Clock,
        *,
        workers: int,
        cleanup_interval: float,
        max_idle_time: float,
        max_entries: int,
        last_count: int = 0,
        name: str = "",
        probe_every: float = PROBE_EVERY,
        cluster: ClusterConnection | None = None,
    ) -> None:
        """`workers` processes of this machine share the limits, and those of other machines.

        `last_count` is the number of all of them that was counted last, and `name` is that of this one, to be
        counted with. All times are in seconds. In a `cluster`, each node has a breaker.
        """
        self._remote = remote
        self._name = name
        self._own_workers = workers
        self._position = 0
        self._count_from = 0.0
        self._is_uncounted = False
        self._clock = clock
        self._cleanup_interval = cleanup_interval
        self._max_idle_time = max_idle_time
        self._probe_every = probe_every
        self._denied = DenyCache(max_entries)
        self._known = LastUsage(max_entries)
        self._leases = LeaseKeeper(remote, clock)
        self._share = LocalShare(max(workers, last_count), self._known, self._leases.count, max_entries)
        self._flights = SingleFlight(_log_failure)
        self._breakers = NodeBreakers(cluster)
        # That of all keys without a Cluster: a request looks at it without a call.
        self._breaker = None if cluster else self._breakers.of_node(None)
        self._failures = Failures()
        # The time of the last reply: by the clock of Redis in microseconds, and by ours.
        self._redis_time = 0, 0.0

    def redis_time(self) -> float:
        """The time of Redis in seconds since the Unix epoch; before its first reply, that of this machine."""
        at, replied = self._redis_time
        return at / 1_000_000 + self._clock.monotonic() - replied if at else self._clock.now()

    @property
    def workers(self) -> int:
        """The number of workers of all machines, as it was counted last."""
        return self._share.workers

    @property
    def turn(self) -> Turn:
        """The position of this worker among the workers of all machines, as they were counted last."""
        return Turn(self._position, self._share.workers)

    @property
    def is_alone(self) -> bool:
        """Whether Redis does not respond, or takes no counts."""
        return self._breakers.any_is_open or self._is_uncounted

    def start(self) -> None:
        """Renew leases, charge Redis with local counts, and sweep from now on."""
        self._flights.repeat(_TEND, self.tend, self._probe_every)
        self._flights.repeat(_SWEEP, self.sweep, self._cleanup_interval)

    async def acquire(self, limits: Sequence[Limit], *, is_more: bool = False) -> Decision:
        """Charge all the limits, or none. With `is_more` it is what `extend` does.

        Raises `LimitUnknown` for a limit that is ``closed``, and a budget whose share is spent.
        """
        may_be_denied = self._denied.rejections and not is_more
        rejected = self._denied.find(limits, self._clock.monotonic()) if may_be_denied else None
        if rejected is not None:
            return rejected
        # Redis may have charged the limits although it did not respond.
        failed = _keep if is_more else self._leases.abandon
        breaker = self._breaker or self._breakers.of(limits)
        if breaker.is_open:
            return self._acquire_alone(limits, StoreDown("Redis does not respond."))
        began = self._clock.monotonic()
        try:
            decision = acquired(limits, await self._remote.ask(limits))
        except asyncio.CancelledError:
            failed(limits)
            raise
        except StoreDown as error:
            failed(limits)
            self._record_failure(error, began, self._breakers.node_of(limits))
            # An open lease is not counted here.
            self._undo_late([limit for limit in limits if limit.on_error != OPEN], error)
            return self._acquire_alone(limits, error)
        breaker.record_success()
        replied = self._clock.monotonic()
        self._redis_time = decision.charged_at or decision.decided_at, replied
        self._known.record(decision.states, round(replied * 1_000_000))
        if decision.allowed:
            self._leases.acquire(limits)
        else:
            self._denied.put(decision, self._clock.monotonic())
        return decision

    def extend(self, limits: Sequence[Limit]) -> Coroutine[Any, Any, Decision]:
        """Reserve more in budgets. Raises as `acquire` does; what was reserved before stays."""
        return self.acquire(limits, is_more=True)

    async def peek(self, limits: Sequence[Limit]) -> Decision:
        """The decision of `acquire` now, without a charge. Raises as `acquire` does."""
        error, began = StoreDown("Redis does not respond."), self._clock.monotonic()
        node = self._breakers.node_of(limits)
        if not self._breakers.of_node(node).is_open:
            try:
                return await self._remote.peek(limits)
            except StoreDown as failure:
                self._record_failure(failure, began, node)
                error = failure
        _raise_if_closed(limits, error)
        return self._share.peek(limits, self._now())

    def end(self, limits: Sequence[Limit]) -> None:
        """Renew the leases of these limits no longer."""
        self._share.end(limits)
        self._leases.end(limits)

    async def release(self, limits: Sequence[Limit]) -> None:
        """Free the slots in concurrent limits, later when Redis does not respond. Renew no lease longer."""
        self.end(limits)
        slots = [limit for limit in limits if limit.kind == CONCURRENT]
        if not slots:
            return
        node = self._breakers.node_of(slots)
        if self._breakers.of_node(node).is_open:
            self._leases.abandon(slots)
        await self._attempt(lambda: self._leases.release(slots), node)

    async def renew(self, limits: Sequence[Limit]) -> None:
        """Extend leases. Those of `acquire` are renewed in the background."""
        self._leases.acquire(limits)
        await self._attempt(lambda: self._remote.renew(limits), self._breakers.node_of(limits))

    async def correct(self, limits: Sequence[Limit], charged: Decision | None, units: Sequence[int]) -> None:
        """Add units to what `acquire` charged to windows. A correction that does not reach Redis is lost."""
        if charged is not None and charged.degraded:
            # Charges that were pushed to Redis meanwhile are in an unknown bucket.
            pairs = zip(limits, units, strict=True)
            synced = self._share.correct(pairs, self._now(), charged.charged_at)
            limits, units, charged = [limit for limit, _ in synced], [more for _, more in synced], None
        if limits:
            node = self._breakers.node_of(limits)
            await self._attempt(lambda: self._remote.correct(limits, charged, units), node)

    async def close(self) -> None:
        """End the work in the background, give back what is left, and end the connection."""
        await self._flights.close()
        for node in self._breakers.nodes:
            await self._attempt(partial(self._leases.flush, self._breakers.concerns(node)), node)
        if self._name:
            await self._attempt(lambda: self._remote.leave(self._name), None)
        await self._remote.close()

    async def tend(self) -> None:
        """Renew leases that are due, repeat what did not reach Redis, and count workers. Raises nothing."""
        for node in self._breakers.nodes:
            concerns = self._breakers.concerns(node)
            for work in (self._leases.renew_due, self._leases.flush, self._push):
                await self._attempt(partial(work, concerns), node)
        await self._attempt(self._count, self._breakers.node_of_key(WORKERS_KEY))

    async def sweep(self) -> None:
        """Drop what has ended or was not used for `max_idle_time`, in small slices."""
        now, before = self._now(), self._now() - round(self._max_idle_time * 1e6)
        for _ in range(-(-len(self._share) // _SLICE)):
            self._share.sweep(now, _SLICE)
            await asyncio.sleep(0)
        while self._known.sweep(before, _SLICE) or self._denied.sweep(self._clock.monotonic(), _SLICE):
            await asyncio.sleep(0)

    def _acquire_alone(self, limits: Sequence[Limit], error: StoreDown) -> Decision:
        _raise_if_closed(limits, error)
        decision = self._share.acquire(limits, self._now())
        if decision.allowed:
            self._leases.acquire(limits, known=False)
        elif decision.violated and decision.violated.kind == BUDGET:
            # Whether the budget is spent is not known.
            raise LimitUnknown(decision.violated, error)
        return decision

    async def _attempt(self, work: Callable[[], Awaitable[None]], node: Node) -> None:
        """Do work that can be done later; none while the node's breaker is open. Raises no `StoreDown`."""
        if not self._breakers.of_node(node).is_open:
            await self._do(work, node)

    async def _do(self, work: Callable[[], Awaitable[None]], node: Node) -> None:
        began = self._clock.monotonic()
        try:
            await work()
        except StoreDown as error:
            self._record_failure(error, began, node)

    def _undo_late(self, limits: Sequence[Limit], error: BaseException, *, forced: bool = False) -> None:
        """Take back what Redis charges to windows in a late reply: what is admitted is pushed."""

        def undo(reply: Sequence[Any]) -> None:
            if at := charged_at(reply, forced=forced):
                charged, units = Decision(True, (), charged_at=at), [-limit.cost for limit in limits]
                work = partial(self._remote.correct, limits, charged, units)
                # Redis responds, though its breaker may still be open.
                self._flights.join((_UNDO, error), lambda: self._do(work, self._breakers.node_of(limits)))

        if isinstance(error, LateReply):
            error.on_reply = undo

    def _record_failure(self, error: StoreDown, began: float, node: Node) -> None:
        """Count a failed call that began at `began`. An error reply about one command does not count."""
        if isinstance(error, ErrorReply):
            if self._failures.is_new(error):
                logger.warning("%s Its limits were counted in this process.", error)
        elif self._breakers.of_node(node).record_failure(began, self._clock.monotonic()):
            logger.warning("%s Limits are counted in this process until Redis responds.", error)
            self._flights.join((_PROBE, node), partial(self._probe_until_reply, node))

    async def _probe_until_reply(self, node: Node) -> None:
        breaker = self._breakers.of_node(node)
        while breaker.is_open:
            await asyncio.sleep(self._probe_every)
            if self._breakers.is_gone(node):  # others have its keys
                self._breakers.forget(node)
                return
            began = self._clock.monotonic()
            try:
                await (self._remote.ping() if node is None else self._remote.ping_node(node))
                breaker.record_success()
                if breaker.may_close:
                    await self._recover(self._breakers.concerns(node))
                    breaker.close()
                    logger.info("Redis responds again. Limits are counted there.")
            except StoreDown:
                breaker.record_failure(began, self._clock.monotonic())

    async def _recover(self, concerns: Concerns) -> None:
        """Bring Redis up to date before it decides again. Raises `StoreDown`."""
        await self._push(concerns)
        await self._leases.renew_all(concerns)
        await self._leases.flush(concerns)

    async def _count(self) -> None:
        """Count the workers of all machines from time to time. An outage needs their number."""
        now = self._clock.monotonic()
        if not self._name or now < self._count_from:
            return
        self._count_from = now + _COUNT_AGAIN
        try:
            self._position, counted = await self._remote.count_workers(self._name)
        except StoreDown:
            self._is_uncounted = True
            raise
        before, self._share.workers = self._share.workers, max(self._own_workers, counted)
        if self._share.workers == before:
            self._count_from = now + _COUNT_EVERY
        self._is_uncounted = False

    async def _push(self, concerns: Concerns) -> None:
        """Charge Redis with what was admitted without it. Raises `StoreDown` when it does not respond."""
        missing = [one for one in self._share.unsynced(self._now()) if concerns(one.key)]
        for some in batched(missing, _SLICE):
            replies = await asyncio.gather(
                *(self._remote.charge([unsynced]) for unsynced in some), return_exceptions=True
            )
            for unsynced, states in zip(some, replies, strict=True):
                if not isinstance(states, BaseException):
                    self._known.record(states, self._now())
                    self._share.mark_synced(unsynced, self._now())
                else:
                    self._undo_late([unsynced], states, forced=True)
            raise_store_down(replies)

    def _now(self) -> int:
        return round(self._clock.monotonic() * 1_000_000)


def _log_failure(name: Hashable, error: BaseException) -> None:
    logger.error("The %s failed: %s", name, error, exc_info=error)


def _keep(_: Sequence[Limit]) -> None:
    """Do nothing: a request goes on with what it has."""


def _raise_if_closed(limits: Sequence[Limit], error: StoreDown) -> None:
    for limit in limits:
        if limit.on_error == CLOSED:
            raise LimitUnknown(limit, error)
