"""The secrets of a machine and the store in use: only those that belong together start."""

import os
from base64 import b64decode, b64encode
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from shared.config_store.check import violations
from shared.config_store.history.rename import rename_parts
from shared.config_store.layout import FORMAT
from shared.config_store.seen_file import EXTERNAL, SeenFile
from shared.config_store.store import RedisStore
from shared.core.errors import BadRecord, GatewayError, StoreDown, StoreLost
from shared.redis_server.store_secrets import part_names
from shared.secrets.api_keys import secret_id
from shared.secrets.files import SecretFileError
from shared.services import Services, connect
from shared.settings import Settings, load_settings
from tests.config_store.configurations import a_full_tenant, a_tenant, an_api_key, change, create
from tests.config_store.test_platform import OPENAI, write_platform
from tests.support.ports import free_port
from tests.support.wait import until


def settings(folder: Path, url: str | None = None, **files: Path) -> Settings:
    flags: dict[str, object] = {"data_dir": str(folder), "redis.port": free_port()}
    if url:
        flags |= {"redis.url": url, "redis.mode": "external"}
    loaded = load_settings(environ={}, flags=flags)
    return replace(loaded, security=replace(loaded.security, **files))


@pytest.fixture
def external(client: redis.Redis, valkey_socket: str, tmp_path: Path) -> Settings:
    return settings(tmp_path / "data", f"unix://{valkey_socket}")


def started(settings: Settings) -> Services:
    with connect(settings, remembers=True) as services:
        return services


def a_secret(folder: Path, name: str) -> Path:
    file = folder / name
    folder.mkdir(mode=0o700, exist_ok=True)
    file.touch(mode=0o600)
    file.write_bytes(b64encode(os.urandom(32)) + b"\n")
    return file


def fill(services: Services) -> None:
    key = replace(an_api_key("acme"), hash=services.hasher("secret"))
    create(services.store, a_tenant("acme", keys=(key,)))


def test_new_secrets_become_those_of_a_store_without_tenants(external: Settings) -> None:
    first = started(external)
    for name in ("pepper", "encryption-key"):
        (external.data_dir / name).unlink()
    second = started(external)
    assert first.instance != second.instance
    fill(second)
    with pytest.raises(StoreLost):
        first.store.ping()
    assert started(external).instance == second.instance


@pytest.mark.parametrize("name", ["pepper", "encryption-key"])
@pytest.mark.parametrize("is_missing", [True, False])
def test_store_of_an_older_release_rejects_another_pepper_and_a_missing_secret(
    external: Settings, client: redis.Redis, name: str, is_missing: bool
) -> None:
    services = started(external)
    fill(services)
    client.delete("{cfg}:identity", "{cfg}:format")  # as the older release left it
    (external.data_dir / name).unlink()
    if not is_missing:
        a_secret(external.data_dir, name)
    if name == "encryption-key" and not is_missing:
        started(external)  # which key it needs is not known before it is adopted
        return
    with pytest.raises(SecretFileError, match=name):
        started(external)


def test_older_encryption_key_stays_as_a_further_line(external: Settings) -> None:
    fill(started(external))
    old = (external.data_dir / "encryption-key").read_text()
    new = b64encode(os.urandom(32)).decode()
    (external.data_dir / "encryption-key").write_text(f"{new}\n{old}")
    started(external).store.ping()
    (external.data_dir / "encryption-key").write_text(f"{new}\n")
    with pytest.raises(SecretFileError, match="further line"):
        started(external)


def test_missing_secret_is_not_made_while_an_unknown_store_does_not_respond(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    away = settings(folder, f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(StoreDown, match="Start the store first"):
        started(away)
    assert not (folder / "pepper").exists()
    for name in ("pepper", "encryption-key"):
        a_secret(folder, name)
    assert started(away).address.name


def test_store_of_a_newer_layout_is_rejected(external: Settings, client: redis.Redis) -> None:
    client.set("{cfg}:format", FORMAT + 1)
    with pytest.raises(GatewayError, match="newer release"):
        started(external)


def test_parts_get_names_by_a_new_pepper_and_stay_as_they_were(
    external: Settings, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    services = started(external)
    fill(services)
    old = create(services.store, a_full_tenant("full"))
    full = change(services.store, old, replace(old, rules=()))
    history = services.store.history
    newest, first = history.notes("id-full", 5)
    assert history.pin("id-full", first, pinned=True)
    versions = [history.content("id-full", note) for note in (newest, first)]
    platform = write_platform(services.store, providers=(OPENAI,))
    broken = create(services.store, a_full_tenant("broken"))
    client.delete(next(client.scan_iter("{cfg}:part:id-broken:*")))
    (external.data_dir / "pepper").unlink()
    assert len(violations(client, part_names(external))) == 4, "without its pepper no document is readable"
    assert not (external.data_dir / "pepper").exists(), "the check creates nothing"
    a_secret(external.data_dir, "pepper")
    names = part_names(external)
    for _ in range(2):  # again after it was interrupted
        rename_parts(client, names)
    store = RedisStore(client, 0, names=names)
    assert store.read("id-full") == full
    assert store.read_platform() == platform
    notes = store.history.notes("id-full", 5)
    assert [store.history.content("id-full", note) for note in notes] == versions
    assert [note.pinned for note in notes] == [False, True]
    with pytest.raises(BadRecord):
        store.read(broken.tenant.id)
    assert "The parts of id-broken keep their names: a part is missing." in caplog.text
    assert [said for said in violations(client, names) if "id-broken" not in said] == []


def test_embedded_store_that_stands_in_for_the_known_one_is_lost(external: Settings) -> None:
    services = started(external)
    fill(services)
    for _ in until(5):
        seen = SeenFile(external.data_dir / "store.json", EXTERNAL).load()
        if seen and seen.revision == 1:
            break
    alone = settings(external.data_dir)
    with connect(alone) as stand_in:
        assert stand_in.address.mode == "embedded"
        with pytest.raises(StoreLost):
            stand_in.store.ping()
        with pytest.raises(StoreLost):
            create(stand_in.store, a_tenant("other"))


def test_ids_of_the_secrets_stand_in_the_store(external: Settings, client: redis.Redis) -> None:
    started(external)
    identity = client.hgetall("{cfg}:identity")
    for field, name in ((b"pepper", "pepper"), (b"keys", "encryption-key")):
        secret = b64decode((external.data_dir / name).read_bytes())
        assert identity[field].decode() == secret_id(secret)
