"""The last good configuration on disk."""

import resource
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.config_store import snapshot
from shared.config_store.records.codec import encode
from shared.config_store.snapshot import RuleTexts, SnapshotFile
from shared.model.config import Rule, Snapshot
from shared.model.providers import Discovered, PlatformDocument
from tests.config_store.configurations import a_full_tenant, a_tenant, with_tenant
from tests.config_store.test_platform import FAST, a_full_provider

META = {"revision": 7, "stores": {}, "workers": 2}


@pytest.fixture
def disk(tmp_path: Path) -> SnapshotFile:
    return SnapshotFile(tmp_path / "snapshot.sqlite")


def test_path_that_cannot_be_looked_at_counts_as_missing(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path / ("x" * 300))
    assert (file.meta(), file.tenants(), file.find("id", "acme")) == ({}, set(), None)


def test_stored_tenant_is_found_by_id_subdomain_and_key(disk: SnapshotFile) -> None:
    full = a_full_tenant("acme")
    disk.write(META, [full, a_tenant("other")], [])
    for kind, text in (
        ("id", "id-acme"),
        ("subdomain", "acme"),
        ("key", "pepper:acme-a"),
        ("key", "pepper:acme-b"),
    ):
        assert disk.find(kind, text) == full
    assert (disk.meta(), disk.tenants()) == (META, {"id-acme", "id-other"})
    for kind in ("id", "subdomain", "key"):
        assert disk.find(kind, "nobody") is None


def test_replaced_and_dropped_tenants_lose_their_old_names(disk: SnapshotFile) -> None:
    acme = a_tenant("acme")
    disk.write(META, [acme, a_tenant("gone")], [])
    disk.write(META, [with_tenant(a_tenant("new"), id="id-acme")], ["id-gone", "never"])
    assert disk.tenants() == {"id-acme"}
    assert [disk.find("subdomain", name) for name in ("acme", "gone")] == [None, None]
    assert [disk.find("key", f"pepper:{name}") for name in ("acme", "gone")] == [None, None]
    assert disk.find("key", "pepper:new") == disk.find("subdomain", "new")


def with_rules(count: int, name: str = "acme") -> Snapshot:
    rules = (Rule(f"rule_{number}", f"/{number}", "https://u.example") for number in range(count))
    return a_tenant(name, rules=tuple(rules))


@pytest.mark.parametrize("count", [3, 60])
def test_tenant_whose_rules_change_is_found_as_it_was_written_last(disk: SnapshotFile, count: int) -> None:
    acme = with_rules(count)
    first, *others = acme.rules
    changed = replace(first, target="https://v.example")
    for rules in (acme.rules, (changed, *others), (*others, changed), tuple(others), acme.rules):
        written = replace(acme, rules=rules)
        disk.write(META, [written], [])
        assert disk.find("id", "id-acme") == written


def test_only_changed_rules_of_many_are_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[object] = []

    def note(value: object) -> str:
        encoded.append(value)
        return encode(value)

    monkeypatch.setattr(snapshot, "encode", note)
    texts, acme = RuleTexts(most=100), with_rules(60)
    texts(acme)
    encoded.clear()
    changed = replace(acme.rules[7], active=False)
    after = replace(acme, rules=(*acme.rules[:7], changed, *acme.rules[8:]))
    assert texts(after) == [encode(rule) for rule in after.rules]
    assert encoded == [changed]
    texts(with_rules(60, "other"))  # more than are kept
    encoded.clear()
    texts(after)
    assert len(encoded) == 60


def test_stored_platform_is_found_until_it_is_dropped(disk: SnapshotFile) -> None:
    document = PlatformDocument(
        (a_full_provider("p"),),
        (FAST,),
        {"p/m": {"input": "1"}},
        2,
        5.5,
        7,
        {"prv_p": Discovered(("m",), 5.0)},
    )
    assert disk.platform() is None
    disk.write(META, [a_tenant("acme")], [], document)
    assert disk.platform() == document
    disk.write({**META, "revision": 8}, [], ["id-acme"])
    assert (disk.platform(), disk.tenants(), disk.meta()["revision"]) == (document, set(), 8)
    disk.write(META, [], ["platform"])
    assert disk.platform() is None


