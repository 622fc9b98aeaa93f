"""The configuration as a proxy worker reads it, from the memory of its own process."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from shared.model.config import Snapshot
from shared.testing.memory_store import MemoryStore


class MemorySource:
    """A `ConfigSource` over a `MemoryStore`, which any thread may write."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def tenant_of_subdomain(self, subdomain: str) -> str | None:
        return self._store.find_subdomain(subdomain)

    async def tenant_of_key(self, key_hash: str) -> str | None:
        found = self._store.find_key(key_hash)
        return found and found[0]

    async def read(self, tenant_id: str) -> Snapshot | None:
        return self._store.read(tenant_id)

    async def changes(self, since: int) -> tuple[int, Sequence[str]]:
        changes = list(self._store.changes.items())
        return self._store.revision, [tenant_id for tenant_id, number in changes if number > since]

    async def watch(self, changed: Callable[[str], None], reconnected: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        def announce(tenant_id: str) -> None:
            loop.call_soon_threadsafe(changed, tenant_id)

        self._store.listeners.append(announce)
        reconnected()
        try:
            await asyncio.Event().wait()
        finally:
            self._store.listeners.remove(announce)

    async def touch(self, used: Mapping[tuple[str, str], float]) -> None:
        self._store.touch(used)

    async def close(self) -> None:
        """Memory needs no closing."""
