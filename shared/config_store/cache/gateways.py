"""Compiled tenants in the memory of a worker, kept up to date in the background.

A known tenant is found by a dict look-up. Redis publishes changes. Besides, a worker checks the list of
changes every `config_ttl` seconds, in case a message was lost, and tells the others. The old snapshot stays
in use while a tenant is read again, while Redis is down, and when the new one cannot be read. A tenant that
is not in memory then comes from the snapshot on disk. A document with a part that does not compile never
replaces the last good one. Tenants are compiled in a thread, so that no request waits for rules of others.
Tenants are compiled with the platform's document. When that changes, the tenants that it concerns are
compiled again, a few at a time; each serves its old form until then.
"""

import asyncio
import functools
import logging
from collections.abc import Callable, Hashable
from itertools import islice
from typing import Any

from shared.config_store.cache.checks import Checks
from shared.config_store.cache.lru import Compiled, Current, GatewayLru, Owners
from shared.config_store.cache.platform import InThread, PlatformCache, compiled_together
from shared.config_store.layout import PLATFORM_ID
from shared.config_store.port import ConfigSource
from shared.config_store.records.tenants import with_document
from shared.config_store.snapshot import SnapshotFile
from shared.core.clock import Clock
from shared.core.errors import GatewayError, StoreDown, StoreLost
from shared.core.process.failures import Failures
from shared.core.single_flight import SingleFlight
from shared.model.config import Snapshot
from shared.model.providers import PlatformDocument
from shared.secrets.api_keys import match_hash

# Tenants that one slice of a sweep drops, so that no request waits for it, and that are compiled together.
_SLICE = 100
_FULL_RELOAD_PAUSE = 5.0  # seconds between two reloads of all tenants, however often the connection is lost
_NEVER = 2**53  # a number that no change reaches, to read the newest number alone

_CHECK, _CHECKS, _SOON, _WATCH, _SWEEP = "check for changes", "checks", "soon", "watch", "sweep"
_PLATFORM, _RECOMPILE = "platform", "second compilation"

logger = logging.getLogger(__name__)


