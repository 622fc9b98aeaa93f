"""The audit log: every change has an entry, and an entry that was changed, added, removed or moved is found."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from shared.config_store.history.audit import MAX_CHANGES_BYTES, AuditEntry, AuditKey, SignedEntry, verify
from shared.config_store.history.edit import Edit
from shared.config_store.port import ConfigStore
from shared.config_store.store import RedisStore
from shared.core.errors import Conflict, StoreDown
from shared.testing.memory_store import MemoryStore
from tests.config_store.configurations import StillClock, a_tenant, an_api_key, create, with_tenant
from tests.config_store.test_platform import OPENAI, write_platform

KEY = AuditKey(b"a" * 32)
EDIT = Edit(actor="key:1", at=5.0, address="203.0.113.7", operation="patchTenant", message="why")


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest, client: redis.Redis) -> ConfigStore:
    if request.param == "memory":
        return MemoryStore(StillClock(), quarantine=0)
    return RedisStore(client, quarantine=0)


def entries(store: ConfigStore) -> list[AuditEntry]:
    return [signed.entry for signed in reversed(store.history.entries(100))]


def test_every_change_has_an_entry_with_its_author_and_its_place(store: ConfigStore) -> None:
    acme = create(store, a_tenant("acme"))
    named = store.write(acme, with_tenant(acme, name="New"), edit=EDIT)
    assert named
    keyed = store.write(named, replace(named, keys=(an_api_key("b"),)), edit=EDIT)
    write_platform(store, providers=(OPENAI,))
    store.write(keyed, None, edit=EDIT)
    found = entries(store)
    assert [(one.owner, one.action, one.version, one.before) for one in found] == [
        ("id-acme", "create", 1, ""),
        ("id-acme", "update", 2, "1"),
        ("id-acme", "update", 2, "2"),
        ("platform", "update", 1, "0"),
        ("id-acme", "delete", None, "3"),
    ]
    noted = found[1]
    assert (noted.actor, noted.at, noted.address, noted.operation, noted.message) == (
        *("key:1", 5.0, "203.0.113.7", "patchTenant", "why"),
    )
    assert [signed.number for signed in store.history.entries(100)] == [5, 4, 3, 2, 1]


def test_change_that_is_not_made_has_no_entry(store: ConfigStore) -> None:
    acme = create(store, a_tenant("acme"))
    with pytest.raises(Conflict):
        store.write(replace(acme, revision=9), with_tenant(acme, name="New"), edit=EDIT)
    assert len(entries(store)) == 1


def test_change_that_cannot_be_audited_is_not_made(client: redis.Redis) -> None:
    store = RedisStore(client, quarantine=0)
    acme = create(store, a_tenant("acme"))
    client.delete("{cfg}:audit")
    client.set("{cfg}:audit", "not a stream")
    with pytest.raises((StoreDown, Exception), match="WRONGTYPE"):
        store.write(acme, with_tenant(acme, name="New"), edit=EDIT)
    assert RedisStore(client, quarantine=0).read("id-acme") == acme


def test_pages_of_entries_follow_each_other(store: ConfigStore) -> None:
    for number in range(5):
        create(store, a_tenant(f"t{number}"))
    first = store.history.entries(2)
    second = store.history.entries(2, first[-1].id)
    assert [one.number for one in (*first, *second)] == [5, 4, 3, 2]


def test_entry_with_too_many_changes_keeps_the_first_and_says_so() -> None:
    changes = [{"op": "add", "path": f"/rules/{number}", "after": "x" * 100} for number in range(200)]
    entry = AuditEntry.of(
        replace(EDIT, changes=changes), owner="id-acme", action="update", version=2, before="1"
    )
    assert entry.cut
    assert 0 < len(entry.changes) < 200
    assert len(json.dumps(list(entry.changes))) <= MAX_CHANGES_BYTES
    assert list(entry.changes) == changes[: len(entry.changes)]


OWNERS = ("a", "b", "platform")


def signed(owner: str, before: int, number: int, action: str = "update") -> SignedEntry:
    entry = AuditEntry.of(EDIT, owner=owner, action=action, version=1, before=str(before or ""))
    fields = KEY.sign(entry)
    return SignedEntry(f"{number}-0", fields["entry"].encode(), fields["mac"], number)


def a_log(owners: Sequence[str]) -> tuple[list[SignedEntry], dict[str, int]]:
    """A log of changes of owners, and the revisions at its end."""
    newest: dict[str, int] = {}
    log = []
    for number, owner in enumerate(owners, 1):
        log.append(signed(owner, newest.get(owner, 0), number))
        newest[owner] = number
    return log, newest


LOGS = st.lists(st.sampled_from(OWNERS), min_size=3, max_size=12)


@given(LOGS, st.integers(0, 3))
def test_whole_log_and_one_without_its_beginning_verify(owners: list[str], dropped: int) -> None:
    log, newest = a_log(owners)
    assert [*verify(log, KEY, newest)] == []
    assert [*verify(log[dropped:], KEY, newest)] == []


@given(LOGS, st.data())
def test_flipped_byte_is_found(owners: list[str], data: st.DataObject) -> None:
    log, newest = a_log(owners)
    at = data.draw(st.integers(0, len(log) - 1))
    text = bytearray(log[at].text)
    text[data.draw(st.integers(0, len(text) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    log[at] = log[at]._replace(text=bytes(text))
    assert [*verify(log, KEY, newest)]


@given(LOGS, st.data())
def test_removed_entry_is_found_unless_it_is_the_oldest(owners: list[str], data: st.DataObject) -> None:
    log, newest = a_log(owners)
    at = data.draw(st.integers(0, len(log) - 1))
    found = [*verify(log[:at] + log[at + 1 :], KEY, newest)]
    assert bool(found) is (at != 0)


@given(LOGS, st.data())
def test_two_swapped_entries_of_an_owner_are_found(owners: list[str], data: st.DataObject) -> None:
    log, newest = a_log(owners)
    one, other = data.draw(st.tuples(*[st.integers(0, len(log) - 1)] * 2).filter(lambda ab: ab[0] < ab[1]))
    if log[one].entry.owner == log[other].entry.owner:
        log[one], log[other] = log[other], log[one]
        assert [*verify(log, KEY, newest)]


@given(LOGS, st.data())
def test_changed_number_is_found(owners: list[str], data: st.DataObject) -> None:
    log, newest = a_log(owners)
    at = data.draw(st.integers(0, len(log) - 1))
    log[at] = log[at]._replace(number=log[at].number + data.draw(st.integers(1, 99)))
    assert [*verify(log, KEY, newest)]


def test_entry_signed_with_another_pepper_is_found() -> None:
    log, newest = a_log(["a", "a"])
    first, *_ = verify(log, AuditKey(b"b" * 32), newest)
    assert "was changed, or signed with another pepper" in first


def test_tenant_that_was_deleted_and_created_again_verifies() -> None:
    log = [signed("a", 0, 1, "create"), signed("a", 1, 2, "delete"), signed("a", 0, 3, "create")]
    assert [*verify(log, KEY, {"a": 3})] == []


def test_log_that_a_store_wrote_verifies(client: redis.Redis) -> None:
    store = RedisStore(client, quarantine=0, audit_key=KEY)
    acme = create(store, a_tenant("acme"))
    for name in "abc":
        written: Any = store.write(acme, with_tenant(acme, name=name), edit=EDIT)
        acme = written
    write_platform(store, providers=(OPENAI,))
    log = [*reversed(store.history.entries(100))]
    newest = {"id-acme": acme.revision, "platform": store.read_platform().revision}
    assert [*verify(log, KEY, newest)] == []
    assert [*verify(log[:-1], KEY, newest)]
    assert [*verify(log[:2] + log[3:], KEY, newest)]
