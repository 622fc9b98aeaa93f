"""The configuration cache on a real Redis: news at once, and service through its death and return."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from shared.config_store.cache.gateways import GatewayCache
from shared.config_store.source import open_source
from shared.config_store.store import RedisStore, open_store
from shared.core.errors import StoreDown
from shared.model.config import ApiKey, Snapshot
from tests.config_store.configurations import ACTOR, StillClock, a_tenant
from tests.support.valkey_server import valkey


@dataclass(frozen=True)
class Compiled:
    snapshot: Snapshot

    @property
    def keys(self) -> Mapping[str, ApiKey]:
        return {key.hash: key for key in self.snapshot.keys}


Found = Compiled | None


async def until(find: Callable[[], Awaitable[Found]], right: Callable[[Found], bool]) -> None:
    async with asyncio.timeout(10):
        while not right(await find()):
            await asyncio.sleep(0.005)


def knobs(config_ttl: float) -> dict[str, Any]:
    return {"config_ttl": config_ttl, "cleanup_interval": 60, "max_idle_time": 3600, "max_entries": 100}


def create(store: RedisStore, name: str) -> Snapshot:
    written = store.write(None, a_tenant(name), actor=ACTOR)
    assert written is not None
    return written


def test_a_revoked_key_is_refused_as_soon_as_the_news_comes(tmp_path: Path) -> None:
    async def body(socket: str) -> None:
        store, source = _store({"unix_socket_path": socket}), open_source({"unix_socket_path": socket})
        # So long a time between two looks that only the push can bring the news.
        cache = GatewayCache(source, Compiled, StillClock(), **knobs(config_ttl=3600))
        await cache.start()
        acme = create(store, "acme")
        await until(lambda: cache.find("acme", None), lambda found: found is not None)
        store.write(acme, replace(acme, keys=()), actor=ACTOR)
        await until(lambda: cache.find("acme", None), lambda found: found is not None and not found.keys)
        await cache.close()
        await source.close()
        store.close()

    with valkey(tmp_path) as socket:
        asyncio.run(body(socket))


def test_a_redis_that_died_is_not_missed_and_its_successor_is_followed(tmp_path: Path) -> None:
    async def body() -> None:
        options = {"unix_socket_path": str(tmp_path / "valkey.sock")}
        store, source = _store(options), open_source(options)
        clock = StillClock()
        cache = GatewayCache(source, Compiled, clock, **knobs(config_ttl=0.01))
        with valkey(tmp_path):
            await cache.start()
            create(store, "acme")
            await until(lambda: cache.find("acme", None), lambda found: found is not None)
        async with asyncio.timeout(10):
            while cache.trouble is None:
                await asyncio.sleep(0.005)
        assert await cache.find("acme", "pepper:acme") is not None
        with pytest.raises(StoreDown):
            await cache.find("other", None)
        clock.time += 10
        with valkey(tmp_path):
            create(store, "other")
            await until(lambda: cache.find("other", None), lambda found: found is not None)
            # The successor is empty but for what was just written: what it does not know is gone.
            await until(lambda: cache.find("acme", None), lambda found: found is None)
        await cache.close()
        await source.close()
        store.close()

    asyncio.run(body())


def _store(options: Mapping[str, str]) -> RedisStore:
    return open_store(options, quarantine=60)
