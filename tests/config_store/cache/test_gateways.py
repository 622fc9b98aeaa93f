"""The proxy finds known tenants at once, learns of changes soon, and keeps the last good state."""

import asyncio
from dataclasses import replace

import pytest

from shared.config_store.history.edit import Edit
from shared.secrets.api_keys import KeyHash
from tests.config_store.cache.reader_world import EVERYTHING, Knobs, World, renamed
from tests.config_store.configurations import ACTOR, a_tenant, an_api_key, with_tenant


async def test_a_tenant_is_found_by_subdomain_and_by_key(world: World) -> None:
    world.create("acme")
    world.create("other")
    assert await world.name_of("acme") == "acme"
    assert await world.name_of(None, "pepper:other") == "other"
    assert await world.name_of("acme", "pepper:other") == "acme"
    assert await world.name_of(None, None) is None
    assert await world.name_of("nobody") is None


async def test_a_known_tenant_costs_no_question(world: World) -> None:
    world.create("acme")
    assert world.cache.peek("acme", None) is None
    assert await world.asked("acme", "pepper:acme") == ["look-up", "read"]
    assert world.cache.peek("acme", None) is not None
    assert world.cache.peek(None, "pepper:acme") is not None
    for subdomain, key_hash in (("acme", "pepper:acme"), ("acme", None), (None, "pepper:acme")):
        assert await world.asked(subdomain, key_hash) == []


async def test_an_unknown_tenant_and_an_unknown_key_cost_the_same_and_then_nothing(world: World) -> None:
    world.create("acme")
    world.create("foreign")
    await world.cache.find("acme", None)
    strangers = [
        ("nobody", "pepper:x"),
        ("acme", "pepper:x1"),
        (None, "pepper:x2"),
        ("acme", "pepper:foreign"),
    ]
    assert [await world.asked(*stranger) for stranger in strangers] == [["look-up"]] * 4
    assert [await world.asked(*stranger) for stranger in strangers[:3]] == [[]] * 3
    world.clock.time += 2
    assert [await world.asked(*stranger) for stranger in strangers] == [["look-up"]] * 4


async def test_a_crowd_that_asks_for_one_tenant_asks_the_store_once(world: World) -> None:
    world.create("acme")
    found = await asyncio.gather(*(world.name_of("acme") for _ in range(100)))
    assert found == ["acme"] * 100
    assert world.source.calls == ["look-up", "read"]


async def test_canceled_lookup_does_not_cancel_the_lookups_that_share_its_read(world: World) -> None:
    world.create("acme")
    gate = asyncio.Event()
    world.source.meanwhile["read"] = gate.wait
    first, second = (asyncio.ensure_future(world.name_of("acme")) for _ in range(2))
    await world.until(lambda: "read" in world.source.calls)
    first.cancel()
    await asyncio.wait({first})
    gate.set()
    assert await second == "acme"
    assert first.cancelled()


async def test_a_change_is_there_as_soon_as_it_is_announced(live: World) -> None:
    acme = live.create("acme")
    assert await live.name_of("acme") == "acme"
    live.write(acme, renamed(acme, "Acme"))
    await live.settle()
    assert await live.name_of("acme") == "Acme"


async def test_a_new_tenant_and_key_are_known_although_unknown_a_moment_ago(live: World) -> None:
    assert await live.name_of("acme") is None
    assert await live.name_of(None, "pepper:acme") is None
    live.create("acme")
    await live.settle()
    assert await live.name_of("acme") == "acme"
    assert await live.name_of(None, "pepper:acme") == "acme"


async def test_a_new_key_of_a_held_tenant_works_before_the_news_of_it_came(world: World) -> None:
    acme = world.create("acme")
    await world.cache.find("acme", None)
    world.write(acme, replace(acme, keys=(*acme.keys, an_api_key("new"))))
    for subdomain in ("acme", None):
        found = await world.cache.find(subdomain, "pepper:new")
        assert found is not None
        assert "pepper:new" in found.keys


