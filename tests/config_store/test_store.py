"""The store in Redis: its records, its trouble, and that it does as the one in memory."""

import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from shared.config_store.client import open_everywhere
from shared.config_store.history.edit import Edit
from shared.config_store.port import ConfigStore
from shared.config_store.store import RedisStore, open_store
from shared.core.errors import BadRecord, Conflict, GatewayError, StoreDown, StoreUnsure, SubdomainTaken
from shared.model.config import Rule, Snapshot
from shared.testing.memory_store import MemoryStore
from tests.config_store.configurations import (
    ACTOR,
    StillClock,
    a_full_tenant,
    a_tenant,
    an_api_key,
    create,
    with_tenant,
)
from tests.support.redis_sets import ClusterSet

RULE = Rule("rule", "/v1", "https://upstream.example")


@pytest.fixture
def store(client: redis.Redis) -> RedisStore:
    return RedisStore(client, quarantine=60)


def test_every_version_is_kept_with_its_writer(client: redis.Redis, store: RedisStore) -> None:
    acme = create(store, a_tenant("acme", updated_at=5.0))
    changed = replace(with_tenant(acme, updated_at=6.5), rules=(RULE,))
    store.write(acme, changed, edit=Edit(actor="key:key-acme"))
    assert sorted(client.keys("{cfg}:doc:*")) == [b"{cfg}:doc:id-acme:1", b"{cfg}:doc:id-acme:2"]
    stored: Any = client.get("{cfg}:doc:id-acme:2")
    version = orjson.loads(stored)
    assert (version["actor"], version["written_at"]) == ("key:key-acme", 6.5)
    assert [*version["rules"]] == ["rule"]


def test_a_write_of_a_key_leaves_the_document_as_it_was(client: redis.Redis, store: RedisStore) -> None:
    acme = create(store, a_tenant("acme"))
    before = client.dump("{cfg}:doc:id-acme:1")
    store.write(acme, replace(acme, keys=(an_api_key("new"),)), edit=Edit(actor="key:new"))
    assert client.dump("{cfg}:doc:id-acme:1") == before


def test_a_deleted_tenant_leaves_its_quarantine_and_the_news(client: redis.Redis, store: RedisStore) -> None:
    acme = create(store, a_full_tenant("acme"))
    store.write(acme, None, edit=Edit(actor=ACTOR))
    left = {"quarantine:acme", "revision", "changes", "deleted", "format", "audit"}
    assert {key.decode() for key in client.scan_iter()} == {f"{{cfg}}:{name}" for name in left}


def test_the_news_of_a_deletion_is_dropped_after_a_day(client: redis.Redis, store: RedisStore) -> None:
    store.write(create(store, a_tenant("old")), None, edit=Edit(actor=ACTOR))
    assert client.zscore("{cfg}:changes", "id-old") == 2
    client.zadd("{cfg}:deleted", {"id-old": 1_000_000})
    create(store, a_tenant("new"))
    assert client.zrange("{cfg}:changes", 0, -1) == [b"id-new"]
    assert client.zcard("{cfg}:deleted") == 0


def test_the_quarantine_ends(client: redis.Redis, store: RedisStore) -> None:
    store.write(create(store, a_tenant("acme")), None, edit=Edit(actor=ACTOR))
    assert 59_000 < int(client.pttl("{cfg}:quarantine:acme")) <= 60_000
    client.delete("{cfg}:quarantine:acme")
    assert create(store, with_tenant(a_tenant("heir"), subdomain="acme")) == store.read("id-heir")


def test_the_quarantine_in_memory_ends_too() -> None:
    clock = StillClock()
    store = MemoryStore(clock, quarantine=60)
    store.write(create(store, a_tenant("acme")), None, edit=Edit(actor=ACTOR))
    clock.time += 59
    with pytest.raises(SubdomainTaken):
        create(store, with_tenant(a_tenant("heir"), subdomain="acme"))
    clock.time += 1
    assert create(store, with_tenant(a_tenant("heir"), subdomain="acme")) == store.read("id-heir")


def test_subdomain_without_quarantine_is_free_at_once(client: redis.Redis) -> None:
    store = RedisStore(client, quarantine=0)
    store.write(create(store, a_tenant("acme")), None, edit=Edit(actor=ACTOR))
    assert create(store, with_tenant(a_tenant("heir"), subdomain="acme")) == store.read("id-heir")


