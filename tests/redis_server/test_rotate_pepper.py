"""The pepper is replaced: parts get new names, the audit log stays valid, and keys are counted."""

import logging
from base64 import b64decode
from dataclasses import replace

import pytest
import redis

from shared.config_store import layout
from shared.config_store.check import violations
from shared.config_store.history.audit import AuditKey
from shared.config_store.identity import SecretIds
from shared.config_store.records.codec import encode
from shared.core.errors import GatewayError, StoreLost
from shared.model.config import PlatformToken
from shared.redis_server.rotate import Rotation, rotate_secrets
from shared.redis_server.store_secrets import audit_key, part_names
from shared.secrets.api_keys import PepperedHasher, secret_id
from shared.secrets.files import SecretFileError
from shared.services import Services, connect
from shared.settings import Settings
from tests.config_store.configurations import a_full_tenant, a_tenant, an_api_key, change, create
from tests.config_store.test_platform import OPENAI, write_platform
from tests.redis_server.test_rotate import another_key, newest_only, rotated, started

PEPPER = "pepper"


def peppers(settings: Settings) -> list[bytes]:
    return [b64decode(line) for line in (settings.data_dir / PEPPER).read_text().split()]


def fill(services: Services) -> None:
    """A tenant with a key, one with everything and an old version, and providers of the platform."""
    key = replace(an_api_key("acme"), hash=str(services.hasher("secret")))
    create(services.store, a_tenant("acme", keys=(key,)))
    old = create(services.store, a_full_tenant("full"))
    change(services.store, old, replace(old, rules=()))
    write_platform(services.store, providers=(OPENAI,))


def found(settings: Settings, client: redis.Redis) -> list[str]:
    return violations(client, part_names(settings), audit_key(settings, client))


def test_pepper_is_replaced_and_only_keys_need_the_old_one(
    settings: Settings, client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    before = started(settings)
    fill(before)
    contents = [before.store.read(one) for one in ("id-acme", "id-full")]
    another_key(settings, PEPPER)
    [new, old] = peppers(settings)
    with pytest.raises(SecretFileError, match="lacks the pepper"):
        newest_then_started(settings)
    during = started(settings)
    assert [during.store.read(one) for one in ("id-acme", "id-full")] == contents
    assert during.store.find_key(during.hasher("secret")) == ("id-acme", "key-acme")
    with pytest.raises(StoreLost):
        before.store.ping()
    change(during.store, contents[0], contents[0])  # signed by the new pepper
    assert found(settings, client) == []
    result = rotated(settings, client)
    assert result.peppers == (secret_id(new),)
    assert result.older["id-acme"] == 1
    assert found(settings, client) == []
    again = rotated(settings, client)
    assert (again.peppers, again.older) == (result.peppers, result.older)
    newest_only(settings, PEPPER)
    with caplog.at_level(logging.WARNING):
        after = started(settings)
    assert f"lacks the pepper {secret_id(old)}" in caplog.text
    assert after.store.find_key(after.hasher("secret")) is None
    now = [after.store.read(one) for one in ("id-acme", "id-full")]
    assert [one and one.rules for one in now] == [one and one.rules for one in contents]
    history = after.store.history
    assert all(history.content("id-full", note) for note in history.notes("id-full", 9))
    assert found(settings, client) == [], "the audit log is valid without the old pepper"


def newest_then_started(settings: Settings) -> None:
    """Start with the first line only, and put the file back."""
    file = settings.data_dir / PEPPER
    lines = file.read_text()
    try:
        newest_only(settings, PEPPER)
        started(settings)
    finally:
        file.write_text(lines)


def test_retired_pepper_signs_no_entry_and_names_no_part(settings: Settings, client: redis.Redis) -> None:
    fill(started(settings))
    another_key(settings, PEPPER)
    started(settings)
    _, old = peppers(settings)
    rotated(settings, client)
    another_key(settings)  # of the encryption: the audit key of the old pepper is sealed anew
    started(settings)
    rotated(settings, client)
    newest_only(settings)
    newest_only(settings, PEPPER)
    services = started(settings)
    fresh = services.store.read("id-acme")
    assert fresh
    change(services.store, fresh, fresh)
    assert found(settings, client) == []
    [(_, fields)] = client.xrevrange(layout.AUDIT, count=1)
    forged = AuditKey.of(PepperedHasher(old)).mac(fields[b"entry"])
    client.xadd(layout.AUDIT, {**fields, b"mac": forged})
    assert any("signed with another pepper" in one for one in found(settings, client))


def test_tokens_and_keys_of_the_newest_pepper_are_not_counted(
    settings: Settings, client: redis.Redis
) -> None:
    fill(started(settings))
    another_key(settings, PEPPER)
    services = started(settings)
    old = secret_id(peppers(settings)[1])
    for name, expires_at in (("active", None), ("expired", 2.0)):
        token = PlatformToken(name, name, "gwk_1", f"{old}:{name}", scopes=(), expires_at=expires_at)
        client.hset(layout.TOKENS, token.hash, encode(token))
    client.hset(layout.TOKENS, f"{old}:damaged", "{}")
    key = replace(an_api_key("new"), hash=str(services.hasher("new")))
    create(services.store, a_tenant("new", keys=(key,)))
    result: Rotation = rotated(settings, client)
    assert result.older[layout.TOKENS_ID] == 1
    assert "id-new" not in result.older
    assert client.hget(layout.IDENTITY, f"hashed:{old}") == b"2"


def test_command_without_the_pepper_of_the_store_changes_nothing(
    settings: Settings, client: redis.Redis
) -> None:
    fill(started(settings))
    another_key(settings, PEPPER)
    newest_only(settings, PEPPER)
    before = {key: client.dump(key) for key in client.scan_iter("*")}
    with pytest.raises(GatewayError, match="lacks a pepper"):
        rotate_secrets(settings, client, lambda done, total: None)
    assert {key: client.dump(key) for key in client.scan_iter("*")} == before


def test_store_of_one_pepper_keeps_its_identity_as_it_was(settings: Settings, client: redis.Redis) -> None:
    started(settings)
    ids = SecretIds.of(peppers(settings), [])
    assert client.hget(layout.IDENTITY, "pepper") == ids.peppers[0].encode()
    with connect(settings) as services:
        assert services.hasher.older == ()
        assert type(services.hasher("text")) is str