async def test_a_deleted_tenant_and_a_dropped_key_are_gone_at_once(live: World) -> None:
    acme, other = await live.hold("acme", "other")
    live.store.write(acme, None, edit=Edit(actor=ACTOR))
    live.write(other, replace(other, keys=()))
    await live.settle()
    assert live.cache.peek("acme", None) is None
    assert live.cache.peek(None, "pepper:other") is None
    assert await live.name_of("acme") is None
    assert await live.name_of(None, "pepper:acme") is None
    assert await live.name_of(None, "pepper:other") is None
    assert await live.name_of("other") == "other"


async def test_a_renamed_subdomain_moves_and_may_be_another_tenants_afterwards(live: World) -> None:
    acme = live.create("acme")
    await live.cache.find("acme", None)
    live.write(acme, with_tenant(acme, subdomain="new"))
    live.write(None, with_tenant(a_tenant("heir"), subdomain="acme"))
    await live.cache.find("acme", None)
    await live.settle()
    assert await live.name_of("new") == "acme"
    assert await live.name_of("acme") == "heir"


async def test_a_change_during_a_read_is_not_missed(live: World) -> None:
    acme = live.create("acme")

    async def change() -> None:
        live.write(acme, renamed(acme, "Acme"))
        await live.settle()

    live.source.meanwhile["read"] = change
    assert await live.name_of("acme") == "Acme"


async def test_a_creation_during_a_look_up_is_not_hidden_by_its_response(live: World) -> None:
    async def create() -> None:
        live.create("acme")
        await live.settle()

    live.source.meanwhile["look-up"] = create
    assert await live.name_of("acme") is None
    assert await live.name_of("acme") == "acme"


@pytest.mark.parametrize("change", ["renamed", "deleted", "key dropped"])
async def test_a_tenant_changed_during_its_look_up_has_no_old_names(world: World, change: str) -> None:
    acme = world.create("acme")

    async def meanwhile() -> None:
        after = {
            "renamed": with_tenant(acme, subdomain="new"),
            "deleted": None,
            "key dropped": replace(acme, keys=()),
        }
        world.store.write(acme, after[change], edit=Edit(actor=ACTOR))

    world.source.meanwhile["look-up"] = meanwhile
    by_key = change == "key dropped"
    assert await world.name_of(*((None, "pepper:acme") if by_key else ("acme", None))) is None
    assert change != "deleted" or len(world.cache) == 0


async def test_a_new_tenant_whose_message_was_lost_is_known_after_the_next_look(world: World) -> None:
    await world.cache.check()
    assert await world.name_of("acme") is None
    world.create("acme")
    assert await world.name_of("acme") is None
    await world.cache.check()
    assert await world.name_of("acme") == "acme"


async def test_a_change_whose_message_was_lost_is_found_by_the_next_look(world: World) -> None:
    idle = world.create("idle")
    [acme] = await world.hold("acme")
    world.write(acme, renamed(acme, "Acme"))
    world.write(idle, renamed(idle, "Idle"))
    world.source.calls.clear()
    await world.cache.check()
    assert world.source.calls == ["changes", "read"]
    assert await world.name_of("acme") == "Acme"


async def test_a_look_without_changes_is_one_question(world: World) -> None:
    await world.hold("acme")
    world.source.calls.clear()
    await world.cache.check()
    assert world.source.calls == ["changes"]
    assert world.cache.last_config_check == world.clock.time


async def test_cache_reads_everything_again_after_a_lost_connection_at_most_every_5_s(world: World) -> None:
    await world.hold("one", "two")
    for seconds, reads in ((6.0, 2), (0.1, 0), (5.0, 2)):
        world.clock.time += seconds
        world.source.calls.clear()
        world.cache._reconnected()
        await world.settle()
        assert world.source.calls.count("read") == reads, seconds


@pytest.mark.parametrize("trouble", ["an older one", "one of the same age, while it was down"])
async def test_a_store_that_was_replaced_by_another_is_read_anew(world: World, trouble: str) -> None:
    [acme] = await world.hold("acme")
    world.clock.time += 6
    if trouble == "an older one":
        world.store.revision = 0
    else:
        world.source.down = EVERYTHING
        await world.look_in_background()
        world.source.down = frozenset()
    world.store._snapshots["id-acme"] = renamed(acme, "Other")
    await world.cache.check()
    assert await world.name_of("acme") == "Other"


