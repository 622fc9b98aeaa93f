"""Tenants held in memory: found by the names they have now, whatever came before."""

from hypothesis import given
from hypothesis import strategies as st

from shared.config_store.cache.lru import GatewayLru
from tests.config_store.cache.reader_world import Compiled
from tests.config_store.configurations import a_tenant, an_api_key, with_tenant

NAMES = st.sampled_from("abcd")
PUTS = st.tuples(st.just("put"), NAMES, NAMES, st.sets(NAMES))
DROPS = st.tuples(st.just("drop"), NAMES, NAMES, st.sets(NAMES))
FINDS = st.tuples(st.just("find"), NAMES, NAMES, st.sets(NAMES))


def compiled(tenant: str, subdomain: str, keys: set[str]) -> Compiled:
    snapshot = a_tenant(tenant, keys=tuple(map(an_api_key, sorted(keys))))
    return Compiled(with_tenant(snapshot, subdomain=subdomain))


@given(st.lists(PUTS | DROPS | FINDS), st.integers(1, 3))
def test_whoever_is_found_has_the_name(steps: list[tuple[str, str, str, set[str]]], most: int) -> None:
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


def test_after_the_last_tenant_no_name_is_left() -> None:
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
