"""What every configuration source promises. The one in memory and the one in Redis pass the same tests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import redis
import redis.asyncio

from shared.config_store.port import ConfigSource, ConfigStore
from shared.config_store.source import RedisSource
from shared.config_store.store import RedisStore
from shared.testing.memory_source import MemorySource
from shared.testing.memory_store import MemoryStore
from tests.config_store.configurations import (
    ACTOR,
    StillClock,
    a_full_tenant,
    a_tenant,
    an_api_key,
    with_tenant,
)


@dataclass
class World:
    """A source, the store behind it, and a way to cut the source's connections."""

    store: ConfigStore
    source: ConfigSource
    cut: Callable[[], object]


@asynccontextmanager
async def a_world(kind: str, socket: str) -> AsyncIterator[World]:
    if kind == "memory":
        store = MemoryStore(StillClock(), quarantine=60)
        yield World(store, MemorySource(store), lambda: None)
        return
    with redis.Redis(unix_socket_path=socket) as client:
        client.flushall()
        source = RedisSource(redis.asyncio.Redis(unix_socket_path=socket), jitter=lambda: 0.0)
        yield World(
            RedisStore(client, quarantine=60), source, lambda: client.client_kill_filter(_type="pubsub")
        )
        await source.close()


Scenario = Callable[[World], Coroutine[Any, Any, None]]


@pytest.fixture(params=["memory", "redis"])
def run(request: pytest.FixtureRequest, valkey_socket: str) -> Callable[[Scenario], None]:
    """Runs a coroutine function with a fresh world."""

    async def main(scenario: Scenario) -> None:
        async with asyncio.timeout(10), a_world(request.param, valkey_socket) as world:
            await scenario(world)

    return lambda scenario: asyncio.run(main(scenario))


@dataclass
class Heard:
    """What `watch` said, in order: ids, and None for each reconnection."""

    said: asyncio.Queue[str | None] = field(default_factory=asyncio.Queue)

    @asynccontextmanager
    async def listening(self, source: ConfigSource) -> AsyncIterator[asyncio.Queue[str | None]]:
        watch = source.watch(self.said.put_nowait, lambda: self.said.put_nowait(None))
        task = asyncio.ensure_future(watch)
        assert await self.said.get() is None
        yield self.said
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def test_a_tenant_is_found_by_subdomain_and_by_key(run: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        written = world.store.write(None, a_full_tenant("acme"), actor=ACTOR)
        assert await world.source.tenant_of_subdomain("acme") == "id-acme"
        assert await world.source.tenant_of_key("pepper:acme-a") == "id-acme"
        assert await world.source.read("id-acme") == written

    run(scenario)


def test_what_is_unknown_is_none(run: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        assert await world.source.tenant_of_subdomain("nobody") is None
        assert await world.source.tenant_of_key("pepper:nobody") is None
        assert await world.source.read("nobody") is None
        assert await world.source.changes(0) == (0, [])

    run(scenario)


def test_the_changes_since_a_number_are_told_once_a_tenant(run: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        one = world.store.write(None, a_tenant("one"), actor=ACTOR)
        two = world.store.write(None, a_tenant("two"), actor=ACTOR)
        assert one is not None
        assert two is not None
        seen, tenants = await world.source.changes(0)
        assert (seen, sorted(tenants)) == (two.revision, ["id-one", "id-two"])
        one = world.store.write(one, with_tenant(one, name="uno"), actor=ACTOR)
        world.store.write(one, with_tenant(one, name="eins"), actor=ACTOR)
        number, tenants = await world.source.changes(seen)
        assert (number, tenants) == (seen + 2, ["id-one"])
        world.store.write(two, None, actor=ACTOR)
        assert await world.source.changes(number) == (number + 1, ["id-two"])
        assert await world.source.changes(number + 1) == (number + 1, [])

    run(scenario)


def test_every_write_is_announced(run: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        async with Heard().listening(world.source) as said:
            acme = world.store.write(None, a_tenant("acme"), actor=ACTOR)
            assert await said.get() == "id-acme"
            world.store.write(acme, None, actor=ACTOR)
            assert await said.get() == "id-acme"

    run(scenario)


def test_a_write_by_another_thread_is_announced(run: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        async with Heard().listening(world.source) as said:
            await asyncio.to_thread(world.store.write, None, a_tenant("acme"), actor=ACTOR)
            assert await said.get() == "id-acme"

    run(scenario)


def test_the_last_use_of_a_key_is_read_with_it_and_never_goes_back(run: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        world.store.write(None, a_tenant("acme"), actor=ACTOR)
        await world.source.touch({("id-acme", "key-acme"): 20.5, ("id-gone", "key-gone"): 1.0})
        await world.source.touch({("id-acme", "key-acme"): 10.0})
        for read in (world.store.read("id-acme"), await world.source.read("id-acme")):
            assert read is not None
            assert [key.last_used_at for key in read.keys] == [20.5]

    run(scenario)


def test_a_use_does_not_get_in_the_way_of_a_write(run: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        acme = world.store.write(None, a_tenant("acme"), actor=ACTOR)
        assert acme is not None
        await world.source.touch({("id-acme", "key-acme"): 20.5})
        more = replace(acme, keys=(*acme.keys, an_api_key("new")))
        assert world.store.write(acme, more, actor=ACTOR)
        read = await world.source.read("id-acme")
        assert read is not None
        assert [key.last_used_at for key in read.keys] == [20.5, None]

    run(scenario)


def test_a_dropped_key_leaves_no_use_behind(run: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        acme = world.store.write(None, a_tenant("acme"), actor=ACTOR)
        await world.source.touch({("id-acme", "key-acme"): 20.5})
        assert world.store.write(acme, None, actor=ACTOR) is None
        await world.source.touch({("id-acme", "key-acme"): 30.5})
        world.store.write(None, a_tenant("acme"), actor=ACTOR)
        read = await world.source.read("id-acme")
        assert read is not None
        assert [key.last_used_at for key in read.keys] == [None]

    run(scenario)


@pytest.mark.parametrize("run", ["redis"], indirect=True)
def test_after_a_lost_connection_it_listens_again_and_says_so(run: Callable[[Scenario], None]) -> None:
    async def scenario(world: World) -> None:
        async with Heard().listening(world.source) as said:
            world.cut()
            assert await said.get() is None
            world.store.write(None, a_tenant("acme"), actor=ACTOR)
            assert await said.get() == "id-acme"

    run(scenario)