def test_damaged_platform_counts_as_missing(disk: SnapshotFile, caplog: pytest.LogCaptureFixture) -> None:
    disk.write(META, [], [], PlatformDocument())
    for damage in ("[]", "x", '["", "{}"]', "null"):
        with sqlite3.connect(disk.path) as database:
            database.execute("UPDATE meta SET value = ? WHERE name = 'platform'", (damage,))
        database.close()
        assert (disk.platform(), disk.meta()) == (None, META)
    assert "The checksum of the platform is wrong." in caplog.text


def test_only_its_user_can_open_the_file(disk: SnapshotFile) -> None:
    disk.write(META, [a_tenant("acme")], [])
    assert [path.stat().st_mode & 0o777 for path in disk.path.parent.iterdir()] == [0o600]


def test_missing_file_knows_nothing(disk: SnapshotFile, caplog: pytest.LogCaptureFixture) -> None:
    assert (disk.meta(), disk.find("id", "id-acme"), disk.tenants()) == ({}, None, set())


def test_changed_row_is_not_served(disk: SnapshotFile, caplog: pytest.LogCaptureFixture) -> None:
    disk.write(META, [a_tenant("acme"), a_tenant("other")], [])
    with sqlite3.connect(disk.path) as database:
        database.execute(
            "UPDATE tenants SET snapshot = replace(snapshot, 'acme', 'evil') WHERE id = 'id-acme'"
        )
    database.close()
    assert disk.find("id", "id-acme") is None
    assert disk.find("id", "id-other") == a_tenant("other")
    assert disk.tenants() == {"id-other"}
    assert "checksum" in caplog.text


@pytest.mark.parametrize("damage", [b"", b"not a database", b"SQLite format 3\0" + b"\xff" * 4096])
def test_damaged_file_is_logged_and_can_be_replaced(
    disk: SnapshotFile, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    disk.path.write_bytes(damage)
    assert (disk.meta(), disk.find("id", "id-acme")) == ({}, None)
    assert caplog.records
    disk.remove()
    disk.write(META, [a_tenant("acme")], [])
    assert disk.find("id", "id-acme") == a_tenant("acme")


def test_file_of_another_layout_is_not_used(disk: SnapshotFile) -> None:
    disk.write({**META, "layout": 99}, [a_tenant("acme")], [])
    assert disk.meta() == META
    with sqlite3.connect(disk.path) as database:
        database.execute("""UPDATE meta SET value = '{"layout": 99}'""")
    database.close()
    assert disk.meta() == {}


def test_file_whose_creation_fails_leaves_no_half_one(disk: SnapshotFile) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, most))  # as on a full disk
    try:
        with pytest.raises((OSError, sqlite3.Error)):
            disk.write(META, [a_tenant("acme")], [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert not disk.path.exists()
    disk.write(META, [a_tenant("acme")], [])
    assert disk.tenants() == {"id-acme"}


def test_write_that_fails_half_way_changes_nothing(disk: SnapshotFile) -> None:
    acme, other = a_tenant("acme"), a_tenant("other")
    disk.write(META, [acme, other], [])

    def failing() -> Iterator[Snapshot]:
        yield with_tenant(acme, name="changed")
        raise OSError("The disk is full.")

    with pytest.raises(OSError, match="full"):
        disk.write({"revision": 8}, failing(), ["id-other"])
    assert disk.meta() == META
    assert [disk.find("id", name) for name in ("id-acme", "id-other")] == [acme, other]


def test_readers_see_whole_versions_while_another_process_writes(disk: SnapshotFile) -> None:
    disk.write({"revision": 0}, [a_tenant("a", tier="0"), a_tenant("b", tier="0")], [])
    ending = threading.Event()

    def write() -> None:
        number = 0
        while not ending.wait(0.005):
            number += 1
            both = [a_tenant(name, tier=str(number)) for name in "ab"]
            disk.write({"revision": number}, both, [])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(50):
            one, other = disk.find("id", "id-a"), disk.find("id", "id-b")
            assert one is not None
            assert other is not None
            assert int(one.tenant.tier) <= int(other.tenant.tier)
    finally:
        ending.set()
        writer.join()
