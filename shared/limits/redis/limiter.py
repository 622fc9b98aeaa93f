"""The limiter in Redis: one call of a script for all limits of a request."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import batched
from pathlib import Path
from typing import Any, Final

from shared.core.memo import BoundedDict
from shared.limits.retry_queues import Turn
from shared.limits.values import (
    BUDGET,
    CONCURRENT,
    WINDOW,
    Decision,
    Limit,
    LimitState,
    budget_keys,
    decide,
)
from shared.redis_client.cluster import ClusterConnection
from shared.redis_client.endpoint import Command
from shared.redis_client.open import AnyConnection, open_connection
from shared.redis_client.protocol import Packed, raise_store_down
from shared.redis_client.script import Script
from shared.redis_client.slots import Address

#: Seconds that a call may take, so that requests do not wait for a Redis that hangs.
DEADLINE = 0.05


def server_time() -> int:
    """The time for which the scripts use the clock of the server."""
    return 0


# Modes of the script: charge nothing, charge when all limits have room, charge in any case.
_PEEK, _ACQUIRE, _FORCE = range(3)

_NOT_PACKED: Final[tuple[Sequence[Limit] | None, Packed]] = (None, Packed(b""))
# Each has some hundred bytes, and its limits.
_MAX_PACKED: Final = 4096

# Whether all limits have room, the time, the states, and after a rejection the charges of the windows.
_Reply = tuple[bool, int, Sequence[LimitState], Mapping[str, Mapping[int, int]]]

_FOLDER = Path(__file__).parent
#: The scripts of the limiter.
LIMITER, RENEW, CORRECT = (
    Script.of(_FOLDER / "counter.lua", _FOLDER / name) for name in ("limiter.lua", "renew.lua", "correct.lua")
)
#: The function of Lua that settles a lease of a budget, to be put before a script that does so.
SETTLE_LEASE: Final = _FOLDER / "budget.lua"
#: The script that settles leases of a budget with nothing.
CANCEL = Script.of(SETTLE_LEASE, _FOLDER / "cancel.lua")
#: The script that counts workers.
WORKERS = Script.of(_FOLDER / "workers.lua")

#: The workers of all machines by the time of their last sign of life.
WORKERS_KEY = "wrk:alive"
# Seconds for which a worker counts.
_ALIVE_SECONDS = 15
# Workers among which each has a position of its own. Among more, where all names would have to be compared,
# each position is about as frequent.
_MAX_POSITIONS = 64


class RedisLimiter:
    """Counts in Redis, with the clock of Redis, for all workers together.

    Every method raises `StoreDown` when Redis does not respond in time, and its subclass `ErrorReply`
    when the reply is an error. The keys of one call must differ from each other and, on a Cluster,
    share a hash tag. `now` injects the time, in microseconds, for tests.
    """

    def __init__(self, connection: AnyConnection, *, now: Callable[[], int] = server_time) -> None:
        self._connection = connection
        self._now = now
        # The newest command for limits of which the first and the last have these keys.
        self._packed: BoundedDict[tuple[str, str], tuple[Sequence[Limit], Packed]] = BoundedDict(_MAX_PACKED)

    async def acquire(self, limits: Sequence[Limit]) -> Decision:
        """Charge all the limits, or none of them when one has no room. One round trip."""
        return acquired(limits, await self.ask(limits))

    # A lease that holds something holds more then.
    extend = acquire

    async def peek(self, limits: Sequence[Limit]) -> Decision:
        """The decision of `acquire` now, without a charge; the states are those before a charge."""
        return decide(_read(limits, await self._call(limits, _PEEK))[2])

    async def charge(self, limits: Sequence[Limit]) -> Sequence[LimitState]:
        """Charge all the limits, whether there is room or not."""
        return _read(limits, await self._call(limits, _FORCE))[2]

    def ask(self, limits: Sequence[Limit]) -> asyncio.Future[Any]:
        """The future reply for `acquired`. A tuple is packed once if requests share it."""
        if type(limits) is not tuple or not limits or self._now is not server_time:
            return self._call(limits, _ACQUIRE)
        key = limits[0].key, limits[-1].key
        kept, packed = self._packed.get(key, _NOT_PACKED)
        if kept is not limits:
            packed = self._connection.pack(*self._command(limits, _ACQUIRE))
            self._packed.keep(key, (limits, packed))
        return self._connection.send_packed(packed)

    def end(self, limits: Sequence[Limit]) -> None:
        """Do nothing: leases are not renewed here."""

    async def release(self, limits: Sequence[Limit]) -> None:
        """Free the slots in concurrent limits. A key that Redis rejects has none."""
        slots = [limit for limit in limits if limit.kind == CONCURRENT]
        replies = (self._connection.call("ZREM", limit.key, limit.lease) for limit in slots)
        raise_store_down(await asyncio.gather(*replies, return_exceptions=True))

    async def cancel(self, limits: Sequence[Limit]) -> None:
        """Settle the leases of budgets with nothing, as far as they are not settled. One call per key."""
        leases: dict[str, list[str]] = {}
        for limit in limits:
            if limit.kind == BUDGET:
                leases.setdefault(limit.key, []).append(limit.lease)
        replies = (self._connection.run(CANCEL, budget_keys(key), names) for key, names in leases.items())
        raise_store_down(await asyncio.gather(*replies, return_exceptions=True))

    async def renew(self, limits: Sequence[Limit]) -> None:
        """Extend leases: those in concurrent limits also again, those of budgets if Redis knows them.

        One call per key.
        """
        leases: dict[tuple[str, str, int], list[str]] = {}
        for limit in limits:
            if limit.kind != WINDOW:
                key = limit.key if limit.kind == CONCURRENT else budget_keys(limit.key)[1]
                leases.setdefault((key, limit.kind, limit.quota.window_ms), []).append(limit.lease)
        await asyncio.gather(
            *(
                self._connection.run(RENEW, [key], [self._now(), kind, window_ms * 1000, *names])
                for (key, kind, window_ms), names in leases.items()
            )
        )

    async def correct(self, limits: Sequence[Limit], charged: Decision | None, units: Sequence[int]) -> None:
        """Add units to what was charged to windows; `charged` is the decision of `acquire`."""
        at = charged.charged_at if charged else 0
        windows = [pair for pair in zip(limits, units, strict=True) if pair[0].kind == WINDOW and pair[1]]
        if not at:
            added = [replace(limit, cost=more) for limit, more in windows if more > 0]
            windows = [(limit, less) for limit, less in windows if less < 0]
            if added:
                await self.charge(added)
        if windows:
            arguments = [number for limit, more in windows for number in (limit.quota.window_ms * 1000, more)]
            await self._connection.run(
                CORRECT, [limit.key for limit, _ in windows], [self._now(), at, *arguments]
            )

    async def count_workers(self, name: str) -> Turn:
        """Note that the worker of that name lives. Returns its position among the workers of all machines."""
        return Turn(
            *await self._connection.run(WORKERS, [WORKERS_KEY], [name, _ALIVE_SECONDS, _MAX_POSITIONS])
        )

    async def leave(self, name: str) -> None:
        """Note that the worker of that name ends."""
        await self._connection.call("ZREM", WORKERS_KEY, name)

    @property
    def cluster(self) -> ClusterConnection | None:
        """The connection, if it is to a Cluster, whose nodes fail one by one."""
        return self._connection if isinstance(self._connection, ClusterConnection) else None

    async def ping(self) -> None:
        """Return when Redis responds."""
        await self._connection.call("PING")

    async def ping_node(self, node: Address) -> None:
        """Return when that node of the Cluster responds."""
        if self.cluster is not None:
            await self.cluster.ping(node)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    def _call(self, limits: Sequence[Limit], charge: int) -> asyncio.Future[Any]:
        """The future reply of the script."""
        return self._connection.call(*self._command(limits, charge))

    def _command(self, limits: Sequence[Limit], charge: int) -> Command:
        keys: list[str] = []
        arguments: list[str | int] = [self._now(), charge]
        for limit in limits:
            quota = limit.quota
            if limit.kind == BUDGET:
                keys += budget_keys(limit.key)
                own: tuple[str | int, ...] = limit.lease, limit.cost, limit.resets_at
            else:
                keys.append(limit.key)
                own = (limit.lease if limit.kind == CONCURRENT else limit.cost,)
            arguments += (limit.kind, quota.limit, quota.window_ms * 1000, *own)
        return LIMITER.command(keys, arguments)


def acquired(limits: Sequence[Limit], reply: Sequence[Any]) -> Decision:
    """The decision of `RedisLimiter.acquire` in a reply."""
    if reply[0]:
        states = [*map(LimitState._make, zip(limits, reply[2::2], reply[3::2], strict=True))]
        return Decision(True, states, None, 0, False, reply[1])
    _, now, read, charged = _read(limits, reply)
    return decide(read)._replace(charged=charged, decided_at=now)


def charged_at(reply: Sequence[Any], *, forced: bool) -> int:
    """The time of the charge in a reply of the script, 0 without one. One that is `forced` always charges."""
    allowed, now = reply[:2]
    return now if allowed or forced else 0


def _read(limits: Sequence[Limit], reply: Sequence[Any]) -> _Reply:
    allowed, now, *figures = reply
    ends = 2 * len(limits)
    pairs = zip(limits, figures[:ends:2], figures[1:ends:2], strict=True)
    states = [LimitState(limit, left, reset) for limit, left, reset in pairs]
    charges = zip(limits, figures[ends:], strict=False)
    charged = {limit.key: dict(batched(one, 2)) for limit, one in charges if one}
    return bool(allowed), now, states, charged


def open_redis_limiter(
    options: Mapping[str, Any], deadline: float = DEADLINE, now: Callable[[], int] = server_time
) -> RedisLimiter:
    """A limiter with its own connection; `options` are keyword arguments of redis.Redis."""
    scripts = (LIMITER, RENEW, CORRECT, CANCEL, WORKERS)
    return RedisLimiter(open_connection(options, scripts, deadline), now=now)
