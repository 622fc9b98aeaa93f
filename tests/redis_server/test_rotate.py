"""All stored secrets are sealed with the newest key while the gateway serves, also after any interruption."""

import os
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
import redis

from shared.config_store import layout
from shared.config_store.check import violations
from shared.config_store.history.rename import KEPT_MS
from shared.model.config import PluginConfig, Rule, Snapshot
from shared.model.pools import UrlTarget
from shared.model.providers import Provider, ProviderKey
from shared.model.sealed import Sealed
from shared.model.webhooks import Webhook
from shared.redis_server import rotate
from shared.redis_server.rotate import Rotation, rotate_secrets
from shared.redis_server.store_secrets import audit_key, part_names
from shared.secrets.context import (
    header_context,
    provider_header_context,
    provider_key_context,
    provider_query_context,
    setting_context,
    webhook_context,
)
from shared.secrets.files import SecretFileError
from shared.services import Services, connect
from shared.settings import Settings
from tests.config_store.configurations import a_tenant, change, create
from tests.config_store.test_platform import write_platform

URL, HOOK = "https://upstream.example/v1", "https://hook.example/x"
ORIGIN = "https://api.openai.com:443"


def started(settings: Settings) -> Services:
    with connect(settings) as services:
        return services


def another_key(settings: Settings, name: str = "encryption-key") -> None:
    """Put a new key or pepper above the others, as the page on hardening says."""
    file = settings.data_dir / name
    file.write_bytes(b64encode(os.urandom(32)) + b"\n" + file.read_bytes())


def newest_only(settings: Settings, name: str = "encryption-key") -> None:
    file = settings.data_dir / name
    file.write_text(file.read_text().splitlines()[0] + "\n")


class Secrets:
    """Makes everything of an owner that can have a secret."""

    def __init__(self, services: Services, owner: str) -> None:
        self._sealer, self._owner = services.sealer, owner

    def sealed(self, context: str) -> Sealed:
        return Sealed(self._sealer.seal(f"secret of {context}", context))

    def entry(self) -> PluginConfig:
        settings: dict[str, Any] = {"endpoint": HOOK, "limit": 5}
        context = setting_context(self._owner, "external_validator", "headers", "X-Key", settings)
        settings["headers"] = {"X-Key": self.sealed(context), "X-Plain": "plain"}
        return PluginConfig("external_validator", settings=settings)

    def headers(self, url: str) -> dict[str, Sealed]:
        return {"X-Key": self.sealed(header_context(self._owner, "X-Key", url))}

    def rules(self) -> tuple[Rule, ...]:
        targets = tuple(
            UrlTarget(url=f"{URL}/{path}", headers=self.headers(f"{URL}/{path}")) for path in ("a", "b")
        )
        return (
            Rule("r1", "/one", URL, headers=self.headers(URL), plugin_chain=(self.entry(),)),
            Rule("r2", "/pool", "", headers=self.headers(URL), targets=targets),
        )

    def provider(self) -> Provider:
        origin, base = ORIGIN, (self._owner, "p1")
        key = ProviderKey(id="k1", name="main", secret=self.sealed(provider_key_context(*base, "k1", origin)))
        return Provider(
            "p1",
            "openai",
            "openai",
            keys=(key, ProviderKey(id="k2", name="env", env="OPENAI_API_KEY")),
            headers={"X-Org": self.sealed(provider_header_context(*base, "X-Org", origin))},
            query={"q": self.sealed(provider_query_context(*base, "q", origin))},
        )

    def webhooks(self) -> tuple[Webhook, ...]:
        secret = self.sealed(webhook_context(self._owner, "w1", HOOK))
        found = (Webhook(id="w1", name="one", url=HOOK, secret=secret),)
        if self._owner == "platform":
            found += (Webhook(id="w2", name="env", url=HOOK, env="HOOK_SECRET"),)
        return found


def a_tenant_with_secrets(services: Services, name: str) -> Snapshot:
    made, snapshot = Secrets(services, f"id-{name}"), a_tenant(name)
    tenant = replace(
        snapshot.tenant,
        plugin_chain=(made.entry(),),
        required_plugins={"external_validator": made.entry()},
        providers=(made.provider(),),
        webhooks=made.webhooks(),
    )
    return replace(snapshot, tenant=tenant, rules=made.rules())


def fill(services: Services, *names: str) -> None:
    """Tenants with an old version that has other secrets, and providers of the platform."""
    for name in names:
        old = create(services.store, a_tenant_with_secrets(services, name))
        change(services.store, old, replace(old, rules=Secrets(services, f"id-{name}").rules()[:1]))
    own = Secrets(services, "platform")
    write_platform(services.store, providers=(own.provider(),), webhooks=own.webhooks())


def opened(services: Services) -> list[str]:
    """Every secret of every version, opened; fails if one cannot be."""
    found: list[str] = []
    history = services.store.history
    for owner in ("id-a", "id-b", "platform"):
        for note in history.notes(owner, 10):
            content: Any = history.content(owner, note)
            for rule in getattr(content, "rules", ()):
                for name, value in rule.headers.items():
                    url = rule.targets[0].url if rule.targets else rule.target
                    found.append(services.sealer.open(value.text, header_context(owner, name, url)))
                for target in rule.targets:
                    [value] = target.headers.values()
                    found.append(services.sealer.open(value.text, header_context(owner, "X-Key", target.url)))
            for provider in content.providers:
                value = provider.keys[0].secret
                context = provider_key_context(owner, "p1", "k1", ORIGIN)
                found.append(services.sealer.open(value.text, context))
            for webhook in content.webhooks[:1]:
                context = webhook_context(owner, webhook.id, webhook.url)
                found.append(services.sealer.open(webhook.secret.text, context))
            for entry in getattr(content, "plugin_chain", ()):
                context = setting_context(owner, entry.name, "headers", "X-Key", entry.settings)
                found.append(services.sealer.open(entry.settings["headers"]["X-Key"].text, context))
                assert entry.settings["headers"]["X-Plain"] == "plain"
    return found


