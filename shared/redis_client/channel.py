"""A channel of Redis on which workers tell each other news. A message may get lost; nobody waits for one."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from redis import RedisError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

logger = logging.getLogger(__name__)

# Messages that wait to be sent; later ones are dropped. News of the same thing follow soon.
_MAX_WAITING: Final = 1_000
# Seconds between two attempts to connect, different in each worker.
_MIN_PAUSE, _MAX_PAUSE = 0.1, 0.5
_TIMEOUT: Final = 1.0


class Channel:
    """Sends and receives the messages of one channel. One event loop only."""

    def __init__(self, client: Redis, name: str, jitter: Callable[[], float] = random.random) -> None:
        """The client must return bytes. `jitter` returns numbers from 0 to 1."""
        self._client = client
        self._jitter = jitter
        self._name = name
        self._waiting: asyncio.Queue[bytes] = asyncio.Queue(_MAX_WAITING)

    def send(self, message: bytes) -> None:
        """Send a message to all who listen, this process too, in a moment."""
        if not self._waiting.full():
            self._waiting.put_nowait(message)

    async def run(self, received: Callable[[bytes], None]) -> None:
        """Send what waits, and call `received` with each message, until canceled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_all())
            group.create_task(self._listen_on(received))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _send_all(self) -> None:
        while True:
            message = await self._waiting.get()
            try:
                await self._client.publish(self._name, message)
            except RedisError as error:
                logger.debug("A message on %s was lost: %s", self._name, error)

    async def _listen_on(self, received: Callable[[bytes], None]) -> None:
        while True:
            try:
                await self._listen(received)
            except RedisError:
                await asyncio.sleep(_MIN_PAUSE + self._jitter() * (_MAX_PAUSE - _MIN_PAUSE))

    async def _listen(self, received: Callable[[bytes], None]) -> None:
        """Call back for each message until the connection ends, which raises RedisError."""
        async with self._client.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(self._name)
            while True:
                found = await pubsub.get_message(timeout=None)
                if found is not None:
                    received(found["data"])


def open_channel(options: Mapping[str, Any], name: str) -> Channel:
    """A channel with its own client; `options` are keyword arguments of redis.asyncio.Redis."""
    timeouts = {"socket_connect_timeout": _TIMEOUT}
    return Channel(Redis(**{**options, **timeouts}, retry=Retry(NoBackoff(), 0)), name)
