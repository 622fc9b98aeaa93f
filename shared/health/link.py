"""The connection of a worker to what all workers know of targets and keys. Nothing waits for it."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from redis.asyncio import Redis

from shared.core.clock import Clock
from shared.core.errors import StoreDown
from shared.health.layout import (
    HEALTH_CHANNEL,
    NOTE,
    Beat,
    Note,
    StoredHealth,
    hash_key,
    look_key,
    note_of,
    note_of_beats,
)
from shared.health.report import Report
from shared.health.states import PoolStates
from shared.redis_client.channel import listen_on
from shared.redis_client.open import AnyConnection, open_connection
from shared.redis_client.primary import open_async

logger = logging.getLogger(__name__)

#: Seconds that a call may take. Reports that could not be sent by then are lost.
DEADLINE: Final = 1.0
# Calls without a reply; more are not made. News of the same thing follow soon.
_MAX_UNDER_WAY: Final = 1_000
# One look per key and so many seconds shows whether a failure is everybody's.
_LOOK_MS: Final = 10_000


class HealthLink:
    """Tells and reads the health of targets and keys. One event loop only.

    Attributes:
        worker: the name of this worker, to know its own messages by.
        lost: the calls that were not made, or failed.
    """

    def __init__(self, connection: AnyConnection, listener: Redis, worker: str) -> None:
        """`listener` is the client of the subscription; it must return bytes."""
        self.worker = worker
        self.lost = 0
        self._connection = connection
        self._listener = listener
        self._under_way = 0
        self._is_down = self._is_closed = False

    def tell(self, report: Report) -> None:
        """Tell all workers in a moment, and store it for those that start later."""
        self._run(note_of(report, self.worker))

    def beat(self, beats: Mapping[str, Iterable[Beat]], now: float) -> None:
        """Store the figures of this worker, by the owners of the targets."""
        for owner, of_owner in beats.items():
            self._run(note_of_beats(owner, of_owner, now))

    async def claim(self, provider: str, key: str) -> bool:
        """Whether this worker shall look if a failure is everybody's. False while Redis is away."""
        name = look_key(provider, key)
        try:
            return bool(await self._connection.call("SET", name, self.worker, "NX", "PX", _LOOK_MS))
        except StoreDown:
            return False

    async def read(self, owners: Iterable[str]) -> list[Report]:
        """Read the stored health of targets and keys of tenants and providers; empty while Redis is away."""
        named = list(owners)
        calls = [self._connection.call("HGETALL", hash_key(owner)) for owner in named]
        replies: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
        found: list[Report] = []
        for owner, reply in zip(named, replies, strict=True):
            if not isinstance(reply, BaseException):
                found.extend(StoredHealth.parse(owner, reply).reports)
            elif not isinstance(reply, StoreDown):
                raise reply
        return found

    async def learn(self, owners: Iterable[str], states: PoolStates, clock: Clock) -> None:
        """Bring what is stored of the targets and keys of tenants and providers into `states`."""
        for report in await self.read(owners):
            states.learn(report, clock.now())

    async def listen(self, heard: Callable[[bytes], None]) -> None:
        """Call `heard` with each message of any process, this one too, until canceled."""
        await listen_on(self._listener, HEALTH_CHANNEL, heard)

    async def close(self) -> None:
        """Close the connections. Calls that are under way may be lost."""
        self._is_closed = True
        await self._listener.aclose()
        await self._connection.close()

    def _run(self, note: Note) -> None:
        if self._under_way >= _MAX_UNDER_WAY:
            self._lose("too many are under way")
            return
        self._under_way += 1
        self._connection.run(NOTE, note.keys, note.arguments).add_done_callback(self._ended)

    def _ended(self, reply: "asyncio.Future[Any]") -> None:
        self._under_way -= 1
        error = None if reply.cancelled() else reply.exception()
        if self._is_closed:
            return
        if error is not None:
            self._lose(str(error))
        elif self._is_down and not self._under_way:  # none is left that was sent before
            self._is_down = False
            logger.info("Other workers hear of targets that fail again; %d messages were lost.", self.lost)

    def _lose(self, why: str) -> None:
        self.lost += 1
        if not self._is_down:
            self._is_down = True
            logger.warning("Other workers do not hear of targets that fail: %s", why)


def open_link(options: Mapping[str, Any], worker: str) -> HealthLink:
    """A link with its own connections; `options` are keyword arguments of redis.Redis."""
    listener = open_async(options, socket_connect_timeout=DEADLINE)
    return HealthLink(open_connection(options, [NOTE], DEADLINE), listener, worker)
