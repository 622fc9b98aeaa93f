"""The cache while its store is down or holds what cannot be used, and while it compiles."""

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest

from shared.config_store.history.edit import Edit
from shared.core.errors import StoreDown
from shared.model.config import Snapshot
from tests.config_store.cache.reader_world import EVERYTHING, Compiled, World, renamed
from tests.config_store.configurations import ACTOR


async def test_a_store_that_is_down_takes_nothing_away(world: World) -> None:
    [acme] = await world.hold("acme")
    world.write(acme, renamed(acme, "Acme"))
    world.source.down = EVERYTHING
    world.clock.time += 10_000_000
    with pytest.raises(StoreDown):
        await world.cache.check()
    assert await world.name_of("acme", "pepper:acme") == "acme"
    assert await world.name_of("acme", "pepper:unknown") == "acme"
    for subdomain, key_hash in (("other", None), (None, "pepper:other")):
        with pytest.raises(StoreDown):
            await world.cache.find(subdomain, key_hash)
    world.source.down = frozenset()
    await world.cache.check()
    assert await world.name_of("acme") == "Acme"


async def test_store_failure_is_shown_and_logged_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.source.down = EVERYTHING
    for _ in range(3):
        world.cache._reconnected()
        await world.settle()
    assert world.cache.trouble == "The store is down."
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    world.source.down = frozenset()
    await world.cache.check()
    assert world.cache.trouble is None


async def test_a_reload_that_failed_is_done_by_the_next_look(world: World) -> None:
    [acme] = await world.hold("acme")
    world.source.down = frozenset({"read"})
    world.write(acme, renamed(acme, "Acme"))
    with pytest.raises(StoreDown):
        await world.cache.check()
    assert await world.name_of("acme") == "acme"
    world.source.down = frozenset()
    await world.cache.check()
    assert await world.name_of("acme") == "Acme"


async def test_a_bad_record_leaves_the_last_good_one(world: World, caplog: pytest.LogCaptureFixture) -> None:
    acme, other = await world.hold("acme", "other")
    world.source.bad.add("id-acme")
    world.write(acme, renamed(acme, "Acme"))
    world.write(other, renamed(other, "Other"))
    await world.cache.check()
    assert await world.name_of("acme") == "acme"
    assert await world.name_of("other") == "Other"
    assert "id-acme" in caplog.text


async def test_bad_record_affects_its_tenant_only(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.create("acme")
    world.create("other")
    world.source.bad.add("id-acme")
    for _ in range(3):
        with pytest.raises(StoreDown, match="id-acme"):
            await world.cache.find("acme", None)
    assert len(caplog.records) == 1
    assert await world.name_of("other") == "other"


def compile_but_bad(snapshot: Snapshot) -> Compiled:
    if snapshot.tenant.name == "bad":
        raise KeyError("a fault of a plugin")
    return Compiled(snapshot)


@pytest.mark.parametrize("world", [{"compiler": compile_but_bad}], indirect=True)
async def test_a_tenant_that_cannot_be_compiled_is_kept(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    [acme] = await world.hold("acme")
    acme = world.write(acme, renamed(acme, "bad"))
    for _ in range(3):
        world.cache._changed("id-acme")
        await world.settle()
    assert await world.name_of("acme") == "acme"
    assert len(caplog.records) == 1
    fresh = world.new_cache(compile_but_bad)
    with pytest.raises(StoreDown):
        await fresh.find("acme", None)
    world.write(acme, renamed(acme, "good"))
    await world.cache.check()
    assert await world.name_of("acme") == "good"


threads: list[int] = []


def note_thread(snapshot: Snapshot) -> Compiled:
    threads.append(threading.get_ident())
    return Compiled(snapshot)


@pytest.mark.parametrize("world", [{"compiler": note_thread, "in_thread": asyncio.to_thread}], indirect=True)
async def test_tenants_are_compiled_where_no_request_waits_for_it(world: World) -> None:
    threads.clear()
    world.create("acme")
    assert await world.name_of("acme") == "acme"
    [thread] = threads
    assert thread != threading.get_ident()


class HeldBack:
    """Compiles when it is let."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Event] = []

    async def __call__[**A, R](self, function: Callable[A, R], /, *arguments: A.args, **named: A.kwargs) -> R:
        self.waiting.append(asyncio.Event())
        await self.waiting[-1].wait()
        return function(*arguments, **named)


async def under_way(world: World) -> tuple[HeldBack, Snapshot, asyncio.Future[str | None]]:
    """A tenant that is being compiled, and the request that asks for it."""
    held_back = HeldBack()
    world.cache._in_thread = held_back
    acme = world.create("acme")
    await world.cache.check()
    finding = asyncio.ensure_future(world.name_of("acme"))
    await world.settle()
    return held_back, acme, finding


async def test_tenant_serves_its_old_version_until_a_newer_one_is_compiled(world: World) -> None:
    held_back, acme, finding = await under_way(world)
    held_back.waiting[0].set()
    assert await finding == "acme"
    for number, name in enumerate(("second", "third", "fourth")):
        acme = world.write(acme, renamed(acme, name))
        world.cache._changed("id-acme")
        await world.settle()
        assert len(held_back.waiting) == 2, f"one compile at a time, not one for change {number}"
        assert await world.name_of("acme") == "acme"
    held_back.waiting[1].set()
    await world.settle()
    assert await world.name_of("acme") == "second", "each one that is compiled serves at once"
    held_back.waiting[2].set()
    await world.settle()
    assert await world.name_of("acme") == "fourth"
    assert len(held_back.waiting) == 3


async def test_a_tenant_that_is_deleted_while_it_is_compiled_is_not_held(world: World) -> None:
    held_back, acme, finding = await under_way(world)
    world.store.write(acme, None, edit=Edit(actor=ACTOR))
    world.cache._changed("id-acme")
    held_back.waiting[0].set()
    assert await finding is None
    assert len(world.cache) == 0
