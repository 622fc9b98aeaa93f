"""The proxy's view of the configuration: compiled tenants in memory, kept up to date in the background.

A known tenant is a dict look-up. Changes are pushed; besides, a look at the list of changes every
`config_ttl` finds what a lost message hid (the seed's periodic check). While a tenant is read again the
old snapshot serves; while the store is down it serves for as long as that lasts.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from shared.core import tasks
from shared.core.errors import BadRecord, StoreDown
from shared.core.model import ApiKey, Snapshot
from shared.core.ports import Clock, ConfigSource

logger = logging.getLogger(__name__)

# Seconds for which an unknown name or key is not asked for again.
_ABSENT_FOR = 2.0
# Tenants that one slice of a sweep looks at, so that no request waits for it.
_SLICE = 256


class Compiled(Protocol):
    """What the cache holds of a tenant."""

    @property
    def snapshot(self) -> Snapshot: ...

    @property
    def keys(self) -> Mapping[str, ApiKey]: ...


class Knobs(Protocol):
    """`settings.cache`: times in seconds, and the most tenants held."""

    @property
    def config_ttl(self) -> float: ...

    @property
    def cleanup_interval(self) -> float: ...

    @property
    def max_idle_time(self) -> float: ...

    @property
    def max_entries(self) -> int: ...


@dataclass(slots=True)
class _Held[G]:
    gateway: G
    last_access: float


class GatewayCache[G: Compiled]:
    """Compiled tenants by subdomain and by key, at most `knobs.max_entries` of them.

    `last_config_check` is the monotonic time of the last look at the changes that succeeded.
    """

    def __init__(
        self, source: ConfigSource, compile_: Callable[[Snapshot], G], clock: Clock, knobs: Knobs
    ) -> None:
        self._source = source
        self._compile = compile_
        self._clock = clock
        self._knobs = knobs
        self._held: OrderedDict[str, _Held[G]] = OrderedDict()
        self._by_subdomain: dict[str, str] = {}
        self._by_key: dict[str, str] = {}
        self._absent: dict[tuple[str, str], float] = {}
        self._flights: dict[tuple[str, str], asyncio.Task[Any]] = {}
        self._dirty: set[str] = set()
        self._seen = 0
        self._wake = asyncio.Event()
        self._background: list[asyncio.Task[None]] = []
        self.last_config_check = 0.0

    def __len__(self) -> int:
        return len(self._held)

    async def start(self) -> None:
        """Begin to follow the changes. A store that is down does not stop the start."""
        with suppress(StoreDown):
            self._seen, _ = await self._source.changes(0)
        watch = self._source.watch(self.changed, self._wake.set)
        for work, name in ((watch, "watch"), (self._poll(), "poll"), (self._sweep(), "sweep")):
            self._background.append(tasks.start(work, f"configuration {name}"))

    async def close(self) -> None:
        """Stop following."""
        for task in (*self._background, *self._flights.values()):
            task.cancel()
        await asyncio.gather(*self._background, *self._flights.values(), return_exceptions=True)

    async def find(self, subdomain: str | None, key_hash: str | None) -> G | None:
        """The tenant of `subdomain`; without one, that of the key. None when there is none.

        A key that the named tenant does not know is looked up once too: it may be a moment old, and an
        unknown key must cost what an unknown tenant costs. Raises `StoreDown` when the tenant is not
        held and cannot be read.
        """
        if subdomain is None:
            return await self._of_key(key_hash) if key_hash else None
        gateway = await self._of_subdomain(subdomain)
        if gateway is None or key_hash is None or key_hash in gateway.keys:
            return gateway
        await self._of_key(key_hash)
        return await self._of_subdomain(subdomain)

    async def _of_subdomain(self, subdomain: str) -> G | None:
        tenant_id = self._by_subdomain.get(subdomain)
        if tenant_id is None:
            tenant_id = await self._look_up(("subdomain", subdomain), self._source.tenant_of_subdomain)
        return None if tenant_id is None else await self._tenant(tenant_id)

    async def _of_key(self, key_hash: str) -> G | None:
        tenant_id = self._by_key.get(key_hash)
        if tenant_id is None:
            tenant_id = await self._look_up(("key", key_hash), self._source.tenant_of_key)
            if tenant_id is not None and tenant_id in self._held:
                await self._reload(tenant_id)
        return None if tenant_id is None else await self._tenant(tenant_id)

    async def _look_up(
        self, asked: tuple[str, str], ask: Callable[[str], Awaitable[str | None]]
    ) -> str | None:
        now = self._clock.monotonic()
        if self._absent.get(asked, 0.0) > now:
            return None

        async def look() -> str | None:
            found = await ask(asked[1])
            if found is None:
                while len(self._absent) >= self._knobs.max_entries:
                    del self._absent[next(iter(self._absent))]
                self._absent[asked] = now + _ABSENT_FOR
            return found

        return await self._once(asked, look)

    async def _tenant(self, tenant_id: str) -> G | None:
        held = self._held.get(tenant_id)
        if held is None:
            await self._reload(tenant_id)
            held = self._held.get(tenant_id)
            if held is None:
                return None
        held.last_access = self._clock.monotonic()
        self._held.move_to_end(tenant_id)
        return held.gateway

    async def _once[R](self, key: tuple[str, str], work: Callable[[], Coroutine[Any, Any, R]]) -> R:
        """Single flight: who asks for the same at the same time waits for the same answer."""
        task = self._flights.get(key)
        if task is None:
            task = asyncio.ensure_future(work())
            self._flights[key] = task
            task.add_done_callback(lambda _: self._flights.pop(key, None))
        result: R = await asyncio.shield(task)
        return result

    async def _reload(self, tenant_id: str) -> None:
        self._dirty.add(tenant_id)
        await self._once(("tenant", tenant_id), lambda: self._read(tenant_id))

    async def _read(self, tenant_id: str) -> None:
        # A change that comes while we read may not be in what we read: read until none came.
        while tenant_id in self._dirty:
            self._dirty.discard(tenant_id)
            try:
                snapshot = await self._source.read(tenant_id)
            except BadRecord as error:
                logger.error("The configuration of tenant %s cannot be used: %s", tenant_id, error)
                if tenant_id not in self._held:
                    raise StoreDown(str(error)) from None
            else:
                self._replace(tenant_id, snapshot)

    def _replace(self, tenant_id: str, snapshot: Snapshot | None) -> None:
        held = self._held.get(tenant_id)
        gateway = None if snapshot is None else self._compile(snapshot)
        self._drop(tenant_id)
        if gateway is None:
            return
        last_access = held.last_access if held else self._clock.monotonic()
        self._held[tenant_id] = _Held(gateway, last_access)
        self._by_subdomain[gateway.snapshot.tenant.subdomain] = tenant_id
        self._by_key.update(dict.fromkeys(gateway.keys, tenant_id))
        while len(self._held) > self._knobs.max_entries:
            self._drop(next(iter(self._held)))

    def _drop(self, tenant_id: str) -> None:
        held = self._held.pop(tenant_id, None)
        if held is None:
            return
        if self._by_subdomain.get(held.gateway.snapshot.tenant.subdomain) == tenant_id:
            del self._by_subdomain[held.gateway.snapshot.tenant.subdomain]
        for key_hash in held.gateway.keys:
            if self._by_key.get(key_hash) == tenant_id:
                del self._by_key[key_hash]

    def changed(self, tenant_id: str) -> None:
        """Read a tenant again if it is held. What was absent may be there now."""
        self._absent.clear()
        if tenant_id in self._held or ("tenant", tenant_id) in self._flights:
            tasks.start(self._refresh(tenant_id), f"refresh of {tenant_id}")

    async def _refresh(self, tenant_id: str) -> None:
        try:
            await self._reload(tenant_id)
        except StoreDown as error:
            logger.warning("Tenant %s keeps its last configuration: %s", tenant_id, error)
            # The look at the changes must find it again.
            self._seen = 0

    async def _poll(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._knobs.config_ttl)
            self._wake.clear()
            with suppress(StoreDown):
                await self.check()

    async def check(self) -> None:
        """Look at the changes since the last look. Raises `StoreDown`."""
        newest, changed = await self._source.changes(self._seen)
        if newest < self._seen:
            # The store was emptied or restored: nothing that is held can be trusted to be current.
            changed = list(self._held)
        self._seen = newest
        self.last_config_check = self._clock.monotonic()
        for tenant_id in changed:
            self.changed(tenant_id)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._knobs.cleanup_interval)
            await self.sweep()

    async def sweep(self) -> None:
        """Drop what was not used for `max_idle_time`, in small slices. The least used stand first."""
        now = self._clock.monotonic()
        while idle := [
            tenant_id
            for tenant_id, held in islice(self._held.items(), _SLICE)
            if held.last_access <= now - self._knobs.max_idle_time
        ]:
            for tenant_id in idle:
                self._drop(tenant_id)
            await asyncio.sleep(0)
        for asked in [asked for asked, until in self._absent.items() if until <= now]:
            del self._absent[asked]
