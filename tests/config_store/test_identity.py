"""Whether a store is the one that was served last, and what may be written to another one."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from shared.config_store.client import read_state
from shared.config_store.history.edit import Edit
from shared.config_store.identity import KnownStore, SecretIds, StoreState
from shared.config_store.seen_file import EMBEDDED, EXTERNAL, SeenFile, newest
from shared.config_store.source import open_source
from shared.config_store.store import RedisStore
from shared.core.errors import GatewayError, StoreLost
from shared.model.providers import Discovered
from tests.config_store.configurations import a_tenant, create, with_tenant
from tests.support.wait import until

SECRETS = SecretIds(("pepper",), ("key",))
STATE = StoreState(id="a", generation=2, revision=40, pepper="pepper", keys=("key",))


def a_store(client: redis.Redis, seen: StoreState | None = None) -> RedisStore:
    return RedisStore(client, quarantine=60, known=KnownStore(SECRETS, seen))


def state_of(client: redis.Redis) -> StoreState:
    state = read_state(client)
    assert state is not None
    return state


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (replace(STATE, revision=41), None),
        (STATE, None),
        (replace(STATE, revision=39), "older copy"),
        (replace(STATE, revision=39, generation=3), None),
        (replace(STATE, revision=99, generation=1), "older copy"),
        (replace(STATE, id="b"), "another"),
        (replace(STATE, id="b", replaces={"a": 2}), None),
        (replace(STATE, id="b", replaces={"a": 1}), "another"),
        (None, "empty"),
    ],
)
def test_store_is_lost_unless_it_has_what_was_seen_or_was_accepted(
    found: StoreState | None, why: str | None
) -> None:
    lost = STATE.why_lost(found)
    assert lost is None if why is None else why in (lost or "")
    assert replace(STATE, revision=0).why_lost(found) is None, "nothing was ever stored"


def test_state_survives_a_file_and_the_newest_one_of_a_store_counts(tmp_path: Path) -> None:
    file, embedded = (SeenFile(tmp_path / "store.json", mode) for mode in (EXTERNAL, EMBEDDED))
    assert file.load() is None
    file.save(STATE)
    assert (file.load(), embedded.load()) == (STATE, STATE), (
        "an embedded store stands in for the configured one"
    )
    other = replace(STATE, id="b", replaces={"a": 1})
    embedded.save(other)
    assert (file.load(), embedded.load()) == (STATE, other)
    assert (tmp_path / "store.json").stat().st_mode & 0o777 == 0o600
    newer = replace(STATE, revision=50)
    assert newest(STATE, newer) == newest(newer, STATE) == newer
    assert (newest(STATE, other), newest(None, other), newest(STATE, None)) == (STATE, other, STATE)


@pytest.mark.parametrize("text", ["{", "[]", '{"external": {"id": "a"}}', '{"external": 1}'])
def test_damaged_file_is_logged_and_does_not_prevent_the_start(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "store.json").write_text(text)
    assert SeenFile(tmp_path / "store.json", EXTERNAL).load() is None
    assert text == "[]" or caplog.records


def test_newest_state_is_stored_within_a_second(tmp_path: Path) -> None:
    file = SeenFile(tmp_path / "store.json", EXTERNAL)
    for revision in (41, 42):
        file.save_soon(replace(STATE, revision=revision))
    for _ in until(5):
        if (tmp_path / "store.json").exists():
            break
    assert json.loads((tmp_path / "store.json").read_text())["external"]["revision"] == 42


def test_state_that_cannot_be_stored_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    SeenFile(tmp_path / "missing" / "store.json", EXTERNAL).save_soon(STATE)
    for _ in until(5):
        if caplog.records:
            break
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_store_of_an_older_release_is_adopted_once(client: redis.Redis) -> None:
    acme = create(RedisStore(client, quarantine=60), a_tenant("acme"))
    assert read_state(client) is None
    first = a_store(client)
    first.ping()
    adopted = state_of(client)
    assert (adopted.generation, adopted.revision, adopted.pepper, adopted.keys) == (1, 1, "pepper", ("key",))
    assert client.get("{cfg}:format") == b"4"
    second = a_store(client)
    second.ping()
    assert state_of(client) == adopted
    first.write(acme, with_tenant(acme, name="Acme"), edit=Edit(actor="platform"))
    assert state_of(client).revision == 2
    second.ping()


def test_new_encryption_key_is_added_to_the_identity(client: redis.Redis) -> None:
    create(a_store(client), a_tenant("acme"))
    rotated = RedisStore(client, quarantine=60, known=KnownStore(SecretIds(("pepper",), ("new", "key"))))
    rotated.ping()
    assert state_of(client).keys == ("key", "new")
    with pytest.raises(StoreLost, match="secrets"):
        a_store(client).ping()


@pytest.mark.parametrize("fault", ["empty", "older", "another"])
def test_lost_store_takes_no_change_and_gets_no_identity(client: redis.Redis, fault: str) -> None:
    store = a_store(client)
    acme = create(store, a_tenant("acme"))
    if fault == "older":
        client.set("{cfg}:revision", 0)
    elif fault == "another":
        client.hset("{cfg}:identity", "id", "b")
    else:
        client.flushall()
    before = {key: client.dump(key) for key in client.scan_iter()}
    for change in (
        lambda: create(store, a_tenant("other")),
        lambda: store.write(acme, None, edit=Edit(actor="platform")),
        lambda: store.write_discovered("id-acme", "prv_1", Discovered(("a",), 1.0)),
        lambda: store.find_key("pepper:acme"),
        store.ping,
    ):
        with pytest.raises(StoreLost, match="accept"):
            change()
    assert {key: client.dump(key) for key in client.scan_iter()} == before


def test_change_is_refused_by_the_script_when_the_store_is_replaced_at_that_moment(
    client: redis.Redis,
) -> None:
    store = a_store(client)
    create(store, a_tenant("acme"))

    def replaced(*_: object) -> None:
        client.flushall()

    store._look = replaced  # type: ignore[method-assign]
    with pytest.raises(StoreLost):
        create(store, a_tenant("other"))
    assert client.keys() == []


async def test_source_of_a_lost_store_says_nothing_about_tenants(
    client: redis.Redis, valkey_socket: str
) -> None:
    create(a_store(client), a_tenant("acme"))
    source = open_source({"unix_socket_path": valkey_socket}, KnownStore(SECRETS))
    assert await source.changes(0) == (1, ["id-acme"])
    client.flushall()
    for question in (
        source.changes(0),
        source.read("id-acme"),
        source.tenant_of_subdomain("acme"),
        source.tenant_of_key("pepper:acme"),
    ):
        with pytest.raises(StoreLost):
            await question
    await source.close()


async def test_source_adopts_a_store_without_an_identity(client: redis.Redis, valkey_socket: str) -> None:
    source = open_source({"unix_socket_path": valkey_socket}, KnownStore(SECRETS))
    assert await source.changes(0) == (0, [])
    assert state_of(client).generation == 1
    await source.close()


def test_slow_reply_neither_counts_as_loss_nor_replaces_a_newer_state() -> None:
    known = KnownStore(SECRETS, STATE)
    before = known.seen
    known.note_revision(45)
    known.check(replace(STATE, revision=41), before)
    assert known.seen == replace(STATE, revision=45)
    with pytest.raises(StoreLost):
        known.check(replace(STATE, revision=41), known.seen)


def test_damaged_identity_is_told(client: redis.Redis) -> None:
    client.hset("{cfg}:identity", "id", "a")
    with pytest.raises(GatewayError, match="identity"):
        read_state(client)