class GatewayCache[G: Compiled, P]:
    """Compiled tenants. One event loop only, and no locks.

    `G` is a compiled tenant, `P` the compiled document of the platform. Neither is changed later.
    """

    def __init__(
        self,
        source: ConfigSource,
        compiler: Callable[[Snapshot, P, G | None], G],
        clock: Clock,
        *,
        compile_platform: Callable[[PlatformDocument, P | None], P],
        config_ttl: float,
        cleanup_interval: float,
        max_idle_time: float,
        max_entries: int,
        disk: SnapshotFile | None = None,
        in_thread: InThread = asyncio.to_thread,
    ) -> None:
        """All times are in seconds. `in_thread` calls the compilers outside the event loop.

        A tenant that names what the platform lacks is compiled, too. `compiler` also gets the one in memory.
        """
        self._source = source
        self._disk = disk
        self._in_thread = in_thread
        self._compiler = compiler
        self._clock = clock
        self._config_ttl = config_ttl
        self._checks = Checks(config_ttl, self._check_to_tell, source.tell)
        self._cleanup_interval = cleanup_interval
        self._max_idle_time = max_idle_time
        self._gateways: GatewayLru[G] = GatewayLru(max_entries)
        self._platform = PlatformCache(source, compile_platform, disk, in_thread)
        self._outdated: dict[str, None] = {}  # tenants to compile again with the new platform, in order
        self._held_back: set[str] = set()  # tenants whose newest document is not in use
        self._owners = Owners(source, clock)
        self._tasks = SingleFlight(self._failed)
        self._stale: set[str] = set()
        self._all_stale, self._full_reload_from = False, clock.monotonic()
        self._failures = Failures()
        #: The number of the newest change at the last successful check; None before the first.
        self.seen: int | None = None
        #: The time of the last successful check for changes (monotonic seconds); None before the first.
        self.last_config_check: float | None = None
        #: The last check after which no tenant in memory lacked a change; None before the first.
        self.current: Current | None = None
        #: Why the last check for changes failed; None when it succeeded.
        self.trouble: str | None = None
        #: Whether the last check found a store without the data that were served last.
        self.is_lost = False
        #: Whether tenants are known: from Redis, or at the start from the disk.
        self.is_informed = False

    def __len__(self) -> int:
        return len(self._gateways)

    async def start(self) -> None:
        """Follow the changes from now on. Returns after the first check, also when it failed."""
        if self._disk is not None:
            self.is_informed = bool(await asyncio.to_thread(self._disk.meta))
        first = self._tasks.join(_CHECK, self.check)
        watch = functools.partial(self._source.watch, self._changed, self._reconnected, self._told)
        self._tasks.repeat(_WATCH, watch, self._config_ttl)
        self._tasks.join(_CHECKS, self._checks.keep)
        self._tasks.repeat(_SWEEP, self.sweep, self._cleanup_interval)
        await asyncio.wait({first})

    async def close(self) -> None:
        """Stop following. The source stays open."""
        await self._tasks.close()

    def peek(self, subdomain: str | None, key_hash: str | None) -> G | None:
        """The result of `find` if Redis need not be asked; None: call `find`."""
        gateway = self._gateways.find(subdomain, key_hash, self._clock.monotonic())
        if gateway is None or subdomain is None or key_hash is None or key_hash in gateway.keys:
            return gateway
        return gateway if match_hash(key_hash, gateway.keys) else None

    async def find(self, subdomain: str | None, key_hash: str | None) -> G | None:
        """The tenant with the subdomain; without a subdomain, with the key. None when there is none.

        An unknown subdomain, or an unknown key, is one call to Redis, then none for a while. Raises
        `StoreDown` when the tenant is not in memory and cannot be read.
        """
        gateway = self._gateways.find(subdomain, key_hash, self._clock.monotonic())
        if subdomain is None:
            return gateway or (await self._read_by("key", key_hash) if key_hash else None)
        if gateway is None:
            return await self._read_by("subdomain", subdomain)
        if key_hash is None or match_hash(key_hash, gateway.keys):
            return gateway
        return await self._with_new_key(gateway, key_hash)

    async def check(self) -> None:
        """Check for changes, and read the changed tenants in memory again. Raises `StoreDown`."""
        started = self._clock.monotonic()
        number, changed = await self._source.changes(_NEVER if self.seen is None else self.seen)
        # Then the tenants in memory may be older than this check, or from another Redis.
        self._all_stale |= self.seen is None or number < self.seen or self.trouble is not None
        self.seen = number
        if self.trouble is not None:
            logger.info("The configuration can be read again.")
        self.last_config_check, self.trouble, self.is_lost, self.is_informed = started, None, False, True
        self._failures.end(_CHECK)
        if changed:
            self._owners.forget()
        urgent = [tenant_id for tenant_id in changed if self._mark(tenant_id)]
        if self._all_stale and started >= self._full_reload_from:
            self._all_stale = False
            self._full_reload_from = started + _FULL_RELOAD_PAUSE
            self._stale.update(self._gateways)
            self._platform.is_stale = True
        self._platform.is_stale |= PLATFORM_ID in changed
        if self._platform.is_stale:
            await self._refresh(self._join_platform())
        for tenant_id in dict.fromkeys((*urgent, *self._stale)):
            if tenant_id in self._stale:
                await self._refresh(self._join_read(tenant_id))
            if self._clock.monotonic() - started > self._config_ttl:
                break  # The next check is due. It reads the rest.
        if not (self._stale or self._platform.is_stale or self._outdated):
            self.current = Current(number, started)

    def compile_platform_again(self) -> None:
        """Compile the platform's document again, and the tenants that use keys outside the store."""
        self._platform.outdate()
        self._join_platform()

    async def sweep(self) -> None:
        """Drop tenants that were not used for `max_idle_time`, in small slices."""
        before = self._clock.monotonic() - self._max_idle_time
        while self._gateways.drop_idle(before, _SLICE):
            await asyncio.sleep(0)

    async def last_good(self, snapshot: Snapshot) -> tuple[Snapshot, str]:
        """`snapshot`, or with its last good document when its own does not compile, and why it does not."""
        gateway, why = await self._compile(snapshot, await self._current_platform())
        return gateway.snapshot, why

    async def _read_by(self, kind: str, text: str) -> G | None:
        """The tenant in Redis; while Redis cannot be read, or its record cannot, the one on disk."""
        is_down = self.trouble is not None
        if is_down and (gateway := await self._read_disk(kind, text)):
            return gateway
        try:
            return await self._read_redis(kind, text)
        except StoreDown:
            gateway = None if is_down else await self._read_disk(kind, text)
            if gateway is None:
                raise
            return gateway

    async def _read_disk(self, kind: str, text: str) -> G | None:
        return await self._result(self._tasks.join(("disk", kind, text), lambda: self._load_disk(kind, text)))

    async def _load_disk(self, kind: str, text: str) -> G | None:
        snapshot = await self._from_disk(kind, text)
        if snapshot is None:
            return None
        if (held := self._gateways.get(snapshot.tenant.id)) is not None:
            return held
        gateway: G = await self._in_thread(self._compiler, snapshot, await self._current_platform(), None)
        self._gateways.put(gateway, self._clock.monotonic())
        self._stale.add(snapshot.tenant.id)  # the next check reads it from Redis
        return gateway

    async def _from_disk(self, kind: str, text: str) -> Snapshot | None:
        return None if self._disk is None else await asyncio.to_thread(self._disk.find, kind, text)

    async def _read_redis(self, kind: str, text: str) -> G | None:
        tenant_id = await self._owner(kind, text)
        if tenant_id is None:
            return None
        gateway = await self._result(self._join_read(tenant_id))
        if gateway is None:
            return None
        # It may have lost the name between the two calls.
        owns = match_hash(text, gateway.keys) if kind == "key" else text == gateway.snapshot.tenant.subdomain
        return gateway if owns else None

    async def _with_new_key(self, gateway: G, key_hash: str) -> G | None:
        """The tenant, read again if the key is one of its new keys. `gateway` while Redis is down."""
        tenant_id = gateway.snapshot.tenant.id
        try:
            if await self._owner("key", key_hash) != tenant_id:
                return gateway
            return await self._result(self._join_read(tenant_id))
        except StoreDown:
            return gateway

    async def _owner(self, kind: str, text: str) -> str | None:
        if self._owners.has_none(name := (kind, text)):
            return None
        return await self._result(self._tasks.join(name, lambda: self._owners.look_up(name)))

    async def _refresh(self, task: asyncio.Task[Any]) -> None:
        """Wait for a read. Raises `StoreDown` only, since that concerns all tenants."""
        await asyncio.wait({task})
        if isinstance(error := task.exception(), StoreDown):
            raise error

    def _join_read(self, tenant_id: str) -> asyncio.Task[G | None]:
        return self._tasks.join(("tenant", tenant_id), lambda: self._read(tenant_id))

    async def _read(self, tenant_id: str) -> G | None:
        """Read, compile and keep a tenant, even one that changed meanwhile; then again."""
        gateway = None
        self._stale.add(tenant_id)
        while tenant_id in self._stale:
            self._stale.discard(tenant_id)
            snapshot = await self._source.read(tenant_id)
            if tenant_id not in self._stale:
                platform = await self._current_platform()
                gateway = None if snapshot is None else (await self._compile(snapshot, platform))[0]
                if gateway is None:
                    self._gateways.drop(tenant_id)
                else:
                    self._gateways.put(gateway, self._clock.monotonic())
                if platform is not self._platform.compiled:
                    self._stale.add(tenant_id)
        self._failures.end(("tenant", tenant_id))
        return gateway

    async def _compile(self, snapshot: Snapshot, platform: P) -> tuple[G, str]:
        """The compiled tenant, or its last good document, and what is wrong with its own one."""
        tenant_id, name = snapshot.tenant.id, ("document", snapshot.tenant.id)
        held = self._gateways.get(tenant_id)
        gateway: G = await self._in_thread(self._compiler, snapshot, platform, held)
        self._held_back.discard(tenant_id)
        if not gateway.faults:
            self._failures.end(name)
            return gateway, ""
        good = held.snapshot if held and not held.faults else await self._from_disk("id", tenant_id)
        faults = "; ".join(gateway.faults)
        if good is None:
            return gateway, faults
        kept: G = await self._in_thread(self._compiler, with_document(snapshot, good), platform, held)
        if kept.faults:
            return gateway, faults
        self._held_back.add(tenant_id)
        if self._failures.is_new(faults, name):
            logger.error("Tenant %s: %s. Its last good version stays in use.", tenant_id, faults)
        return kept, faults

    def _join_platform(self) -> asyncio.Task[None]:
        return self._tasks.join(_PLATFORM, self._read_platform)

    async def _read_platform(self) -> None:
        """Read the platform's document, and begin to compile again the tenants that it concerns."""
        changes = await self._platform.read()
        self._failures.end(_PLATFORM)
        if changes:
            gateways = (self._gateways.get(tenant_id) for tenant_id in reversed([*self._gateways]))
            held = [gateway.snapshot for gateway in gateways if gateway is not None]
            concerned = await self._in_thread(changes.concerned, held)
            # A document that is held back may be good now.
            self._outdated.update(dict.fromkeys((*concerned, *self._held_back)))
            self._tasks.join(_RECOMPILE, self._recompile)

    async def _current_platform(self) -> P:
        """The newest document that is known. A change that was announced is read first."""
        if self._platform.is_stale and (_PLATFORM in self._tasks or not self._platform.is_here):
            await asyncio.wait({self._join_platform()})
        return self._platform.compiled

    async def _recompile(self) -> None:
        """Compile the outdated tenants again, those used last first, several in one call of the thread."""
        while self._outdated:
            platform, some = await self._current_platform(), [*islice(self._outdated, _SLICE)]
            found = {one: self._gateways.get(one) for one in some if one not in self._held_back}
            held = {one: gateway for one, gateway in found.items() if gateway is not None}
            made = await self._in_thread(compiled_together, self._compiler, held, platform)
            for tenant_id in [one for one in some if one in made or one not in held]:
                del self._outdated[tenant_id]
                gateway, was = made.get(tenant_id), held.get(tenant_id)
                is_newest = platform is self._platform.compiled and tenant_id not in self._stale
                if gateway and not gateway.faults and is_newest and self._gateways.get(tenant_id) is was:
                    self._gateways.put(gateway, self._clock.monotonic())
                else:
                    again = functools.partial(self._compile_again, tenant_id)
                    await asyncio.wait({self._tasks.join(("tenant", tenant_id), again)})

    async def _compile_again(self, tenant_id: str) -> G | None:
        """Compile a tenant in memory again, without a read unless its newest document is not in use."""
        held = self._gateways.get(tenant_id)
        if held is None:
            self._held_back.discard(tenant_id)
            return None
        if tenant_id in self._held_back or tenant_id in self._stale:
            return await self._read(tenant_id)
        gateway, _ = await self._compile(held.snapshot, await self._current_platform())
        if tenant_id in self._gateways:
            self._gateways.put(gateway, self._clock.monotonic())
        return await self._read(tenant_id) if tenant_id in self._stale else gateway

    def _changed(self, tenant_id: str) -> None:
        if tenant_id == PLATFORM_ID:
            self._platform.is_stale = True
            self._join_platform()
            return
        self._owners.forget()
        if self._mark(tenant_id):
            self._join_read(tenant_id)

    def _told(self, number: int | None) -> None:
        """Take the check of another worker, which saw that change as the newest, for an own one."""
        if self.trouble is not None or _CHECK in self._tasks:
            return
        if number is None or number != self.seen:
            self._tasks.join(_SOON, self._checks.soon)
        elif not (self._all_stale or self._stale or self._platform.is_stale or self._outdated):
            self._checks.told()
            self.last_config_check = now = self._clock.monotonic()
            self.current = Current(number, now)

    async def _check_to_tell(self) -> int | None:
        await asyncio.wait({self._tasks.join(_CHECK, self.check)})
        return None if self.trouble is not None else self.seen

    def _mark(self, tenant_id: str) -> bool:
        """Mark a tenant as changed. False when it is neither in memory nor being read."""
        if tenant_id not in self._gateways and ("tenant", tenant_id) not in self._tasks:
            return False
        self._stale.add(tenant_id)
        return True

    def _reconnected(self) -> None:
        self._owners.forget()
        self._all_stale = True
        self._tasks.join(_CHECK, self.check)

    async def _result[R](self, task: asyncio.Task[R]) -> R:
        await asyncio.wait({task})
        if (error := task.exception()) is not None:
            raise StoreDown(f"The configuration cannot be read: {error}") from error
        return task.result()

    def _failed(self, name: Hashable, error: BaseException) -> None:
        """Handle the failure of any task. The tenants in memory stay; each failure is logged once."""
        if name == _CHECK:
            self.trouble, self.is_lost = str(error), isinstance(error, StoreLost)
        kind, *rest = name if isinstance(name, tuple) else (name,)
        if kind == _PLATFORM and isinstance(error, StoreDown):
            return  # the check for changes reports it, and reads it again
        if kind == "tenant" and isinstance(error, StoreDown):
            # Not the fault of this tenant: the next check reads it again.
            keep = self._stale.add if rest[0] in self._gateways else self._stale.discard
            keep(rest[0])
            return
        if kind in ("subdomain", "key") or not self._failures.is_new(error, name):
            return
        unexpected = None if isinstance(error, GatewayError) else error
        title = f"Tenant {rest[0]}" if rest else f"The {kind} of the configuration"
        logger.error("%s: %s The old configuration stays in use.", title, error, exc_info=unexpected)
