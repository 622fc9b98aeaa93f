"""Tenants held in memory by the names they have now, and names that are nobody's, for a short time."""

import asyncio
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config_store.cache.lru import ABSENT_SECONDS, GatewayLru, NegativeCache
from tests.config_store.cache.reader_world import Compiled, World
from tests.config_store.configurations import a_tenant, an_api_key, with_tenant

NAMES = st.sampled_from("abcd")
PUTS = st.tuples(st.just("put"), NAMES, NAMES, st.sets(NAMES))
DROPS = st.tuples(st.just("drop"), NAMES, NAMES, st.sets(NAMES))
FINDS = st.tuples(st.just("find"), NAMES, NAMES, st.sets(NAMES))


def compiled(tenant: str, subdomain: str, keys: set[str]) -> Compiled:
    snapshot = a_tenant(tenant, keys=tuple(map(an_api_key, sorted(keys))))
    return Compiled(with_tenant(snapshot, subdomain=subdomain))


@given(st.lists(PUTS | DROPS | FINDS), st.integers(1, 3))
def test_tenant_found_in_the_lru_has_the_subdomain_or_key(
    steps: list[tuple[str, str, str, set[str]]], most: int
) -> None:
    held: GatewayLru[Compiled] = GatewayLru(most)
    for number, (step, tenant, subdomain, keys) in enumerate(steps):
        if step == "put":
            new = compiled(tenant, subdomain, keys)
            held.put(new, now=float(number))
            assert held.find(subdomain, None, number) is new
            assert all(held.find(None, f"pepper:{key}", number) is new for key in keys)
        elif step == "drop":
            held.drop(f"id-{tenant}")
            assert f"id-{tenant}" not in held
        else:
            by_subdomain = held.find(subdomain, None, number)
            assert by_subdomain is None or by_subdomain.snapshot.tenant.subdomain == subdomain
            by_key = held.find(None, f"pepper:{subdomain}", number)
            assert by_key is None or f"pepper:{subdomain}" in by_key.keys
        assert len(held) == len(list(held)) <= most


def test_lru_keeps_no_name_after_its_last_tenant() -> None:
    held: GatewayLru[Compiled] = GatewayLru(10)
    for name in "abc":
        held.put(compiled(name, name, {name}), now=1.0)
    assert held.drop_idle(before=0.5, most=100) == 0
    assert held.drop_idle(before=1.0, most=2) == 2
    assert held.drop_idle(before=1.0, most=2) == 1
    assert len(held) == 0
    assert (held._by_subdomain, held._by_key) == ({}, {})


def test_being_replaced_is_no_access() -> None:
    held: GatewayLru[Compiled] = GatewayLru(10)
    held.put(compiled("a", "a", set()), now=1.0)
    held.put(compiled("a", "a", {"new"}), now=5.0)
    assert held.drop_idle(before=1.0, most=10) == 1


def test_a_name_is_absent_for_a_short_time() -> None:
    absent = NegativeCache()
    assert not absent.holds(("key", "a"), now=10.0)
    absent.add(("key", "a"), now=10.0)
    assert absent.holds(("key", "a"), now=10.0 + ABSENT_SECONDS - 0.001)
    assert not absent.holds(("key", "a"), now=10.0 + ABSENT_SECONDS)
    assert not absent.holds(("subdomain", "a"), now=10.0)


def test_the_oldest_makes_room_for_the_newest() -> None:
    absent = NegativeCache(max_entries=2)
    for name in ("a", "b", "a", "c"):
        absent.add(("key", name), now=0.0)
    assert len(absent) == 2
    assert [absent.holds(("key", name), now=1.0) for name in "abc"] == [True, False, True]


def test_strangers_cannot_fill_the_memory() -> None:
    absent = NegativeCache()
    tracemalloc.start()
    for number in range(100_000):
        absent.add(("subdomain", f"unknown-host-number-{number:040}"), now=float(number))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 5_000_000


STRANGERS, MOST_BYTES = 1_000_000, 20_000_000


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_million_unknown_tenants_use_little_memory_and_evict_no_known_one() -> None:
    async def scenario() -> None:
        world = World()
        world.create("known")
        await world.cache.find("known", None)
        before = resident()
        for number in range(STRANGERS):
            assert await world.cache.find(f"stranger-{number}", f"key-{number}") is None
            if number % 1_000 == 0:
                world.source.calls.clear()
                world.clock.time += 0.1
        grown = resident() - before
        print(f"\n{STRANGERS} unknown tenants: {grown / 1e6:.1f} MB (promise {MOST_BYTES / 1e6:.0f} MB)")
        assert grown <= MOST_BYTES
        assert len(world.cache) == 1
        assert await world.asked("known") == []
        await world.cache.close()

    asyncio.run(scenario())