def test_only_the_counters_of_a_deleted_tenant_are_gone(client: redis.Redis, store: RedisStore) -> None:
    acme = create(store, a_tenant("acme"))
    for number in range(1200):
        client.set(f"rl:{{id-acme}}:rule:{number}", 1)
    others = ("rl:{id-acme2}:rule:1", "rl:id-acme:rule:1")
    for other in others:
        client.set(other, 1)
    for budget in ("bud:{id-acme}:b:0", "bud:{id-acme2}:b:0"):
        client.hset(budget, "used", 1)
    store.write(acme, None, edit=Edit(actor=ACTOR))
    assert sorted(client.scan_iter("rl:*")) == sorted(other.encode() for other in others)
    assert [client.ttl(f"bud:{{{name}}}:b:0") > 39 * 86_400 for name in ("id-acme", "id-acme2")] == [
        True,
        False,
    ]


@pytest.mark.slow
def test_counters_of_a_deleted_tenant_are_gone_on_each_node_of_a_cluster(cluster: ClusterSet) -> None:
    with open_everywhere(cluster.options) as everywhere, closing(open_store(cluster.options, 60)) as store:
        everywhere.flushall()
        tenants = {node.port: cluster.key_of(node, "{{id-t{}}}")[4:-1] for node in cluster.servers}
        assert len(tenants) == 3
        for name in (*tenants.values(), "stays"):
            create(store, a_tenant(name))
            everywhere.set(f"rl:{{id-{name}}}:rule:1", 1)
            everywhere.hset(f"bud:{{id-{name}}}:b:0", "used", 1)
        for name in tenants.values():
            store.write(store.read(f"id-{name}"), None, edit=Edit(actor=ACTOR))
        assert list(everywhere.scan_iter("rl:*")) == [b"rl:{id-stays}:rule:1"]
        for name in tenants.values():
            assert 0 < everywhere.ttl(f"bud:{{id-{name}}}:b:0") <= 40 * 86_400
        assert everywhere.ttl("bud:{id-stays}:b:0") == -1


def test_search_for_counters_has_an_end(
    client: redis.Redis, store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    acme = create(store, a_tenant("acme"))
    for number in range(5000):
        client.set(f"rl:{{id-other}}:{number}", 1)
    store.max_scans = 2
    store.write(acme, None, edit=Edit(actor=ACTOR))
    assert store.read("id-acme") is None
    assert "left to expire: there are too many keys" in caplog.text


def test_counters_that_cannot_be_purged_do_not_fail_the_deletion_and_are_logged(
    client: redis.Redis, store: RedisStore, caplog: pytest.LogCaptureFixture
) -> None:
    acme = create(store, a_tenant("acme"))
    client.acl_setuser("default", enabled=True, commands=["-scan"])
    try:
        store.write(acme, None, edit=Edit(actor=ACTOR))
    finally:
        client.acl_setuser("default", enabled=True, commands=["+scan"])
    assert store.read("id-acme") is None
    assert "counters of the deleted tenant id-acme were left to expire" in caplog.text


def _overwrite(client: redis.Redis, key: str, **fields: Any) -> None:
    client.delete(key)
    client.hset(key, mapping=fields)


POISONS = {
    "no document": lambda client: client.delete("{cfg}:doc:id-bad:1"),
    "a document that is no JSON": lambda client: client.set("{cfg}:doc:id-bad:1", b"\xff{"),
    "a document of another kind": lambda client: client.set("{cfg}:doc:id-bad:1", "[]"),
    "a nested document": lambda client: client.set("{cfg}:doc:id-bad:1", "[" * 100_000),
    "an unknown field": lambda client: client.lset("{cfg}:keys:id-bad", 0, '{"colour": "red"}'),
    "a record without fields": lambda client: _overwrite(client, "{cfg}:tenant:id-bad", version="1"),
    "a version that is no number": lambda client: client.hset("{cfg}:tenant:id-bad", "version", "x"),
    "a use that is no time": lambda client: client.hset("{cfg}:used:id-bad", "key-bad", "x"),
    "a key of the wrong type": lambda client: (
        client.rename("{cfg}:order", "{cfg}:keys:id-bad")
        and client.zadd("{cfg}:order", {"id-good": 1, "id-bad": 2})
    ),
}


@pytest.mark.parametrize("poison", POISONS)
def test_corrupt_record_affects_its_tenant_only(
    client: redis.Redis, store: RedisStore, caplog: pytest.LogCaptureFixture, poison: str
) -> None:
    good = create(store, a_tenant("good"))
    create(store, a_tenant("bad"))
    POISONS[poison](client)
    store = RedisStore(client, quarantine=60)  # of a process that has read nothing yet
    with pytest.raises(BadRecord, match="id-bad"):
        store.read("id-bad")
    assert store.read("id-good") == good
    assert store.list(10, None).snapshots == (good,)
    assert "id-bad" in caplog.text


def test_store_without_a_server_raises_store_down(tmp_path: Path) -> None:
    store = open_store({"unix_socket_path": str(tmp_path / "nobody.sock")}, quarantine=60)
    for call in (
        store.ping,
        store.is_empty,
        lambda: store.read("id"),
        lambda: store.list(5, None),
        lambda: store.find_key("hash"),
        lambda: store.write(None, a_tenant("acme"), edit=Edit(actor=ACTOR)),
    ):
        with pytest.raises(StoreDown, match="does not respond") as caught:
            call()
        assert str(tmp_path) not in str(caught.value)
    store.close()


def test_a_store_that_hangs_is_given_up_soon(client: redis.Redis, valkey_socket: str) -> None:
    store = open_store({"unix_socket_path": valkey_socket}, quarantine=60)
    client.client_pause(10_000, all=False)
    with pytest.raises(StoreUnsure):
        create(store, a_tenant("acme"))
    client.client_unpause()
    store.ping()
    store.close()


def test_a_store_that_takes_no_writes_changes_nothing(client: redis.Redis, store: RedisStore) -> None:
    acme = create(store, a_tenant("acme"))
    client.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreDown, match=r"rejected a command: .*maxmemory"):
            store.write(acme, replace(acme, rules=(RULE,)), edit=Edit(actor=ACTOR))
    finally:
        client.config_set("maxmemory", "0")
    assert store.read("id-acme") == acme


