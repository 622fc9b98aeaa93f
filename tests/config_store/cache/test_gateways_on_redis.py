"""The configuration cache on a real Redis: news at once, and service through its death and return."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from shared.config_store import layout
from shared.config_store.cache.gateways import GatewayCache
from shared.config_store.history.edit import Edit
from shared.config_store.source import open_source
from shared.config_store.store import RedisStore, open_store
from shared.core.errors import StoreDown
from shared.model.providers import Discovered, Provider
from tests.config_store.cache.reader_world import Compiled
from tests.config_store.configurations import ACTOR, StillClock, a_tenant, create
from tests.support.valkey_server import valkey


class World:
    """A store in the Redis behind a socket, and a cache that reads it."""

    def __init__(self, folder: Path, config_ttl: float, **reader: str) -> None:
        options = {"unix_socket_path": str(folder / "valkey.sock")}
        self.store: RedisStore = open_store(options, quarantine=60)
        self.source = open_source({**options, **reader})
        self.clock = StillClock()
        knobs = {"config_ttl": config_ttl, "cleanup_interval": 60, "max_idle_time": 3600, "max_entries": 100}
        self.cache = GatewayCache(
            self.source,
            lambda snapshot, platform, _: Compiled(snapshot, platform=platform),
            self.clock,
            compile_platform=lambda document, _: document,
            **knobs,
        )

    async def until(self, subdomain: str, right: Callable[[Compiled | None], bool]) -> None:
        async with asyncio.timeout(10):
            while not right(await self.cache.find(subdomain, None)):
                await asyncio.sleep(0.005)


@asynccontextmanager
async def a_world(folder: Path, config_ttl: float, **reader: str) -> AsyncIterator[World]:
    world = World(folder, config_ttl, **reader)
    yield world
    await world.cache.close()
    await world.source.close()
    world.store.close()


async def test_a_revoked_key_is_rejected_as_soon_as_the_news_comes(tmp_path: Path) -> None:
    # So long a time between two looks that only the push can bring the news.
    with valkey(tmp_path):
        async with a_world(tmp_path, config_ttl=3600) as world:
            await world.cache.start()
            acme = create(world.store, a_tenant("acme"))
            await world.until("acme", lambda found: found is not None)
            world.store.write(acme, replace(acme, keys=()), edit=Edit(actor=ACTOR))
            await world.until("acme", lambda found: found is not None and not found.keys)


async def test_a_redis_that_died_is_not_missed_and_its_successor_is_followed(tmp_path: Path) -> None:
    async with a_world(tmp_path, config_ttl=0.01) as world:
        with valkey(tmp_path):
            await world.cache.start()
            create(world.store, a_tenant("acme"))
            await world.until("acme", lambda found: found is not None)
        async with asyncio.timeout(10):
            while world.cache.trouble is None:
                await asyncio.sleep(0.005)
        assert await world.cache.find("acme", "pepper:acme") is not None
        with pytest.raises(StoreDown):
            await world.cache.find("other", None)
        world.clock.time += 10
        with valkey(tmp_path):
            create(world.store, a_tenant("other"))
            await world.until("other", lambda found: found is not None)
            # The successor is empty but for what was just written: what it does not know is gone.
            await world.until("acme", lambda found: found is None)


async def test_a_new_list_of_models_is_known_without_the_news_of_it(tmp_path: Path) -> None:
    with valkey(tmp_path), redis.Redis(unix_socket_path=str(tmp_path / "valkey.sock")) as client:
        client.acl_setuser("deaf", enabled=True, nopass=True, keys=["*"], categories=["+@all"], reset=True)
        async with a_world(tmp_path, config_ttl=0.01, username="deaf", password="") as world:
            provider = Provider("prv_own", "own", "ollama", discover=600.0)
            create(world.store, a_tenant("acme", providers=(provider,)))
            await world.cache.start()
            await world.until("acme", lambda found: found is not None)
            assert client.pubsub_numsub(layout.CHANNEL) == [(layout.CHANNEL.encode(), 0)]
            found = Discovered(("gpt",), 5.0)
            world.store.write_discovered("id-acme", "prv_own", found)
            await world.until(
                "acme", lambda acme: acme is not None and acme.snapshot.discovered == {"prv_own": found}
            )
