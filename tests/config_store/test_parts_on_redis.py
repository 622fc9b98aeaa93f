"""The parts of documents in Redis: always those that a kept version names, whatever was written and failed."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from shared.config_store.check import violations
from shared.config_store.history.edit import Edit
from shared.config_store.idempotency import Claim
from shared.config_store.records.parts import PartNames
from shared.config_store.source import RedisSource, open_source
from shared.config_store.store import RedisStore
from shared.core.errors import BadRecord, CallInProgress, Conflict, GatewayError, StoreDown
from shared.model.config import Rule, Snapshot
from shared.testing.memory_store import MemoryStore
from tests.config_store.configurations import (
    ACTOR,
    StillClock,
    a_full_tenant,
    a_tenant,
    change,
    create,
    with_tenant,
)

NAMES = PartNames(b"p" * 32)
RULES = tuple(Rule(f"rule-{number}", f"/{number}", "https://u.example") for number in range(4))


@pytest.fixture
def store(client: redis.Redis) -> RedisStore:
    return a_store(client)


def a_store(client: redis.Redis, kept: int = 1) -> RedisStore:
    store = RedisStore(client, quarantine=0, names=NAMES)
    store.kept_versions = kept
    return store


def part_keys(client: redis.Redis) -> list[bytes]:
    return sorted(client.scan_iter("{cfg}:part:*"))


class Writers(RuleBasedStateMachine):
    """Two processes write any sequence, also on old states, and pin versions.

    All readers see the same, also in old versions, and no part is left.
    """

    client: redis.Redis
    kept: int

    @initialize()
    def empty(self) -> None:
        self.client.flushall()
        self.memory = MemoryStore(StillClock(), quarantine=0)
        self.memory.history.kept_versions = self.kept
        self.stores = [a_store(self.client, self.kept), a_store(self.client, self.kept)]
        self.seen: list[Snapshot | None] = [None]

    @rule(
        first=st.booleans(),
        age=st.integers(0, 2),
        rules=st.lists(st.integers(0, 3), unique=True, max_size=4),
        path=st.sampled_from(["/a", "/b"]),
        tier=st.sampled_from(["basic", "pro"]),
        ends=st.booleans(),
    )
    def write(self, first: bool, age: int, rules: list[int], path: str, tier: str, ends: bool) -> None:
        before = self.seen[max(-len(self.seen), -1 - age)]
        after: Snapshot | None = with_tenant(before or a_tenant("acme"), tier=tier)
        assert after is not None
        own = {one.id: one for one in after.rules}
        chosen = [own.get(RULES[one].id, RULES[one]) for one in rules]
        if chosen:
            chosen[0] = replace(chosen[0], path=path)
        after = None if ends and before is not None else replace(after, rules=tuple(chosen))
        outcomes = []
        for one in (self.memory, self.stores[first]):
            try:
                outcomes.append(one.write(before, after, edit=Edit(actor=ACTOR)))
            except Conflict:
                outcomes.append("conflict")
        assert outcomes[0] == outcomes[1]
        if outcomes[1] != "conflict":
            self.seen.append(outcomes[1])

    @rule(first=st.booleans(), age=st.integers(0, 4), pinned=st.booleans())
    def pin(self, first: bool, age: int, pinned: bool) -> None:
        notes = self.memory.history.notes("id-acme", 100)
        if age < len(notes):
            number = notes[age].version
            for one in (self.memory, self.stores[first]):
                note = one.history.note("id-acme", number)
                assert note is not None
                assert one.history.pin("id-acme", note, pinned=pinned) is True

    @invariant()
    def all_read_the_same_versions(self) -> None:
        expected = self.memory.history.notes("id-acme", 100)
        for one in (*self.stores, a_store(self.client)):
            found = one.history.notes("id-acme", 100)
            assert [replace(note, root="") for note in found] == [replace(note, root="") for note in expected]
            for note, other in zip(found, expected, strict=True):
                content = self.memory.history.content("id-acme", other)
                assert one.history.content("id-acme", note) == content is not None

    @invariant()
    def all_read_the_same(self) -> None:
        expected = self.memory.read("id-acme")
        for one in (*self.stores, a_store(self.client)):
            assert one.read("id-acme") == expected

    @invariant()
    def nothing_is_missing_or_left(self) -> None:
        assert violations(self.client, NAMES) == []


@pytest.mark.parametrize("kept", [1, 3])
def test_any_sequence_of_edits_of_two_writers_is_read_back(valkey_socket: str, kept: int) -> None:
    with redis.Redis(unix_socket_path=valkey_socket) as client:
        machine: Any = type("OnValkey", (Writers,), {"client": client, "kept": kept})
        run_state_machine_as_test(
            machine, settings=settings(max_examples=20, stateful_step_count=12, deadline=None)
        )


def test_saves_at_the_same_time_lose_no_rule_and_leave_no_part(
    client: redis.Redis, valkey_socket: str
) -> None:
    create(a_store(client), a_tenant("acme"))
    made: list[str] = []

    def save(process: int) -> None:
        with redis.Redis(unix_socket_path=valkey_socket) as own:
            store = a_store(own)
            for number in range(15):
                one = replace(RULES[0], id=f"rule-{process}-{number}")
                while True:
                    before = store.read("id-acme")
                    assert before is not None
                    try:
                        # Every third save also removes a rule.
                        rest = before.rules[1:] if number % 3 == 2 else before.rules
                        change(store, before, replace(before, rules=(*rest, one)))
                        break
                    except Conflict:
                        continue
                made.append(one.id)

    threads = [threading.Thread(target=save, args=(process,)) for process in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 45
    found = a_store(client).read("id-acme")
    assert found is not None
    assert len(found.rules) == len(part_keys(client)) == 30
    assert violations(client, NAMES) == []


def test_versions_are_bounded_by_their_bytes_and_the_newest_and_pinned_ones_stay(
    client: redis.Redis,
) -> None:
    store = a_store(client, kept=100)
    store.kept_bytes = 20_000
    acme = create(store, a_tenant("acme"))
    first = store.history.note("id-acme", 1)
    assert first is not None
    assert store.history.pin("id-acme", first, pinned=True)
    for number in range(30):
        large = replace(RULES[0], path=f"/{number}{'x' * 2_000}")
        acme = change(store, acme, replace(acme, rules=(large,)))
        assert violations(client, NAMES) == []
    numbers = [note.version for note in store.history.notes("id-acme", 100)]
    assert numbers[0] == 31
    assert numbers[-1] == 1
    assert 3 < len(numbers) < 10
    assert sum(len(client.get(key) or b"") for key in client.scan_iter("{cfg}:part:*")) < 20_000
    huge = change(store, acme, replace(acme, rules=(replace(RULES[0], path="/" + "y" * 30_000),)))
    assert [note.version for note in store.history.notes("id-acme", 100)] == [32, 1]
    assert store.read("id-acme") == huge
    assert violations(client, NAMES) == []


def test_save_of_one_rule_sends_one_part(client: redis.Redis, store: RedisStore) -> None:
    acme = create(store, replace(a_tenant("acme"), rules=RULES))
    before = part_keys(client)
    client.config_resetstat()
    change(store, acme, replace(acme, rules=(*RULES[:-1], replace(RULES[-1], path="/new"))))
    stats: Any = client.info("commandstats")
    assert stats["cmdstat_set"]["calls"] <= 3, "the part, the root, the number of the layout"
    assert len({*part_keys(client)} & {*before}) == 3


def test_failed_saves_leave_all_parts_as_they_were(client: redis.Redis, store: RedisStore) -> None:
    acme = create(store, replace(a_tenant("acme"), rules=RULES))
    before = part_keys(client)
    after = replace(acme, rules=(replace(RULES[0], path="/new"),))
    with pytest.raises(CallInProgress):
        store.write(acme, after, edit=Edit(actor=ACTOR), claim=Claim("call", "gone", lambda _: ""))
    with pytest.raises(Conflict):
        store.write(replace(acme, revision=77), after, edit=Edit(actor=ACTOR))
    client.config_set("maxmemory", "1")
    try:
        with pytest.raises(StoreDown):
            store.write(acme, after, edit=Edit(actor=ACTOR))
    finally:
        client.config_set("maxmemory", "0")
    assert part_keys(client) == before
    assert store.read("id-acme") == a_store(client).read("id-acme") == acme
    change(store, acme, after)
    assert len(part_keys(client)) == 1
    assert violations(client, NAMES) == []


def test_deleted_tenant_leaves_no_part(client: redis.Redis, store: RedisStore) -> None:
    acme = create(store, a_full_tenant("acme"))
    a_store(client).write(acme, None, edit=Edit(actor=ACTOR))  # a process that has not read it
    assert part_keys(client) == []
    assert store.read("id-acme") is None


def parts_of(client: Any, tenant: str) -> list[bytes]:
    return sorted(client.scan_iter(f"{{cfg}}:part:id-{tenant}:*"))


def swap(client: Any) -> None:
    one, other = parts_of(client, "acme")
    first, second = client.mget(one, other)
    client.mset({one: second, other: first})


def edit(client: Any) -> None:
    key = parts_of(client, "acme")[0]
    client.set(key, client.get(key).replace(b"https://u.example", b"https://evil.test"))


def replace_by_a_list(client: Any) -> None:
    key = parts_of(client, "acme")[0]
    client.delete(key)
    client.rpush(key, "x")


def take_from_another(client: Any) -> None:
    ours = parts_of(client, "acme")[0]
    # Both tenants have the same rules: one that is another text than ours.
    others = [one for one in parts_of(client, "beta") if client.get(one) != client.get(ours)]
    client.copy(others[0], ours, replace=True)


def edit_root(client: Any) -> None:
    client.set("{cfg}:doc:id-acme:1", client.get("{cfg}:doc:id-acme:1").replace(b'"basic"', b'"pro"'))


def take_root_of_another(client: Any) -> None:
    client.copy("{cfg}:doc:id-beta:1", "{cfg}:doc:id-acme:1", replace=True)
    client.hset("{cfg}:tenant:id-acme", "root", client.hget("{cfg}:tenant:id-beta", "root"))


HOSTILE: dict[str, Callable[[Any], object]] = {
    "two parts changed places": swap,
    "a part was edited": edit,
    "a part of another tenant": take_from_another,
    "a part is gone": lambda client: client.delete(parts_of(client, "acme")[0]),
    "a part of another type": replace_by_a_list,
    "the root was edited": edit_root,
    "the root of another tenant": take_root_of_another,
    "the record names no root": lambda client: client.hdel("{cfg}:tenant:id-acme", "root"),
    "the record names another root": lambda client: client.hset("{cfg}:tenant:id-acme", "root", "x" * 24),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_document_that_was_not_stored_so_is_rejected(
    client: redis.Redis, store: RedisStore, valkey_socket: str, name: str
) -> None:
    create(store, replace(a_tenant("acme"), rules=RULES[:2]))
    beta = create(store, replace(a_tenant("beta"), rules=RULES[:2]))
    HOSTILE[name](client)
    fresh = a_store(client)
    with pytest.raises(BadRecord, match="id-acme"):
        fresh.read("id-acme")
    assert fresh.list(5, None).snapshots == (beta,)

    async def read() -> object:
        source = open_source({"unix_socket_path": valkey_socket}, names=NAMES)
        try:
            return await source.read("id-acme")
        finally:
            await source.close()

    with pytest.raises(BadRecord, match="id-acme"):
        asyncio.run(read())
    assert any("id-acme" in said for said in violations(client, NAMES))


def test_store_under_another_secret_is_rejected(client: redis.Redis, store: RedisStore) -> None:
    create(store, a_tenant("acme"))
    with pytest.raises(BadRecord, match="not the one that was stored"):
        RedisStore(client, quarantine=0, names=PartNames(b"q" * 32)).read("id-acme")


async def test_worker_reads_only_the_parts_that_it_has_not(
    client: redis.Redis, store: RedisStore, valkey_socket: str
) -> None:
    acme = create(store, replace(a_tenant("acme"), rules=RULES))
    source = RedisSource(redis.asyncio.Redis(unix_socket_path=valkey_socket), names=NAMES)
    first = await source.read("id-acme")
    changed = change(store, acme, replace(acme, rules=(*RULES[:3], replace(RULES[3], path="/new"))))
    client.config_resetstat()
    second = await source.read("id-acme")
    assert (first, second) == (acme, changed)
    assert first is not None
    assert second is not None
    assert all(one is other for one, other in zip(first.rules[:3], second.rules[:3], strict=True))
    stats: Any = client.info("commandstats")
    assert stats["cmdstat_mget"]["calls"] == 1
    client.config_resetstat()
    assert await source.read("id-acme") == changed
    stats = client.info("commandstats")
    assert "cmdstat_mget" not in stats
    assert stats["cmdstat_get"]["calls"] == 1, "the revision; neither root nor parts"
    await source.close()


async def test_part_that_a_change_dropped_between_two_replies_is_not_missing(
    client: redis.Redis, store: RedisStore, valkey_socket: str
) -> None:
    acme = create(store, replace(a_tenant("acme"), rules=RULES))
    source = RedisSource(redis.asyncio.Redis(unix_socket_path=valkey_socket), names=NAMES)
    ask, asked = source._client.mget, []

    async def late(keys: Any) -> Any:
        if not asked:
            change(store, acme, replace(acme, rules=(replace(RULES[0], path="/new"),)))
        asked.append(keys)
        return await ask(keys)

    source._client.mget = late  # type: ignore[method-assign]
    found = await source.read("id-acme")
    assert found == store.read("id-acme") != acme
    assert len(asked) == 2
    await source.close()


def test_writer_that_was_overtaken_by_another_store_is_rejected(
    client: redis.Redis, store: RedisStore
) -> None:
    """The number of a change may come again in a restored store; then the root differs."""
    acme = create(store, a_tenant("acme"))
    client.flushall()
    other = create(a_store(client), replace(a_tenant("acme"), rules=RULES))
    assert other.revision == acme.revision
    with pytest.raises(GatewayError):
        store.write(acme, replace(acme, rules=RULES[:1]), edit=Edit(actor=ACTOR))
    assert violations(client, NAMES) == []
    assert store.read("id-acme") == other
