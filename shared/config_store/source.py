"""The configuration as a proxy worker reads it from Redis."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis import RedisError
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from shared.config_store import layout
from shared.config_store.redis_records import parse_snapshot, read_call, touch_call
from shared.config_store.store import TIMEOUT, redis_trouble
from shared.model.config import Snapshot

# Seconds between two tries to subscribe: short beside the 2 s that a change may take, and different in
# each worker, so that a Redis that comes back does not get all at once.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 0.5

# Strangers choose names, and each unknown one is a question. All wait for one of so many connections, and for
# so many seconds: redis-py's own pool opens 100 and turns the rest away, the look for changes among them.
_MOST_CONNECTIONS, _PATIENCE = 8, 2.0


class RedisSource:
    """A `ConfigSource`. The client must give bytes. `jitter` gives numbers from 0 to 1."""

    def __init__(self, client: Redis, jitter: Callable[[], float] = random.random) -> None:
        self._client = client
        self._jitter = jitter
        self._read = client.register_script(layout.script("read"))
        self._touch = client.register_script(layout.script("touch"))

    async def tenant_of_subdomain(self, subdomain: str) -> str | None:
        return _first_word(await self._look_up(layout.SUBDOMAINS, subdomain))

    async def tenant_of_key(self, key_hash: str) -> str | None:
        return _first_word(await self._look_up(layout.HASHES, key_hash))

    async def read(self, tenant_id: str) -> Snapshot | None:
        call = read_call(tenant_id)
        with redis_trouble(tenant_id):
            reply = await self._read(call.keys, call.arguments)
        return parse_snapshot(tenant_id, reply)

    async def changes(self, since: int) -> tuple[int, Sequence[str]]:
        with redis_trouble():
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.get(layout.REVISION)
                pipeline.zrange(layout.CHANGES, f"({since}", "+inf", byscore=True)
                number, tenants = await pipeline.execute()
        return int(number or 0), [tenant_id.decode() for tenant_id in tenants]

    async def watch(self, changed: Callable[[str], None], reconnected: Callable[[], None]) -> None:
        while True:
            try:
                await self._listen(changed, reconnected)
            except RedisError:
                pause = _SHORTEST_PAUSE + self._jitter() * (_LONGEST_PAUSE - _SHORTEST_PAUSE)
                await asyncio.sleep(pause)

    async def touch(self, used: Mapping[tuple[str, str], float]) -> None:
        with redis_trouble():
            async with self._client.pipeline(transaction=False) as pipeline:
                for (tenant_id, key_id), when in used.items():
                    call = touch_call(tenant_id, key_id, when)
                    await self._touch(call.keys, call.arguments, client=pipeline)
                await pipeline.execute()

    async def close(self) -> None:
        await self._client.aclose()

    async def _look_up(self, key: str, field: str) -> Any:
        with redis_trouble():
            return await self._client.hget(key, field)

    async def _listen(self, changed: Callable[[str], None], reconnected: Callable[[], None]) -> None:
        """Hand on what is announced until the connection ends; then raises RedisError."""
        async with self._client.pubsub() as channel:
            await channel.subscribe(layout.CHANNEL)
            async for message in channel.listen():
                if message["type"] == "subscribe":
                    reconnected()
                else:
                    changed(message["data"].decode(errors="replace"))


def open_source(options: Mapping[str, Any]) -> RedisSource:
    """A source with a client of its own; `options` are keyword arguments of redis.asyncio.Redis."""
    timeouts = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    made = Redis(**{**options, **timeouts}, retry=Retry(NoBackoff(), 0)).connection_pool
    pool = BlockingConnectionPool(
        _MOST_CONNECTIONS, _PATIENCE, made.connection_class, **made.connection_kwargs
    )
    return RedisSource(Redis.from_pool(pool))


def _first_word(found: bytes | None) -> str | None:
    return None if found is None else found.decode(errors="replace").partition(" ")[0]
