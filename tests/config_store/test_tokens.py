"""The tokens of the platform in a store: found by hash, written with an entry, told to no proxy."""

from dataclasses import replace

import pytest
import redis

from shared.config_store import layout
from shared.config_store.check import violations
from shared.config_store.history.audit import AuditKey
from shared.config_store.history.edit import Edit
from shared.config_store.idempotency import Claim
from shared.config_store.port import ConfigStore
from shared.config_store.store import RedisStore
from shared.core.errors import CallInProgress, Conflict
from shared.model.config import PlatformScope, PlatformToken, PlatformTokens

EDIT = Edit(actor="platform", at=5.0, operation="createPlatformToken")
CI = PlatformToken("t1", "ci", "gwk_1", "pepper:1", scopes=(PlatformScope.WRITE,), created_at=1.0)
OPS = PlatformToken("t2", "ops", "gwk_2", "pepper:2", scopes=(PlatformScope.ADMIN,), created_at=2.0)


def write(store: ConfigStore, *tokens: PlatformToken) -> PlatformTokens:
    before = store.tokens.all()
    return store.tokens.write(before, replace(before, tokens=tokens), edit=EDIT)


def test_token_is_found_by_its_hash_as_long_as_it_is_stored(store: ConfigStore) -> None:
    assert store.tokens.all() == PlatformTokens()
    write(store, OPS, CI)
    assert store.tokens.find("pepper:1") == CI
    assert store.tokens.find("pepper:3") is None
    assert {one.id for one in store.tokens.all().tokens} == {"t1", "t2"}
    write(store, OPS)
    assert store.tokens.find("pepper:1") is None


def test_last_use_is_kept_and_is_no_change(store: ConfigStore) -> None:
    revision = write(store, CI).revision
    store.tokens.touch(CI, 7.5)
    assert store.tokens.find("pepper:1") == replace(CI, last_used_at=7.5)
    assert store.tokens.all() == PlatformTokens((replace(CI, last_used_at=7.5),), revision)


def test_write_on_older_tokens_conflicts(store: ConfigStore) -> None:
    before = store.tokens.all()
    write(store, CI)
    with pytest.raises(Conflict):
        store.tokens.write(before, replace(before, tokens=(OPS,)), edit=EDIT)


def test_write_without_its_claim_is_rejected(store: ConfigStore) -> None:
    before = store.tokens.all()
    with pytest.raises(CallInProgress):
        store.tokens.write(before, before, edit=EDIT, claim=Claim("name", "value", lambda _: "result"))
    assert store.tokens.all() == before


def test_change_is_told_to_no_proxy_and_has_an_entry(store: ConfigStore) -> None:
    before, _ = store.changes(0)
    number = write(store, CI).revision
    assert store.changes(before) == (number, [])
    write(store)
    entries = [one.entry for one in store.history.entries(10)]
    assert [(one.owner, one.action, one.before) for one in entries] == [
        ("platform.tokens", "update", str(number)),
        ("platform.tokens", "create", "0"),
    ]


def test_entry_of_tokens_that_was_removed_is_found(client: redis.Redis) -> None:
    key = AuditKey(b"a" * 32)
    store = RedisStore(client, 0, audit_key=key)
    for tokens in ([CI], [CI, OPS], [OPS]):
        write(store, *tokens)
    assert violations(client, audit_key=key) == []
    [_, second, third] = [one for one, _ in client.xrange(layout.AUDIT)]
    client.xdel(layout.AUDIT, second)
    assert len(violations(client, audit_key=key)) == 1
    client.xdel(layout.AUDIT, third)
    assert "The newest entry of platform.tokens is missing" in violations(client, audit_key=key)[0]


def test_damaged_token_is_worth_nothing_and_hides_no_other(
    client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    store = RedisStore(client, 0)
    write(store, CI, OPS)
    client.hset(layout.TOKENS, "pepper:1", "{}")
    assert store.tokens.find("pepper:1") is None
    assert [one.name for one in store.tokens.all().tokens] == ["ops"]
    assert "cannot be read" in caplog.text


def test_use_of_a_token_that_is_gone_leaves_no_time(client: redis.Redis) -> None:
    store = RedisStore(client, 0)
    write(store, CI)
    store.tokens.touch(CI, 1.0)
    write(store)
    assert client.hgetall(layout.used_key(layout.PLATFORM_ID)) == {}


def test_event_has_an_entry_in_a_chain_of_its_own(client: redis.Redis) -> None:
    key = AuditKey(b"a" * 32)
    store = RedisStore(client, 0, audit_key=key)
    write(store, CI)
    for number in range(3):
        store.tokens.add_event(Edit(actor="unknown", operation="failLogIn", summary=f"{number}"))
        write(store, *[CI, OPS][number % 2 :])
    found = [one.entry for one in store.history.entries(10) if one.entry.action == "event"]
    assert [(one.owner, one.summary) for one in found] == [("platform.events", n) for n in "210"]
    assert violations(client, audit_key=key) == []
    second = [one for one, fields in client.xrange(layout.AUDIT) if b"failLogIn" in fields[b"entry"]][1]
    client.xdel(layout.AUDIT, second)
    assert "an entry is missing" in violations(client, audit_key=key)[0]
