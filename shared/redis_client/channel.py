"""A channel of Redis on which processes tell each other news. A message may get lost."""

import asyncio
import random
from collections.abc import Callable
from typing import Final, NoReturn

from redis import RedisError
from redis.asyncio import Redis

# Seconds between two attempts to subscribe: short, because news may take 2 s to arrive, and different in each
# worker, so that not all workers connect to a restarted Redis at once.
_MIN_PAUSE: Final = 0.1
_MAX_PAUSE: Final = 0.5
# Seconds without a message after which the connection is looked at.
_LOOK: Final = 1.0


async def listen_on(
    client: Redis,
    channel: str,
    received: Callable[[bytes], None],
    subscribed: Callable[[], None] = lambda: None,
    jitter: Callable[[], float] = random.random,
) -> NoReturn:
    """Call `received` with each message, until canceled. A lost connection is replaced.

    `subscribed` is called when messages arrive from then on. The client must return bytes and have no timeout
    for reads, or one that subscriptions ignore. `jitter` returns numbers from 0 to 1.
    """
    while True:
        try:
            async with client.pubsub() as subscription:
                await subscription.subscribe(channel)
                while True:
                    # Each call looks whether the connection is still to the right server.
                    message = await subscription.get_message(timeout=_LOOK)
                    if message is None:
                        continue
                    if message["type"] == "subscribe":
                        subscribed()
                    else:
                        received(message["data"])
        except RedisError:
            pass
        await asyncio.sleep(_MIN_PAUSE + jitter() * (_MAX_PAUSE - _MIN_PAUSE))
