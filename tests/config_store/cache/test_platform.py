"""The platform in the cache of a worker: its changes reach the tenants that they concern, and no others."""

import asyncio
import itertools
from dataclasses import replace
from typing import Any

import pytest

from shared.config_store.cache.platform import compiled_together
from shared.config_store.snapshot import SnapshotFile
from shared.model.config import Rule, Snapshot
from shared.model.providers import (
    Discovered,
    Model,
    ModelTarget,
    PlatformDocument,
    Provider,
    ProviderKey,
    Shared,
)
from tests.config_store.cache.reader_world import EVERYTHING, Compiled, World
from tests.config_store.configurations import a_tenant
from tests.config_store.test_platform import FAST, OPENAI, an_ai_tenant, write_platform


@pytest.fixture
def compilations(live: World) -> list[str]:
    """The document that is compiled from now on."""
    noted: list[str] = []
    compiler = live.cache._compiler

    def compile_and_note(snapshot: Snapshot, platform: PlatformDocument, held: Compiled | None) -> Compiled:
        noted.append(snapshot.tenant.name)
        return compiler(snapshot, platform, held)

    live.cache._compiler = compile_and_note
    return noted


def write(world: World, **members: Any) -> PlatformDocument:
    return write_platform(world.store, **members)


async def hold(world: World, *tenants: Snapshot) -> None:
    for tenant in tenants:
        world.write(None, tenant)
    await world.settle()
    for tenant in tenants:
        await world.cache.find(tenant.tenant.subdomain, None)


async def platform_of(world: World, subdomain: str) -> PlatformDocument:
    found = await world.cache.find(subdomain, None)
    assert found is not None
    return found.platform


async def test_tenant_without_a_platform_is_compiled_with_an_empty_one(world: World) -> None:
    world.create("acme")
    assert await platform_of(world, "acme") == PlatformDocument()


async def test_change_of_the_platform_reaches_its_users_and_nobody_else(
    live: World, compilations: list[str]
) -> None:
    other = Provider("prv_b", "b", "openai", shared=Shared(all=True))
    private = Provider("prv_c", "c", "openai", shared=Shared(tenants=("id-elsewhere",)))
    write(live, providers=(OPENAI, other, private))
    await hold(
        live,
        a_tenant("plain", rules=(Rule("plain", "/", "https://a.example"),)),
        an_ai_tenant("named", "o"),
        an_ai_tenant("all"),
        an_ai_tenant("elsewhere", "b"),
        an_ai_tenant("lacking", "new"),
    )
    moved = replace(OPENAI, base_url="https://o.example")
    for change, users in (
        ({"providers": (moved, other, private)}, {"named", "all"}),
        ({"providers": (moved, other, replace(private, enabled=False))}, set()),
        ({"providers": (moved, other, replace(OPENAI, id="prv_n", name="new"))}, {"all", "lacking"}),
        ({"models": (FAST,)}, {"named", "all", "elsewhere", "lacking"}),
        (
            {"models": (replace(FAST, shared=Shared(tiers=("pro",))),)},
            {"named", "all", "elsewhere", "lacking"},
        ),
        ({"models": ()}, set()),
        ({"prices": {"openai/gpt": {"input": "1"}}}, {"named", "all", "elsewhere", "lacking"}),
    ):
        compilations.clear()
        live.source.calls.clear()
        reads = live.source.platform_reads
        written = write(live, **change)
        await live.settle()
        assert (set(compilations), len(compilations)) == (users, len(users)), change
        assert (live.source.calls, live.source.platform_reads) == ([], reads + 1), "tenants come from memory"
        for name in users:
            assert await platform_of(live, name) == written


async def test_change_of_a_provider_reaches_tenants_that_call_it_by_a_shared_model(
    live: World, compilations: list[str]
) -> None:
    write(live, providers=(OPENAI,), models=(FAST,))
    own = Model("own", (ModelTarget(provider="o", model="x"),))
    await hold(
        live,
        an_ai_tenant("shared-model", "other"),
        a_tenant("own-model", rules=an_ai_tenant("x", "other").rules, models=(own,)),
        a_tenant("hidden", rules=an_ai_tenant("x", "o").rules, providers=(OPENAI,), models=(FAST,)),
    )
    compilations.clear()
    write(live, providers=(replace(OPENAI, enabled=False),))
    await live.settle()
    assert compilations == ["own-model", "shared-model"], "those used last come first"


