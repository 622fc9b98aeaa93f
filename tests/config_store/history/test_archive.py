"""The audit log in files: whole after any end of the process, and proven together with the log in Redis."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import redis

from shared.config_store import layout
from shared.config_store.check import violations
from shared.config_store.history.archive import AuditArchive, archived, last_id
from shared.config_store.history.audit import AuditKey
from shared.config_store.store import RedisStore
from shared.model.config import Snapshot
from tests.config_store.configurations import a_tenant, change, create, with_tenant

KEY = AuditKey(b"a" * 32)


@pytest.fixture
def store(client: redis.Redis) -> RedisStore:
    return RedisStore(client, 0, audit_key=KEY)


def renamed(store: RedisStore, before: Snapshot, times: int) -> Snapshot:
    for number in range(times):
        before = change(store, before, with_tenant(before, name=f"Name {before.revision} {number}"))
    return before


def trimmed(client: redis.Redis, length: int) -> None:
    """Leave the newest entries in Redis only, as a long time does."""
    client.xtrim(layout.AUDIT, maxlen=length, approximate=False)


def lines(folder: Path) -> Sequence[bytes]:
    return [line for path in sorted(folder.iterdir()) for line in path.read_bytes().splitlines(keepends=True)]


def test_entries_are_copied_once_to_the_files_of_their_days(
    client: redis.Redis, store: RedisStore, tmp_path: Path
) -> None:
    acme = renamed(store, create(store, a_tenant("acme")), 2)
    assert AuditArchive(client, tmp_path / "audit").run() == 3
    renamed(store, acme, 1)
    other = AuditArchive(client, tmp_path / "audit")  # the next leader on this machine
    assert [other.run(), other.run()] == [1, 0]
    found = [*archived(tmp_path / "audit")]
    assert found == [*reversed(store.history.entries(10))]
    assert last_id(tmp_path / "audit") == found[-1].id
    client.xadd(layout.AUDIT, {"entry": "{}", "mac": "", "number": 1}, id="99999999999999-0")
    assert other.run() == 1
    assert [path.name for path in sorted((tmp_path / "audit").iterdir())][1:] == ["5138-11-16.jsonl"]
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "audit").iterdir()] == [0o600] * 2


@pytest.mark.parametrize("cut", [1, 40, 10_000])
def test_half_line_of_a_process_that_was_killed_is_written_again(
    client: redis.Redis, store: RedisStore, tmp_path: Path, cut: int
) -> None:
    renamed(store, create(store, a_tenant("acme")), 3)
    AuditArchive(client, tmp_path).run()
    whole = lines(tmp_path)
    [path] = tmp_path.iterdir()
    path.write_bytes(b"".join(whole[:2]) + whole[2][:-cut])
    assert len([*archived(tmp_path)]) == 2
    assert AuditArchive(client, tmp_path).run() == 2
    assert lines(tmp_path) == whole


def test_copy_ends_with_the_lead(client: redis.Redis, store: RedisStore, tmp_path: Path) -> None:
    create(store, a_tenant("acme"))
    assert AuditArchive(client, tmp_path).run(lambda: False) == 0
    assert lines(tmp_path) == []


def test_files_and_the_log_in_redis_prove_each_other(
    client: redis.Redis, store: RedisStore, tmp_path: Path
) -> None:
    acme = renamed(store, create(store, a_tenant("acme")), 4)
    AuditArchive(client, tmp_path).run()
    renamed(store, acme, 2)
    trimmed(client, 3)
    assert violations(client, audit_key=KEY, archive=tmp_path) == []
    [path] = tmp_path.iterdir()
    whole = lines(tmp_path)
    for wrong, sentence in (
        (whole[1].replace(b"update", b"upkeep"), "was changed"),
        (b"", "is missing or out of order"),
        (b"{}\n", "line 2: is not an entry"),
    ):
        path.write_bytes(b"".join([whole[0], wrong, *whole[2:]]))
        found = violations(client, audit_key=KEY, archive=tmp_path)
        assert any(sentence in one for one in found), (wrong, found)
    path.write_bytes(b"".join(whole[2:]))  # the operator has removed old ones
    assert violations(client, audit_key=KEY, archive=tmp_path) == []


def test_entry_that_was_replaced_in_redis_differs_from_its_file(
    client: redis.Redis, store: RedisStore, tmp_path: Path
) -> None:
    renamed(store, create(store, a_tenant("acme")), 2)
    AuditArchive(client, tmp_path).run()
    [*_, last] = lines(tmp_path)
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes().replace(last, last.replace(b'"number":3', b'"number":9')))
    found = violations(client, audit_key=KEY, archive=tmp_path)
    assert any("is another one than in its file" in one for one in found)
