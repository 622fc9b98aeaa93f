"""The proxy's view of the configuration: compiled tenants in memory, kept up to date in the background.

A known tenant is a dict look-up. Changes are pushed; besides, a look at the list of changes every
`config_ttl` finds what a lost message hid (the seed's periodic check). While a tenant is read again the
old snapshot serves; while the store is down it serves for as long as that lasts, and so it does when the
new one cannot be read or compiled. Tenants are compiled in a thread, so that no request waits for another
tenant's rules.
"""

import asyncio
import logging
from collections.abc import Callable, Hashable
from typing import Any, Protocol

from shared.config_store.cache.lru import Compiled, GatewayLru
from shared.config_store.cache.negative_cache import NegativeCache
from shared.config_store.port import ConfigSource
from shared.core.clock import Clock
from shared.core.errors import GatewayError, StoreDown
from shared.core.single_flight import SingleFlight
from shared.model.config import Snapshot

# Tenants that one slice of a sweep drops, so that no request waits for it.
_SLICE = 100
# Seconds between two times that everything held is read again, however often the connection is lost.
_FULL_RELOAD_PAUSE = 5.0
# A number that no change reaches: asks for the newest number alone.
_NEVER = 2**53

_LOOK, _WATCH, _SWEEP = "look for changes", "watch", "sweep"

logger = logging.getLogger(__name__)


class Aside(Protocol):
    """Calls a function with one argument where the event loop does not wait for it."""

    async def __call__[A, R](self, function: Callable[[A], R], argument: A, /) -> R: ...


class CacheSettings(Protocol):
    """`settings.cache`: times in seconds, and the most tenants held."""

    @property
    def config_ttl(self) -> float: ...

    @property
    def cleanup_interval(self) -> float: ...

    @property
    def max_idle_time(self) -> float: ...

    @property
    def max_entries(self) -> int: ...


