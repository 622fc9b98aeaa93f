"""Tenants are compiled beside what is served."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from shared.model.config import Snapshot
from tests.config_store.cache.reader_world import Compiled, World, renamed
from tests.config_store.configurations import ACTOR

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

    async def __call__[A, R](self, function: Callable[[A], R], argument: A, /) -> R:
        self.waiting.append(asyncio.Event())
        await self.waiting[-1].wait()
        return function(argument)


async def under_way(world: World) -> tuple[HeldBack, Snapshot, asyncio.Future[str | None]]:
    """A tenant that is being compiled, and the request that asks for it."""
    held_back = HeldBack()
    world.cache._in_thread = held_back
    acme = world.create("acme")
    await world.cache.check()
    finding = asyncio.ensure_future(world.name_of("acme"))
    await world.settle()
    return held_back, acme, finding


async def test_while_a_tenant_is_compiled_the_old_one_serves_and_the_newest_comes_last(world: World) -> None:
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
    world.store.write(acme, None, actor=ACTOR)
    world.cache._changed("id-acme")
    held_back.waiting[0].set()
    assert await finding is None
    assert len(world.cache) == 0