def test_scripts_that_redis_forgot_are_sent_again(client: redis.Redis, store: RedisStore) -> None:
    acme = create(store, a_tenant("acme"))
    client.script_flush()
    assert store.list(5, None).snapshots == (acme,)
    client.script_flush()
    assert store.write(acme, None, edit=Edit(actor=ACTOR)) is None


NAMES = st.sampled_from(["a", "b", "c"])
KEY_SETS = st.lists(st.sampled_from(["k1", "k2", "k3"]), unique=True, max_size=3)


class StoresAgree(RuleBasedStateMachine):
    """Any sequence of writes, also wrong ones, has the same outcome in memory and in Redis."""

    client: redis.Redis

    @initialize()
    def empty(self) -> None:
        self.client.flushall()
        self.memory = MemoryStore(StillClock(), quarantine=60)
        self.redis = RedisStore(self.client, quarantine=60)
        self.seen: list[Snapshot] = []

    def both(self, before: Snapshot | None, after: Snapshot | None) -> None:
        one, other = (self.outcome(store, before, after) for store in (self.memory, self.redis))
        assert one == other
        if isinstance(one, Snapshot):
            self.seen.append(one)

    @staticmethod
    def outcome(store: ConfigStore, before: Snapshot | None, after: Snapshot | None) -> object:
        try:
            return store.write(before, after, edit=Edit(actor=ACTOR))
        except (Conflict, SubdomainTaken) as error:
            assert isinstance(error, GatewayError)
            # Their clocks differ.
            return type(error), re.sub(r"until \S+", "until then", str(error))

    def an_old_state(self, data: st.DataObject) -> Snapshot | None:
        """Something read before, mostly the newest."""
        return data.draw(st.sampled_from(self.seen[-3:])) if self.seen else None

    @rule(name=NAMES, subdomain=NAMES, keys=KEY_SETS)
    def create(self, name: str, subdomain: str, keys: list[str]) -> None:
        made = tuple(an_api_key(f"{name}-{key}") for key in keys)
        self.both(None, with_tenant(a_tenant(name, keys=made), subdomain=subdomain))

    @rule(data=st.data(), subdomain=NAMES, keys=KEY_SETS, rules=st.booleans())
    def change(self, data: st.DataObject, subdomain: str, keys: list[str], rules: bool) -> None:
        before = self.an_old_state(data)
        if before is not None:
            made = tuple(an_api_key(f"{before.tenant.name}-{key}") for key in keys)
            after = replace(before, keys=made, rules=(RULE,) if rules else ())
            self.both(before, with_tenant(after, subdomain=subdomain))

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        before = self.an_old_state(data)
        if before is not None:
            self.both(before, None)

    @invariant()
    def both_show_the_same(self) -> None:
        if not hasattr(self, "memory"):
            return
        assert self.memory.list(10, None) == self.redis.list(10, None)
        assert self.memory.is_empty() == self.redis.is_empty()
        for name in "abc":
            assert self.memory.read(f"id-{name}") == self.redis.read(f"id-{name}")
            for key in ("k1", "k2", "k3"):
                key_hash = f"pepper:{name}-{key}"
                assert self.memory.find_key(key_hash) == self.redis.find_key(key_hash)


def test_redis_does_what_memory_does(client: redis.Redis) -> None:
    machine = type("Machine", (StoresAgree,), {"client": client})
    run_state_machine_as_test(machine, settings=settings(stateful_step_count=20))