class GatewayCache[G: Compiled]:
    """Compiled tenants. One event loop; nothing in it waits for a lock."""

    def __init__(
        self,
        source: ConfigSource,
        compiler: Callable[[Snapshot], G],
        clock: Clock,
        settings: CacheSettings,
        aside: Aside = asyncio.to_thread,
    ) -> None:
        self._source = source
        self._aside = aside
        self._compiler = compiler
        self._clock = clock
        self._settings = settings
        self._held: GatewayLru[G] = GatewayLru(settings.max_entries)
        self._absent = NegativeCache()
        self._flights = SingleFlight(self._failed)
        self._stale: set[str] = set()
        self._all_stale = False
        self._full_reload_from = clock.monotonic()
        self._seen: int | None = None
        self._reported: dict[Hashable, str] = {}
        #: When the last look for changes succeeded (monotonic seconds); None before the first.
        self.last_config_check: float | None = None
        #: Why the last look for changes failed, None when it did not.
        self.trouble: str | None = None

    def __len__(self) -> int:
        return len(self._held)

    async def start(self) -> None:
        """Follow the changes from now on. A store that is down does not stop the start."""
        settings = self._settings
        for name, work, pause in (
            (_WATCH, lambda: self._source.watch(self._changed, self._reconnected), settings.config_ttl),
            (_LOOK, self.look, settings.config_ttl),
            (_SWEEP, self.sweep, settings.cleanup_interval),
        ):
            self._repeat(name, work, pause)

    async def close(self) -> None:
        """Stop following. The source stays open."""
        await self._flights.close()

    def peek(self, subdomain: str | None, key_hash: str | None) -> G | None:
        """The tenant, if it is held: the fast way. None says nothing; ask `find` then."""
        return self._held.find(subdomain, key_hash, self._clock.monotonic())

    async def find(self, subdomain: str | None, key_hash: str | None) -> G | None:
        """The tenant that has the subdomain; without one, the tenant that has the key. None: nobody.

        An unknown subdomain and an unknown key of a known tenant cost the same: one question to the
        store, then none for a while. Raises `StoreDown` when the tenant is not held and cannot be had.
        """
        gateway = self.peek(subdomain, key_hash)
        if subdomain is None:
            return gateway or (await self._ask("key", key_hash) if key_hash else None)
        if gateway is None:
            return await self._ask("subdomain", subdomain)
        if key_hash is None or key_hash in gateway.keys:
            return gateway
        # The key may be newer than what is held.
        return await self._ask_for_key(gateway, key_hash)

    async def look(self) -> None:
        """Look for changes and read what is held of them again. Raises `StoreDown`."""
        started = self._clock.monotonic()
        number, changed = await self._source.changes(_NEVER if self._seen is None else self._seen)
        if self._seen is None or number < self._seen or self.trouble is not None:
            # What is held may be older than this look, or of another store.
            self._all_stale = True
        self._seen = number
        self._note_success(started)
        if changed:
            self._absent = NegativeCache()
        urgent = [tenant_id for tenant_id in changed if self._mark(tenant_id)]
        if self._all_stale and started >= self._full_reload_from:
            self._all_stale = False
            self._full_reload_from = started + _FULL_RELOAD_PAUSE
            self._stale.update(self._held)
        for tenant_id in dict.fromkeys((*urgent, *self._stale)):
            if tenant_id in self._stale:
                await self._refresh(tenant_id)
            if self._clock.monotonic() - started > self._settings.config_ttl:
                break  # The next look is due; it goes on with the rest.

    async def sweep(self) -> None:
        """Drop what was not used for `max_idle_time`, in small slices."""
        before = self._clock.monotonic() - self._settings.max_idle_time
        while self._held.drop_idle(before, _SLICE):
            await asyncio.sleep(0)

    async def _ask(self, kind: str, text: str) -> G | None:
        tenant_id = await self._owner(kind, text)
        if tenant_id is None:
            return None
        gateway = await self._load(tenant_id)
        if gateway is None:
            return None
        # It may have lost the name between the two questions.
        owns = text in gateway.keys if kind == "key" else text == gateway.snapshot.tenant.subdomain
        return gateway if owns else None

    async def _ask_for_key(self, gateway: G, key_hash: str) -> G | None:
        """The tenant as it is, or read again when the store knows its new key. `gateway` when in trouble."""
        tenant_id = gateway.snapshot.tenant.id
        try:
            if await self._owner("key", key_hash) != tenant_id:
                return gateway
            return await self._load(tenant_id)
        except StoreDown:
            return gateway

    async def _owner(self, kind: str, text: str) -> str | None:
        name = (kind, text)
        if self._absent.holds(name, self._clock.monotonic()):
            return None
        owner: str | None = await self._result(self._flights.join(name, lambda: self._look_up(kind, text)))
        return owner

    async def _look_up(self, kind: str, text: str) -> str | None:
        # A change that comes meanwhile begins a new list: then the answer may be old and is not kept.
        absent = self._absent
        ask = self._source.tenant_of_key if kind == "key" else self._source.tenant_of_subdomain
        tenant_id = await ask(text)
        if tenant_id is None:
            absent.add((kind, text), self._clock.monotonic())
        return tenant_id

    async def _load(self, tenant_id: str) -> G | None:
        gateway: G | None = await self._result(self._fly(tenant_id))
        return gateway

    async def _refresh(self, tenant_id: str) -> None:
        """Read a tenant again. Only a store that is down is worth raising: it would fail for all."""
        flight = self._fly(tenant_id)
        await asyncio.wait({flight})
        if isinstance(error := flight.exception(), StoreDown):
            raise error

    def _fly(self, tenant_id: str) -> asyncio.Task[Any]:
        return self._flights.join(("tenant", tenant_id), lambda: self._read(tenant_id))

    async def _read(self, tenant_id: str) -> G | None:
        """Read, compile and hold a tenant; once more when a change was announced meanwhile.

        What was compiled is held even then: who changes it again and again must not keep the old one alive.
        """
        gateway = None
        self._stale.add(tenant_id)
        while tenant_id in self._stale:
            self._stale.discard(tenant_id)
            snapshot = await self._source.read(tenant_id)
            if tenant_id not in self._stale:
                gateway = None if snapshot is None else await self._aside(self._compiler, snapshot)
                self._hold(tenant_id, gateway)
        self._reported.pop(("tenant", tenant_id), None)
        return gateway

    def _hold(self, tenant_id: str, gateway: G | None) -> None:
        if gateway is None:
            self._held.drop(tenant_id)
        else:
            self._held.put(gateway, self._clock.monotonic())

    def _changed(self, tenant_id: str) -> None:
        self._absent = NegativeCache()
        if self._mark(tenant_id):
            self._fly(tenant_id)

    def _mark(self, tenant_id: str) -> bool:
        """Note that a tenant changed; False when it is nothing to us."""
        if tenant_id not in self._held and ("tenant", tenant_id) not in self._flights:
            return False
        self._stale.add(tenant_id)
        return True

    def _reconnected(self) -> None:
        self._absent = NegativeCache()
        self._all_stale = True
        self._flights.join(_LOOK, self.look)

    async def _result(self, flight: asyncio.Task[Any]) -> Any:
        await asyncio.wait({flight})
        if (error := flight.exception()) is not None:
            raise StoreDown(f"The configuration cannot be read: {error}") from error
        return flight.result()

    def _repeat(self, name: str, work: Callable[[], Any], pause: float) -> None:
        self._flights.join(("repeat", name), lambda: self._flights.repeat(name, work, pause))

    def _note_success(self, now: float) -> None:
        if self.trouble is not None:
            logger.info("The configuration store answers again.")
        self.last_config_check, self.trouble = now, None
        self._reported.pop(_LOOK, None)

    def _failed(self, name: Hashable, error: BaseException) -> None:
        """The one place that hears of every failure. What was held stays; each trouble is logged once."""
        if name == _LOOK:
            self.trouble = str(error)
        kind, *rest = name if isinstance(name, tuple) else (name,)
        if kind == "tenant" and isinstance(error, StoreDown):
            # Not this tenant's fault; the next look reads it again.
            keep = self._stale.add if rest[0] in self._held else self._stale.discard
            keep(rest[0])
            return
        if kind in ("subdomain", "key") or self._reported.get(name) == str(error):
            return
        self._reported[name] = str(error)
        fault = None if isinstance(error, GatewayError) else error
        logger.error("%s: %s What was known goes on serving.", _title(name), error, exc_info=fault)


def _title(name: Hashable) -> str:
    """What failed, for the log."""
    return f"Tenant {name[1]}" if isinstance(name, tuple) else f"The {name} of the configuration"