async def test_tenant_serves_its_old_form_until_the_new_one_is_compiled(live: World) -> None:
    await hold(live, an_ai_tenant("acme"), an_ai_tenant("beta"))
    gate, at_once = asyncio.Event(), live.cache._in_thread

    async def held_back(function: Any, *arguments: Any) -> Any:
        if function is compiled_together:
            await gate.wait()
        return await at_once(function, *arguments)

    live.cache._in_thread = held_back
    written = write(live, providers=(OPENAI,))
    await live.settle()
    assert await platform_of(live, "acme") == PlatformDocument()
    gate.set()
    await live.settle()
    assert [await platform_of(live, name) for name in ("acme", "beta")] == [written, written]


async def test_tenants_are_compiled_together_and_those_that_change_meanwhile_alone(live: World) -> None:
    rules = tuple(replace(an_ai_tenant("x").rules[0], id=f"r{n}", path=f"/{n}") for n in range(60))
    big = [replace(an_ai_tenant(name), rules=rules) for name in ("big", "large")]
    await hold(live, an_ai_tenant("acme"), an_ai_tenant("beta"), an_ai_tenant("gone"), *big)
    at_once, together = live.cache._in_thread, []

    async def compile_and_change(function: Any, *arguments: Any) -> Any:
        made = await at_once(function, *arguments)
        if function is compiled_together:
            together.append([*made])
            if "id-gone" in made:
                stored = live.store.read("id-acme")
                assert stored is not None
                live.write(stored, replace(stored, tenant=replace(stored.tenant, name="new")))
                live.cache._gateways.drop("id-gone")
                await asyncio.sleep(0)
        return made

    def compile_but_not_at_once(
        snapshot: Snapshot, platform: PlatformDocument, _: Compiled | None
    ) -> Compiled:
        if snapshot.tenant.name == "beta" and len(together) < 2:
            raise RuntimeError("This time it fails.")
        return Compiled(snapshot, platform=platform)

    live.cache._in_thread, live.cache._compiler = compile_and_change, compile_but_not_at_once
    written = write(live, providers=(OPENAI,))
    await live.settle()
    assert together == [["id-large"], ["id-big", "id-gone", "id-beta", "id-acme"]]
    found = [await platform_of(live, name) for name in ("acme", "beta", "big", "large")]
    assert found == [written] * 4
    acme = await live.cache.find("acme", None)
    assert acme is not None
    assert acme.snapshot.tenant.name == "new"
    assert "id-gone" not in live.cache._gateways


async def test_change_of_the_platform_whose_message_was_lost_is_found_by_the_next_look(world: World) -> None:
    world.write(None, an_ai_tenant("acme"))
    await world.cache.check()
    await world.cache.find("acme", None)
    written = write(world, providers=(OPENAI,))
    assert await platform_of(world, "acme") == PlatformDocument()
    await world.cache.check()
    await world.settle()
    assert await platform_of(world, "acme") == written


async def test_platform_that_changes_while_a_tenant_is_read_is_not_missed(live: World) -> None:
    live.write(None, an_ai_tenant("acme"))

    async def change() -> None:
        write(live, providers=(OPENAI,))

    live.source.meanwhile["read"] = change
    await live.cache.find("acme", None)
    await live.settle()
    assert (await platform_of(live, "acme")).providers == (OPENAI,)


async def test_tenant_that_is_changed_with_the_platform_is_compiled_with_the_new_one(
    live: World, compilations: list[str]
) -> None:
    written = write(live, providers=(OPENAI,))
    live.write(None, an_ai_tenant("acme", "o"))
    assert await platform_of(live, "acme") == written
    assert compilations == ["acme"]


async def test_models_that_a_provider_lists_reach_the_users(live: World) -> None:
    discovering = replace(OPENAI, discover=600.0)
    write(live, providers=(discovering,))
    await hold(
        live, an_ai_tenant("acme", "o"), a_tenant("own", providers=(replace(discovering, id="prv_x"),))
    )
    found = Discovered(("gpt",), 5.0)
    live.store.write_discovered("platform", "prv_o", found)
    live.store.write_discovered("id-own", "prv_x", found)
    await live.settle()
    assert (await platform_of(live, "acme")).discovered == {"prv_o": found}
    own = await live.cache.find("own", None)
    assert own
    assert own.snapshot.discovered == {"prv_x": found}


