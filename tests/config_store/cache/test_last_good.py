"""The last good configuration: the snapshot that is kept on disk, and what is served from it."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import pytest

from shared.config_store.cache.snapshot_keeper import SnapshotKeeper
from shared.config_store.history.edit import Edit
from shared.config_store.identity import KnownStore, SecretIds, StoreState
from shared.config_store.layout import FORMAT
from shared.config_store.seen_file import EXTERNAL
from shared.config_store.snapshot import SnapshotFile
from shared.core.errors import GatewayError, StoreDown
from shared.core.process.data_files import lock_file
from shared.model.config import Rule, Snapshot
from shared.model.providers import PlatformDocument
from tests.config_store.cache.reader_world import EVERYTHING, Compiled, World, renamed
from tests.config_store.configurations import ACTOR, an_api_key, with_tenant
from tests.config_store.test_platform import OPENAI, write_platform
from tests.support.wait import until_true

RULE = Rule("rule", "/v1", "https://upstream.example")
STATE = StoreState(id="a", generation=1, revision=0, pepper="pepper", keys=("key",))


def compile_unless_bad(snapshot: Snapshot) -> Compiled:
    """A rule on /bad does not compile."""
    return Compiled(snapshot, tuple(rule.id for rule in snapshot.rules if rule.path == "/bad"))


@dataclass
class Machine:
    """A cache with a disk, and the keeper of its snapshot."""

    world: World
    disk: SnapshotFile
    keeper: SnapshotKeeper
    known: KnownStore

    def restarted(self) -> World:
        """Another worker of the machine, with nothing in memory."""
        other = World(compiler=self.world.compiler)
        other.store, other.source, other.clock = self.world.store, self.world.source, self.world.clock
        other.cache = other.new_cache(self.world.compiler)
        other.use_disk(self.disk)
        return other


@pytest.fixture
def machine(tmp_path: Path, runner: asyncio.Runner) -> Iterator[Machine]:
    world, disk = World(compiler=compile_unless_bad), SnapshotFile(tmp_path / "snapshot.sqlite")
    world.use_disk(disk)
    known = KnownStore(SecretIds(("pepper",), ("key",)), STATE)
    keeper = SnapshotKeeper(
        world.source, disk, world.cache, world.clock, known=known, mode=EXTERNAL, workers=lambda: 4
    )
    yield Machine(world, disk, keeper, known)
    runner.run(world.cache.close())


async def test_snapshot_follows_the_changes(machine: Machine) -> None:
    world = machine.world
    acme, gone = world.create("acme"), world.create("gone")
    await machine.keeper.update()
    assert machine.disk.tenants() == {"id-acme", "id-gone"}
    stores = {EXTERNAL: STATE.to_json()}
    assert machine.disk.meta() == {"revision": 2, "stores": stores, "workers": 4, "format": FORMAT}
    world.write(acme, renamed(acme, "Acme"))
    world.store.write(gone, None, edit=Edit(actor=ACTOR))
    await machine.keeper.update()
    assert machine.disk.tenants() == {"id-acme"}
    stored = machine.disk.find("id", "id-acme")
    assert stored is not None
    assert stored.tenant.name == "Acme"
    written = machine.disk.path.stat().st_mtime_ns
    await machine.keeper.update()
    assert machine.disk.path.stat().st_mtime_ns == written, "nothing changed"


async def test_more_tenants_than_a_batch_are_stored(machine: Machine) -> None:
    names = {f"id-t{number}" for number in range(250)}
    for name in names:
        machine.world.create(name.removeprefix("id-"))
    await machine.keeper.update()
    assert machine.disk.tenants() == names


async def test_keeper_that_starts_later_removes_what_was_deleted_meanwhile(machine: Machine) -> None:
    world = machine.world
    world.create("acme")
    gone = world.create("gone")
    await machine.keeper.update()
    world.store.write(gone, None, edit=Edit(actor=ACTOR))
    del world.store.changed_at["id-gone"]  # a deletion leaves the changes after a day
    machine.keeper._stored = None
    await machine.keeper.update()
    assert machine.disk.tenants() == {"id-acme"}


@pytest.mark.parametrize("fault", ["another store", "damaged row", "damaged file"])
async def test_snapshot_that_does_not_fit_is_written_again(machine: Machine, fault: str) -> None:
    machine.world.create("acme")
    await machine.keeper.update()
    if fault == "another store":
        machine.known.check(replace(STATE, id="b"), STATE)
        machine.disk.write(
            machine.disk.meta(), [with_tenant(machine.world.store.read("id-acme"), id="id-old")], []
        )
    elif fault == "damaged row":
        import sqlite3

        with sqlite3.connect(machine.disk.path) as database:
            database.execute("UPDATE tenants SET checksum = ''")
        database.close()
    else:
        machine.disk.path.write_bytes(b"nothing")
    machine.keeper._stored = None
    await machine.keeper.update()
    assert machine.disk.tenants() == {"id-acme"}
    assert machine.disk.find("id", "id-acme") == machine.world.store.read("id-acme")


async def test_one_process_of_a_machine_writes(machine: Machine, tmp_path: Path) -> None:
    import os

    other = lock_file(tmp_path / "snapshot.lock")
    assert other is not None
    machine.world.create("acme")
    running = asyncio.ensure_future(machine.keeper.run(0.001))
    with pytest.raises(TimeoutError):
        await until_true(machine.disk.path.exists, 0.1)
    os.close(other)
    await until_true(lambda: machine.disk.tenants() == {"id-acme"})
    running.cancel()
    await asyncio.wait({running})


async def test_damaged_store_does_not_end_the_keeper(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def damaged(since: int) -> NoReturn:
        raise GatewayError("The identity is damaged.")

    machine.world.create("acme")
    with monkeypatch.context() as patched:
        patched.setattr(machine.world.source, "changes", damaged)
        running = asyncio.ensure_future(machine.keeper.run(0.001))
        await until_true(lambda: "The identity is damaged." in caplog.text)
    await until_true(lambda: machine.disk.tenants() == {"id-acme"})
    running.cancel()
    await asyncio.wait({running})


async def test_trouble_of_the_disk_is_logged_once_and_ends(
    machine: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine.world.create("acme")
    folder = tmp_path / "later"
    machine.disk.path = folder / "snapshot.sqlite"
    running = asyncio.ensure_future(machine.keeper.run(0.001))
    await until_true(lambda: bool(caplog.records))
    folder.mkdir()
    await until_true(lambda: machine.disk.tenants() == {"id-acme"})
    assert len(caplog.records) == 1
    running.cancel()
    await asyncio.wait({running})


async def test_worker_that_starts_without_redis_serves_from_disk(machine: Machine) -> None:
    machine.world.create("acme")
    await machine.keeper.update()
    machine.world.source.down = EVERYTHING
    fresh = machine.restarted()
    await fresh.cache.start()
    assert (fresh.cache.is_informed, fresh.cache.last_config_check) == (True, None)
    assert await fresh.name_of("acme", "pepper:acme") == "acme"
    assert await fresh.name_of(None, "pepper:acme") == "acme"
    assert await fresh.asked("acme", "pepper:acme") == []
    for subdomain, key_hash in (("other", None), (None, "pepper:other")):
        with pytest.raises(StoreDown):
            await fresh.cache.find(subdomain, key_hash)
    await fresh.cache.close()


async def test_tenant_served_from_disk_is_read_again_when_redis_is_back(machine: Machine) -> None:
    acme = machine.world.create("acme")
    await machine.keeper.update()
    machine.world.write(acme, renamed(acme, "Acme"))
    fresh = machine.restarted()
    machine.world.source.down = EVERYTHING
    assert await fresh.name_of("acme") == "acme"
    machine.world.source.down = frozenset()
    await fresh.cache.check()
    assert await fresh.name_of("acme") == "Acme"


async def test_worker_without_redis_and_disk_knows_nothing(machine: Machine) -> None:
    machine.world.source.down = EVERYTHING
    fresh = machine.restarted()
    await fresh.cache.start()
    assert not fresh.cache.is_informed
    machine.world.source.down = frozenset()
    await fresh.cache.check()
    assert fresh.cache.is_informed
    await fresh.cache.close()


async def test_record_that_cannot_be_read_is_replaced_by_the_one_on_disk(machine: Machine) -> None:
    machine.world.create("acme")
    await machine.keeper.update()
    machine.world.source.bad.add("id-acme")
    fresh = machine.restarted()
    assert await fresh.name_of("acme") == "acme"
    machine.keeper._stored = None
    await machine.keeper.update()
    assert machine.disk.find("id", "id-acme"), "it stays on disk, too"


async def spoil(machine: Machine) -> tuple[Snapshot, Callable[[], Snapshot | None]]:
    """A tenant whose newest document does not compile, with a new key and another subdomain."""
    world = machine.world
    [acme] = await world.hold("acme")
    acme = world.write(acme, replace(acme, rules=(RULE,)))
    await world.cache.check()
    await machine.keeper.update()
    bad = replace(acme, rules=(replace(RULE, path="/bad"),), keys=(an_api_key("new"),))
    return world.write(acme, with_tenant(bad, subdomain="new", name="bad")), lambda: machine.disk.find(
        "id", "id-acme"
    )


@pytest.mark.parametrize("in_memory", [True, False])
async def test_document_that_does_not_compile_leaves_the_last_good_one_with_the_newest_keys(
    machine: Machine, in_memory: bool, caplog: pytest.LogCaptureFixture
) -> None:
    bad, stored = await spoil(machine)
    world = machine.world if in_memory else machine.restarted()
    for _ in range(3):
        await world.cache.check()
    found = await world.cache.find("new", "pepper:new")
    assert found is not None
    assert (found.snapshot.rules, found.snapshot.tenant.name, found.faults) == ((RULE,), "acme", ())
    assert await world.name_of("acme", "pepper:acme") is None, "an old version never brings back a key"
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "id-acme: rule" in caplog.text
    await machine.keeper.update()
    kept = stored()
    assert kept is not None
    assert (kept.rules, kept.keys, kept.revision) == ((RULE,), bad.keys, bad.revision)
    assert machine.world.store.faults() == {"id-acme": "rule"}
    good = world.write(bad, replace(bad, rules=(replace(RULE, path="/good"),)))
    await world.cache.check()
    await machine.keeper.update()
    assert machine.world.store.faults() == {}
    found = await world.cache.find("new", None)
    assert found is not None
    assert found.snapshot == good


async def test_document_without_a_last_good_one_is_served_and_shown_with_its_faults(machine: Machine) -> None:
    world = machine.world
    acme = world.create("acme")
    world.write(acme, replace(acme, rules=(replace(RULE, path="/bad"),)))
    found = await world.cache.find("acme", None)
    assert found is not None
    assert found.faults == ("rule",)
    await machine.keeper.update()
    assert world.store.faults() == {"id-acme": "rule"}


async def test_unusable_settings_of_the_operator_do_not_hide_the_newest_document(machine: Machine) -> None:
    """Rules that no longer compile in either version, such as those of a removed plugin, stay as they are."""
    world = machine.world
    [acme] = await world.hold("acme")
    acme = world.write(acme, replace(acme, rules=(RULE,)))
    await machine.keeper.update()
    fresh = machine.restarted()
    fresh.cache._compiler = lambda snapshot, *_: Compiled(snapshot, ("rule: its plugin is gone",))
    newest = world.write(acme, renamed(acme, "newest"))
    found = await fresh.cache.find("acme", None)
    assert found is not None
    assert found.snapshot == newest


async def test_snapshot_follows_the_platform_in_its_last_good_version(machine: Machine) -> None:
    world, disk = machine.world, machine.disk
    await machine.keeper.update()
    assert disk.platform() is None
    good = write_platform(world.store, providers=(OPENAI,))
    await machine.keeper.update()
    assert disk.platform() == good
    world.source.bad.add("platform")
    write_platform(world.store, providers=())
    await machine.keeper.update()
    assert (disk.platform(), world.store.faults()) == (
        good,
        {"platform": "The stored platform cannot be read."},
    )
    world.source.bad.clear()
    newest = write_platform(world.store)
    await machine.keeper.update()
    assert (disk.platform(), world.store.faults()) == (newest, {})


async def test_snapshot_gets_what_an_older_release_could_not_read(machine: Machine) -> None:
    acme = machine.world.create("acme")
    document = write_platform(machine.world.store, providers=(OPENAI,))
    await machine.keeper.update()
    older = {name: value for name, value in machine.disk.meta().items() if name != "format"}
    machine.disk.write(older, [renamed(acme, "older")], ["platform"])
    machine.keeper._stored = None
    await machine.keeper.update()
    assert (machine.disk.platform(), machine.disk.find("id", "id-acme")) == (document, acme)


async def test_snapshot_loses_the_platform_of_another_store(machine: Machine) -> None:
    write_platform(machine.world.store, providers=(OPENAI,))
    await machine.keeper.update()
    machine.world.store._platform = PlatformDocument()
    machine.world.store.changed_at.clear()
    machine.keeper._stored = None
    await machine.keeper.update()
    assert machine.disk.platform() is None


async def test_keeper_asks_nothing_while_the_cache_knows_of_no_change(machine: Machine) -> None:
    world = machine.world
    acme = world.create("acme")
    keeping = asyncio.ensure_future(machine.keeper.run(0.001))
    await until_true(lambda: machine.disk.tenants() == {"id-acme"})
    await world.cache.check()
    await asyncio.sleep(0.02)
    world.source.calls.clear()
    await asyncio.sleep(0.02)
    assert world.source.calls == []
    world.write(acme, renamed(acme, "Acme"))
    await world.cache.check()
    await until_true(lambda: "read" in world.source.calls)
    keeping.cancel()
    await asyncio.wait({keeping})