async def test_a_long_reload_does_not_hold_up_the_next_look(world: World) -> None:
    names = ("one", "two", "three")
    for name in names:
        world.create(name)
        await world.cache.find(name, None)

    async def be_slow() -> None:
        world.clock.time += 1.5

    world.source.calls.clear()
    world.source.meanwhile["read"] = be_slow
    await world.cache.check()
    assert world.source.calls == ["changes", "read"]
    await world.cache.check()
    assert world.source.calls == ["changes", "read", "changes", "read", "read"]


async def test_cache_is_current_once_it_has_read_all_that_a_look_has_found(world: World) -> None:
    assert world.cache.current is None
    [acme] = await world.hold("acme")
    await world.cache.check()
    assert world.cache.current == (world.store.revision, world.clock.time)
    world.write(acme, renamed(acme, "Acme"))
    before, world.source.down = world.cache.current, frozenset({"read"})
    await world.look_in_background()
    assert world.cache.current == before
    world.source.down = frozenset()
    world.clock.time += 1
    await world.cache.check()
    assert world.cache.current == (world.store.revision, world.clock.time)


async def test_cache_drops_unused_tenants_and_keeps_used_ones(world: World) -> None:
    for number in range(50):
        world.create(f"t{number}")
        await world.cache.find(f"t{number}", None)
    world.clock.time += 3000
    await world.cache.find("t7", None)
    world.clock.time += 1000
    await world.cache.sweep()
    assert len(world.cache) == 1
    assert world.cache.peek("t7", None) is not None
    assert world.cache.peek(None, "pepper:t8") is None


@pytest.mark.parametrize("world", [{"knobs": Knobs(max_entries=2)}], indirect=True)
async def test_no_more_tenants_are_held_than_allowed_and_the_least_used_go_first(world: World) -> None:
    for name in "abc":
        world.create(name)
    await world.cache.find("a", None)
    await world.cache.find("b", None)
    await world.cache.find("a", None)
    assert await world.name_of("c") == "c"
    assert len(world.cache) == 2
    assert world.cache.peek("b", None) is None
    assert await world.name_of("b") == "b"


@pytest.mark.parametrize("world", [{"knobs": Knobs(max_entries=1)}], indirect=True)
async def test_a_crowd_of_more_tenants_than_fit_is_served_all_the_same(world: World) -> None:
    names = [f"t{number}" for number in range(20)]
    for name in names:
        world.create(name)
    assert await asyncio.gather(*map(world.name_of, names)) == names


@pytest.mark.parametrize("world", [{"knobs": Knobs(config_ttl=0.001, cleanup_interval=0.001)}], indirect=True)
async def test_the_background_looks_again_and_again_until_it_is_closed(live: World) -> None:
    await live.until(lambda: live.source.calls.count("changes") > 3)
    await live.cache.close()
    live.source.calls.clear()
    await live.settle()
    assert live.source.calls == []


def two_peppers(newest: str, older: str) -> str:
    found = KeyHash(newest)
    found.older = (older,)
    return found


@pytest.mark.parametrize("subdomain", ["acme", None])
async def test_key_of_an_older_pepper_is_found_and_then_costs_no_question(
    world: World, subdomain: str | None
) -> None:
    world.create("acme")
    key = two_peppers("new:acme", "pepper:acme")
    assert await world.asked(subdomain, key) == ["look-up", "read"]
    for _ in range(3):
        assert world.cache.peek(subdomain, key) is not None
        assert await world.asked(subdomain, key) == []


async def test_unknown_key_with_two_peppers_costs_one_question_and_then_none(world: World) -> None:
    world.create("acme")
    await world.cache.find("acme", None)
    strangers = [("acme", two_peppers("new:x", "pepper:x")), (None, two_peppers("new:y", "pepper:y"))]
    assert [await world.asked(*stranger) for stranger in strangers] == [["look-up"]] * 2
    assert [await world.asked(*stranger) for stranger in strangers] == [[]] * 2
