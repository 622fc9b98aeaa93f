"""Checks for changes that workers share: an idle fleet asks about once per second, and nothing stays unseen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from shared.config_store.cache.checks import Checks, ToldCheck, sign_of
from shared.config_store.history.edit import Edit
from shared.config_store.identity import StoreState
from tests.config_store.cache.reader_world import World, renamed
from tests.config_store.cache.test_gateways_on_redis import World as RealWorld
from tests.config_store.cache.test_gateways_on_redis import a_world
from tests.config_store.configurations import ACTOR, a_tenant, create
from tests.support.valkey_server import valkey
from tests.support.wait import until_true

EVERY = 0.05
STATE = StoreState(id="s", generation=1, revision=7, pepper="p", keys=("k",), replaces={"a": 1, "b": 2})


@given(st.text("0123456789abcdef", min_size=1), st.integers(min_value=0), st.text("0123456789abcdef"))
def test_check_is_read_as_it_was_told(teller: str, number: int, store: str) -> None:
    check = ToldCheck(teller, number, store)
    assert ToldCheck.parse(check.message) == check


@given(st.text())
def test_message_is_a_check_or_an_id_or_an_error_and_nothing_else(message: str) -> None:
    try:
        found = ToldCheck.parse(message)
    except ValueError:
        assert message.startswith("=")
    else:
        assert (found is None) is not message.startswith("=")


def test_sign_of_a_store_changes_with_all_but_its_changes() -> None:
    same = replace(STATE, revision=8, replaces={"b": 2, "a": 1})
    others = [replace(STATE, id="t"), replace(STATE, generation=2), replace(STATE, keys=("k", "l")), None]
    assert sign_of(same) == sign_of(STATE)
    assert len({sign_of(one) for one in (STATE, *others)}) == 5


@asynccontextmanager
async def checking(checked: list[float]) -> AsyncIterator[Checks]:
    """Checks that note their time."""

    async def check() -> int | None:
        checked.append(asyncio.get_running_loop().time())
        return None

    async def tell(_: int) -> None:
        raise AssertionError("A check that failed was told.")

    checks = Checks(EVERY, check, tell, jitter=lambda: 0.0)
    task = asyncio.ensure_future(checks.keep())
    yield checks
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_worker_that_is_told_checks_less_but_never_stops() -> None:
    checked: list[float] = []
    async with checking(checked) as checks:
        while len(checked) < 3:
            checks.told()
            await asyncio.sleep(EVERY / 10)
    first, second, third = checked
    # At once after a start, and then at times of its own, whatever it is told.
    assert min(second - first, third - second) > 7.9 * EVERY


async def test_worker_that_is_told_nothing_more_checks_soon() -> None:
    checked: list[float] = []
    async with checking(checked) as checks:
        await until_true(lambda: len(checked) == 2)
        checks.told()
        told = asyncio.get_running_loop().time()
        await until_true(lambda: len(checked) == 3)
    assert checked[2] - told >= EVERY


async def test_check_of_another_worker_counts_if_it_saw_nothing_new(world: World) -> None:
    [acme] = await world.hold("acme")
    await world.cache.check()
    world.source.calls.clear()
    world.clock.time += 0.7
    world.cache._told(world.store.revision)
    assert world.cache.last_config_check == world.clock.time
    assert world.cache.current == (world.store.revision, world.clock.time)
    assert world.source.calls == []

    # It has seen a change of which this one was told nothing.
    world.store.listeners.clear()
    world.write(acme, renamed(acme, "Acme"))
    world.cache._told(world.store.revision)
    await world.until(lambda: "read" in world.source.calls)
    await world.settle()
    assert await world.name_of("acme") == "Acme"


@pytest.mark.parametrize("trouble", ["another store", "down", "not read"])
async def test_check_of_another_worker_does_not_count_in_trouble(world: World, trouble: str) -> None:
    [acme] = await world.hold("acme")
    if trouble == "not read":
        world.write(acme, renamed(acme, "Acme"))
    if trouble != "another store":
        world.source.down = frozenset({"changes" if trouble == "down" else "read"})
        await world.look_in_background()
    before, world.clock.time = world.cache.current, world.clock.time + 1
    world.cache._told(None if trouble == "another store" else world.cache.seen)
    assert world.cache.current == before


@asynccontextmanager
async def fleet(folder: Path, count: int, **reader: str) -> AsyncIterator[list[RealWorld]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(a_world(folder, EVERY, **reader)) for _ in range(count)]


def asked(client: redis.Redis) -> int:
    """How often anybody has checked."""
    stats: dict[str, dict[str, int]] = client.info("commandstats")  # type: ignore[assignment]
    return stats.get("cmdstat_zrange", {"calls": 0})["calls"]


async def test_idle_workers_ask_together_about_as_often_as_one(tmp_path: Path) -> None:
    with valkey(tmp_path), redis.Redis(unix_socket_path=str(tmp_path / "valkey.sock")) as client:
        async with fleet(tmp_path, 10) as worlds:
            for world in worlds:
                await world.cache.start()
            await until_true(lambda: client.pubsub_numsub("{cfg}:changed")[0][1] == 10)
            before, began = asked(client), asyncio.get_running_loop().time()
            await asyncio.sleep(12 * EVERY)
            rounds = (asyncio.get_running_loop().time() - began) / EVERY
            # One each round, and about one each 10 rounds by each. Alone, they would be 10 each round.
            assert asked(client) - before <= 4 * rounds
            acme = create(worlds[0].store, a_tenant("acme"))
            for world in worlds:
                await until_true(lambda world=world: world.cache.seen == acme.revision)


async def test_workers_that_may_not_tell_check_themselves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with valkey(tmp_path), redis.Redis(unix_socket_path=str(tmp_path / "valkey.sock")) as client:
        rights = {"keys": ["*"], "channels": ["*"], "categories": ["+@all"], "commands": ["-publish"]}
        client.acl_setuser("mute", enabled=True, nopass=True, **rights)
        async with fleet(tmp_path, 2, username="mute", password="") as worlds:
            for world in worlds:
                await world.cache.start()
            acme = create(worlds[0].store, a_tenant("acme"))
            for world in worlds:
                await until_true(lambda world=world: world.cache.seen == acme.revision)
                assert world.cache.trouble is None
    said = [record.message for record in caplog.records if "not told" in record.message]
    assert len(said) == len(worlds)


async def test_damaged_check_is_ignored(tmp_path: Path) -> None:
    with valkey(tmp_path), redis.Redis(unix_socket_path=str(tmp_path / "valkey.sock")) as client:
        async with a_world(tmp_path, 3600) as world:
            await world.cache.start()
            await until_true(lambda: client.pubsub_numsub("{cfg}:changed")[0][1] == 1)
            for message in ("=", "=a b c", "=a 1", "=a 1 b c", b"=\xff"):
                client.publish("{cfg}:changed", message)
            acme = create(world.store, a_tenant("acme"))
            await world.until("acme", lambda found: found is not None)
            world.store.write(
                acme, replace(acme, keys=()), edit=Edit(actor=ACTOR)
            )  # the next message arrives
            await world.until("acme", lambda found: found is not None and not found.keys)
