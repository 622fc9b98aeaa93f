"""R13: whatever stands in a stored record, its tenant keeps its last good version, and no other notices."""

import asyncio
import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis

from shared.config_store.cache.gateways import GatewayCache
from shared.config_store.source import open_source
from shared.pipeline.plugin import Tools
from shared.routing.compile import Compiler, Gateway
from shared.services import SystemClock, not_called
from tests.admin_app.world import World
from tests.config_store.test_stored_data import IDS, LimiterAtThatTime, api, client, world

__all__ = ["api", "client", "world"]  # fixtures
_OTHERS: tuple[Any, ...] = (None, "", "x", -1, 0, 1e300, [], {}, "/", "https://u.example", {"sealed": "v1.x"})


@dataclass
class Stored:
    """The tenant "acme" in Redis, and the cache of a worker."""

    client: redis.Redis
    cache: GatewayCache[Gateway, Any]

    @property
    def key(self) -> str:
        version = self.client.hget(f"{{cfg}}:tenant:{IDS['acme']}", "version")
        return f"{{cfg}}:doc:{IDS['acme']}:{version.decode()}"  # type: ignore[union-attr]

    def document(self) -> Any:
        return json.loads(self.client.get(self.key))  # type: ignore[arg-type]

    async def after(self, document: Any) -> Gateway:
        """The tenant that the worker serves once it has read this document."""
        self.client.set(self.key, json.dumps(document))
        self.cache._changed(IDS["acme"])
        await asyncio.wait({self.cache._join_read(IDS["acme"])})
        found = await self.cache.find("acme", None)
        assert found is not None
        return found


@pytest.fixture
def stored(client: redis.Redis, world: World, valkey_socket: str, runner: asyncio.Runner) -> Iterator[Stored]:
    tools = Tools(LimiterAtThatTime(valkey_socket), not_called, world.clock)
    compiler = Compiler(world.catalogue, world.settings.tiers, world.sealer, tools)
    source = runner.run(opened(valkey_socket))
    cache = GatewayCache[Gateway, Any](
        source,
        lambda snapshot, *_: compiler(snapshot),
        SystemClock(),
        compile_platform=lambda document, _: document,
        config_ttl=60,
        cleanup_interval=60,
        max_idle_time=3600,
        max_entries=100,
    )
    yield Stored(client, cache)
    runner.run(cache.close())
    runner.run(source.close())


async def opened(socket: str) -> Any:
    return open_source({"unix_socket_path": socket})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every member at any depth."""
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, member in members:
        yield (*path, name)
        yield from places(member, (*path, name))


def mutated(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(document)
    inner = changed
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return changed


@pytest.mark.slow
async def test_no_value_in_a_stored_document_replaces_the_last_good_one_by_a_fault(stored: Stored) -> None:
    good = stored.document()
    first = await stored.after(good)
    assert first.faults == ()
    count = 0
    for number, path in enumerate(places(good)):
        for value in (_OTHERS[number % len(_OTHERS)], _OTHERS[(number * 7 + 3) % len(_OTHERS)]):
            count += 1
            found = await stored.after(mutated(good, path, value))
            assert found.faults == (), (path, value)
    assert count > 200
    assert (await stored.after(good)).snapshot == first.snapshot


POISON = {
    "tier": (("document", "tier"), "gold"),
    "target": (("document", "rules", 0, "target"), "ftp://upstream"),
    "on_error": (("document", "rules", 0, "plugin_chain", 0, "on_error"), "banana"),
    "timeout": (("document", "rules", 0, "plugin_chain", 0, "timeout"), -1.0),
    "timeouts": (("document", "rules", 0, "timeouts", "connect"), 0.0),
    "mode": (("document", "rules", 0, "plugin_chain", 0, "mode"), "sometimes"),
    "window": (("document", "rules", 0, "plugin_chain", 0, "settings", "window"), "often"),
}


@pytest.mark.parametrize("name", POISON)
async def test_entry_that_does_not_compile_leaves_the_last_good_version_and_is_logged(
    stored: Stored, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, value = POISON[name]
    first = await stored.after(stored.document())
    other = await stored.cache.find("counted", None)
    found = await stored.after(mutated(stored.document(), path, value))
    assert found.snapshot.rules == first.snapshot.rules
    assert found.faults == ()
    assert "Its last good version stays in use." in caplog.text
    assert await stored.cache.find("counted", None) is other