def rotated(settings: Settings, client: redis.Redis) -> Rotation:
    return rotate_secrets(settings, client, lambda done, total: None)


def stored_text(client: redis.Redis) -> bytes:
    """All contents that stay in Redis. Replaced ones go after some minutes."""
    keys = [key for key in client.scan_iter("{cfg}:*") if client.type(key) == b"string"]
    return b"".join(client.get(key) or b"" for key in keys if client.pttl(key) < 0)


def test_secrets_of_all_versions_are_sealed_with_the_newest_key(
    settings: Settings, client: redis.Redis
) -> None:
    before = started(settings)
    fill(before, "a", "b")
    plain = opened(before)
    [old] = client.hget(layout.IDENTITY, "keys").split()
    assert b"v1." + old in stored_text(client)
    another_key(settings)
    result = rotated(settings, client)
    assert (result.owners, result.unusable, result.left) == (3, 0, {})
    # Per tenant: two chains, a provider with three, rules with five, and one other rule with two,
    # a webhook; the platform.
    assert result.sealed >= 2 * 11 + 4
    assert old not in stored_text(client)
    newest_only(settings)
    after = started(settings)
    assert opened(after) == plain
    assert result.keys == (after.known.seen.keys if after.known.seen else ())
    assert violations(client, part_names(settings), audit_key(settings)) == []
    assert rotated(settings, client).sealed == 0


def test_workers_are_told_of_each_owner_and_readers_of_the_old_root_find_its_parts(
    settings: Settings, client: redis.Redis
) -> None:
    services = started(settings)
    fill(services, "a")
    parts = set(client.scan_iter("{cfg}:part:id-a:*"))
    before, _ = services.store.changes(0)
    another_key(settings)
    rotated(settings, client)
    after = started(settings).store
    assert set(after.changes(before)[1]) == {"id-a", "platform"}
    assert all(0 < client.pttl(one) <= KEPT_MS for one in parts)
    assert after.read("id-a") is not None


def test_change_goes_on_after_a_rotation_that_the_admin_process_did_not_see(
    settings: Settings, client: redis.Redis
) -> None:
    another = started(settings)
    fill(another, "a")
    another_key(settings)
    services = started(settings)
    before = services.store.read("id-a")
    assert before
    rotated(settings, client)
    again = services.store.read("id-a")
    assert again
    changed = change(services.store, again, replace(again, rules=()))
    assert services.store.read("id-a") == changed
    assert violations(client, part_names(settings), audit_key(settings)) == []


@pytest.mark.parametrize("at", ["before the workers are told", "after the first owner"])
def test_run_that_ended_too_early_is_continued(
    settings: Settings, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    services = started(settings)
    fill(services, "a", "b")
    plain, (before, _) = opened(services), services.store.changes(0)
    another_key(settings)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if at.startswith("before"):
            patched.setattr(rotate, "_announce", fail)
        with pytest.raises(KeyboardInterrupt):
            rotate_secrets(settings, client, fail)
    assert violations(client, part_names(settings), audit_key(settings)) == []
    assert opened(started(settings)) == plain, "meanwhile both keys are in use"
    rotated(settings, client)
    newest_only(settings)
    after = started(settings)
    assert opened(after) == plain
    assert set(after.store.changes(before)[1]) == {"id-a", "id-b", "platform"}
    assert client.smembers(layout.RESEALED) == set()


def test_key_that_secrets_still_need_stays_needed(settings: Settings, client: redis.Redis) -> None:
    services = started(settings)
    fill(services, "a", "b")
    client.delete(next(client.scan_iter("{cfg}:part:id-b:*")))
    another_key(settings)
    result = rotated(settings, client)
    assert result.left == {"id-b": "a part is missing."}
    assert len(result.keys) == 2
    newest_only(settings)
    with pytest.raises(SecretFileError, match="lacks the encryption key"):
        started(settings)


def test_secret_that_cannot_be_opened_stays_and_is_counted(settings: Settings, client: redis.Redis) -> None:
    services = started(settings)
    fill(services, "a")
    snapshot = services.store.read("id-a")
    assert snapshot
    [rule] = snapshot.rules
    moved = replace(rule, target="https://elsewhere.example")
    change(services.store, snapshot, replace(snapshot, rules=(moved,)))
    another_key(settings)
    result = rotated(settings, client)
    assert (result.unusable, result.left) == (1, {})
    after = started(settings).store.read("id-a")
    assert after
    assert after.rules[0].headers == moved.headers


def test_part_that_was_replaced_in_redis_gets_no_valid_name(settings: Settings, client: redis.Redis) -> None:
    services = started(settings)
    fill(services, "a")
    key = next(one for one in client.scan_iter("{cfg}:part:id-a:*") if b"/one" in (client.get(one) or b""))
    client.set(key, (client.get(key) or b"").replace(b"/one", b"/two"))
    another_key(settings)
    text = client.get(key)
    assert rotated(settings, client).left == {"id-a": "a part is not the one that was stored."}
    assert (client.get(key), client.pttl(key)) == (text, -1)
