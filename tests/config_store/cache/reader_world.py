"""A cache of compiled tenants on a source that counts what it is asked."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from shared.config_store.cache.gateways import GatewayCache
from shared.config_store.snapshot import SnapshotFile
from shared.core.errors import BadRecord, StoreDown
from shared.model.config import ApiKey, Snapshot
from shared.model.providers import PlatformDocument
from shared.testing.memory_store import MemorySource, MemoryStore
from tests.config_store.configurations import StillClock, a_tenant, change, with_tenant


@dataclass(frozen=True)
class Compiled:
    """The plainest thing that the cache can hold."""

    snapshot: Snapshot
    faults: Sequence[str] = ()
    platform: PlatformDocument = field(default_factory=PlatformDocument)

    @property
    def keys(self) -> Mapping[str, ApiKey]:
        return {key.hash: key for key in self.snapshot.keys}


@dataclass(frozen=True)
class Knobs:
    config_ttl: float = 1.0
    cleanup_interval: float = 60.0
    max_idle_time: float = 3600.0
    max_entries: int = 100


EVERYTHING = frozenset({"look-up", "read", "changes", "platform"})


class CountingSource(MemorySource):
    """Counts the questions, can refuse some, can have bad records, and can hold an answer back."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.calls: list[str] = []
        self.platform_reads = 0
        self.down: frozenset[str] = frozenset()
        self.bad: set[str] = set()
        #: An action between the store's answer to a question and its arrival, once.
        self.meanwhile: dict[str, Callable[[], Awaitable[object]]] = {}

    def ask(self, call: str) -> None:
        self.calls.append(call)
        if call in self.down:
            raise StoreDown("The store is down.")

    async def response(self, call: str) -> None:
        await asyncio.sleep(0)
        if call in self.meanwhile:
            await self.meanwhile.pop(call)()

    async def tenant_of_subdomain(self, subdomain: str) -> str | None:
        self.ask("look-up")
        tenant_id = await super().tenant_of_subdomain(subdomain)
        await self.response("look-up")
        return tenant_id

    async def tenant_of_key(self, key_hash: str) -> str | None:
        self.ask("look-up")
        tenant_id = await super().tenant_of_key(key_hash)
        await self.response("look-up")
        return tenant_id

    async def read(self, tenant_id: str) -> Snapshot | None:
        self.ask("read")
        snapshot = await super().read(tenant_id)
        if tenant_id in self.bad:
            raise BadRecord(f"The stored tenant {tenant_id} cannot be read.")
        await self.response("read")
        return snapshot

    async def read_platform(self) -> PlatformDocument:
        self.platform_reads += 1
        if "platform" in self.down:
            raise StoreDown("The store is down.")
        document = await super().read_platform()
        if "platform" in self.bad:
            raise BadRecord("The stored platform cannot be read.")
        await self.response("platform")
        return document

    async def changes(self, since: int) -> tuple[int, Sequence[str]]:
        self.ask("changes")
        return await super().changes(since)


async def at_once[**A, R](function: Callable[A, R], /, *arguments: A.args, **named: A.kwargs) -> R:
    return function(*arguments, **named)


@dataclass
class World:
    """A store, and a cache that reads it through a source that can fail."""

    knobs: Knobs = field(default_factory=Knobs)
    compiler: Callable[[Snapshot], Compiled] = Compiled
    in_thread: Callable[..., Awaitable[Any]] = at_once
    compile_platform: Callable[[PlatformDocument, PlatformDocument | None], PlatformDocument] = (
        lambda document, _: document
    )

    def __post_init__(self) -> None:
        self.clock = StillClock()
        self.store = MemoryStore(self.clock, quarantine=0)
        self.source = CountingSource(self.store)
        self.cache = self.new_cache(self.compiler)

    def new_cache(self, compiler: Callable[[Snapshot], Compiled]) -> GatewayCache[Compiled, PlatformDocument]:
        settings = asdict(self.knobs)
        return GatewayCache(
            self.source,
            lambda snapshot, platform, _: replace(compiler(snapshot), platform=platform),
            self.clock,
            compile_platform=self.compile_platform,
            in_thread=self.in_thread,
            **settings,
        )

    def use_disk(self, disk: SnapshotFile) -> None:
        self.cache._disk = self.cache._platform._disk = disk

    def create(self, name: str) -> Snapshot:
        return self.write(None, a_tenant(name))

    def write(self, before: Snapshot | None, after: Snapshot) -> Snapshot:
        return change(self.store, before, after)

    async def hold(self, *names: str) -> list[Snapshot]:
        """New tenants that the cache holds, and whose changes it has followed so far."""
        made = [self.create(name) for name in names]
        await self.cache.check()
        for name in names:
            await self.cache.find(name, None)
        return made

    async def name_of(self, subdomain: str | None, key_hash: str | None = None) -> str | None:
        found = await self.cache.find(subdomain, key_hash)
        return found and found.snapshot.tenant.name

    async def asked(self, subdomain: str | None, key_hash: str | None = None) -> list[str]:
        """The questions that finding costs."""
        self.source.calls.clear()
        await self.cache.find(subdomain, key_hash)
        return self.source.calls[:]

    async def settle(self) -> None:
        """Let announcements arrive, and what they set off end."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def look_in_background(self) -> None:
        """One look as the background does it: what it raises is the cache's own business."""
        await asyncio.wait({self.cache._tasks.join("check for changes", self.cache.check)})

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the background tasks run until it is so."""
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0)


def renamed(snapshot: Snapshot, name: str) -> Snapshot:
    return with_tenant(snapshot, name=name)