async def test_change_before_a_read_that_failed_is_not_forgotten(live: World) -> None:
    write(live, providers=(OPENAI,))
    await hold(live, an_ai_tenant("acme", "o"))
    await live.look_in_background()

    async def change_another_and_fail() -> None:
        write(live, models=(replace(FAST, shared=Shared()),))
        await asyncio.sleep(0)  # the message about it comes
        live.source.down = EVERYTHING

    live.source.meanwhile["platform"] = change_another_and_fail
    write(live, providers=(replace(OPENAI, enabled=False),))
    await live.settle()
    live.source.down = frozenset()
    await live.look_in_background()
    await live.settle()
    assert (await platform_of(live, "acme")).providers == (replace(OPENAI, enabled=False),)


@pytest.mark.parametrize("trouble", ["damaged", "does not compile"])
async def test_damaged_platform_leaves_the_last_good_one(
    live: World, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = write(live, providers=(OPENAI,))
    await hold(live, an_ai_tenant("acme", "o"))
    if trouble == "damaged":
        live.source.bad.add("platform")
    else:
        live.cache._platform._compile = lambda *_: {}[trouble]
    for version in ("a", "b"):
        write(live, providers=(replace(OPENAI, kind=version),))
        await live.settle()
    assert await platform_of(live, "acme") == good
    assert len(caplog.records) == 1
    assert "The last good one stays in use." in caplog.text
    live.source.bad.clear()
    live.cache._platform._compile = lambda document, _: document
    written = write(live)
    await live.settle()
    assert await platform_of(live, "acme") == written


async def test_platform_that_was_never_good_closes_no_other_tenant(world: World) -> None:
    world.source.bad.add("platform")
    world.create("acme")
    assert await platform_of(world, "acme") == PlatformDocument()


async def test_store_that_is_down_takes_no_platform_away(live: World) -> None:
    good = write(live, providers=(OPENAI,))
    await hold(live, an_ai_tenant("acme", "o"))
    live.source.down = EVERYTHING
    written = write(live, providers=(replace(OPENAI, enabled=False),))
    await live.settle()
    assert await platform_of(live, "acme") == good
    live.source.down = frozenset()
    await live.look_in_background()
    await live.settle()
    assert await platform_of(live, "acme") == written


@pytest.mark.parametrize("written_by", ["this release", "an older one"])
async def test_worker_that_starts_without_redis_has_the_platform_of_the_disk(
    world: World, tmp_path: Any, written_by: str
) -> None:
    disk = SnapshotFile(tmp_path / "snapshot.sqlite")
    document = PlatformDocument((OPENAI,), (FAST,), revision=3)
    disk.write({"revision": 3}, [an_ai_tenant("acme", "o")], [], document if written_by[0] == "t" else None)
    world.use_disk(disk)
    world.source.down = EVERYTHING
    await world.cache.start()
    expected = document if written_by[0] == "t" else PlatformDocument()
    assert await platform_of(world, "acme") == expected


async def test_keys_outside_the_store_that_changed_reach_their_users_also_without_redis(
    live: World, compilations: list[str]
) -> None:
    outside = (ProviderKey(id="pk_1", name="main", file="openai"),)
    keyed = Provider("prv_k", "k", "openai", keys=outside, shared=Shared(all=True))
    write(live, providers=(OPENAI, keyed))
    await hold(live, an_ai_tenant("acme", "o"), an_ai_tenant("globex", "k"))
    numbers = itertools.count(1.0)
    live.cache._platform._compile = lambda document, _: replace(document, updated_at=next(numbers))
    for down in (frozenset[str](), EVERYTHING):
        live.source.down = down
        compilations.clear()
        before = await platform_of(live, "globex")
        live.cache.compile_platform_again()
        await live.settle()
        assert compilations == ["globex"]
        assert (await platform_of(live, "globex")).updated_at > before.updated_at
