"""Keeps the snapshot on disk up to date. One process per machine does it: the one that has the lock."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from itertools import batched
from typing import Any

from shared.config_store.cache.gateways import GatewayCache
from shared.config_store.identity import KnownStore
from shared.config_store.layout import FORMAT, PLATFORM_ID
from shared.config_store.port import ConfigSource
from shared.config_store.snapshot import SnapshotFile
from shared.core.clock import Clock
from shared.core.errors import BadRecord, GatewayError, StoreDown
from shared.core.process.data_files import lock_file
from shared.core.process.failures import Failures
from shared.model.providers import PlatformDocument

_BATCH = 100  # tenants that are written in one transaction

logger = logging.getLogger(__name__)


class SnapshotKeeper:
    """Writes each changed tenant to `disk`, in the version that is good for `cache`, and the platform.

    It also stores why the newest version of one cannot be used. `known` is the store that `source`
    reads, and `mode` its mode. `workers` returns the number of workers of all machines, which is stored, too.
    """

    def __init__(
        self,
        source: ConfigSource,
        disk: SnapshotFile,
        cache: GatewayCache[Any, Any],
        clock: Clock,
        *,
        known: KnownStore,
        mode: str,
        workers: Callable[[], int],
    ) -> None:
        self._source = source
        self._disk = disk
        self._cache = cache
        self._clock = clock
        self._known = known
        self._mode = mode
        self._workers = workers
        self._lock: int | None = None
        self._stored: Mapping[str, Any] | None = None
        self._failures = Failures()

    async def run(self, pause: float) -> None:
        """Update the snapshot every `pause` seconds while this process has the lock. Runs until canceled."""
        while True:
            try:
                if self._lock is None:
                    self._lock = lock_file(self._disk.path.with_suffix(".lock"))
                if self._lock is not None and not self._is_up_to_date():
                    await self.update()
                    self._failures.end()
            except StoreDown:
                self._stored = None  # the store may be another one when it is back
            except (GatewayError, OSError, sqlite3.Error) as error:
                if self._failures.is_new(error):
                    logger.error("The snapshot %s cannot be written: %s", self._disk.path, error)
            await asyncio.sleep(pause)

    def _is_up_to_date(self) -> bool:
        """Whether the file has all that the cache knows to be in the store."""
        number = self._cache.seen
        return self._cache.trouble is None and number is not None and self._stored == self._meta(number)

    async def update(self) -> None:
        """Write what changed since the last update. Raises `StoreDown`, OSError or sqlite3.Error."""
        if self._stored is None:
            self._stored = await self._begin()
        before = self._stored
        number, changed = await self._source.changes(before.get("revision", 0))
        after = self._meta(number)
        if changed or before != after:
            await self._write(changed, (), before, after)
            self._stored = after

    async def _begin(self) -> Mapping[str, Any]:
        """Make the tenants on disk those of the store. Returns what the file says about itself."""
        stored = await asyncio.to_thread(self._disk.meta)
        if not stored:
            self._disk.remove()  # it is damaged, or of another release
        _, live = await self._source.changes(0)
        is_older = stored.get("format") != FORMAT  # its writer could not read all that is stored
        if is_older or _identities(stored) != _identities(self._meta(0)):
            stored = {**stored, "revision": 0}  # everything is read again
        present = await asyncio.to_thread(self._disk.tenants)
        if await asyncio.to_thread(self._disk.platform):
            present.add(PLATFORM_ID)
        gone, new = present.difference(live), set(live).difference(present)
        if gone or new:
            await self._write([*new], [*gone], stored, stored)
        return stored

    async def _write(
        self, changed: Sequence[str], gone: Sequence[str], before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> None:
        """Write tenants, a batch at a time, and remove those that are `gone`.

        The file says `before` until the last batch, so that the work is repeated after a crash.
        """
        batches = [*batched(changed, _BATCH)] or [()]
        for number, batch in enumerate(batches, start=1):
            began = self._clock.monotonic()
            put, drop, faults = [], [*gone], dict[str, str]()
            platform = await self._read_platform(faults) if PLATFORM_ID in batch else None
            for tenant_id in batch:
                if tenant_id == PLATFORM_ID:
                    continue
                try:
                    snapshot = await self._source.read(tenant_id)
                except BadRecord:
                    continue  # its last good version stays; the cache logs it
                if snapshot is None:
                    drop.append(tenant_id)
                    faults[tenant_id] = ""
                else:
                    good, faults[tenant_id] = await self._cache.last_good(snapshot)
                    put.append(good)
            is_last = number == len(batches)
            stored = after if is_last else before
            await asyncio.to_thread(self._disk.write, stored, put, drop, platform)
            with contextlib.suppress(StoreDown):  # for operators only; Redis may take no data
                await self._source.note_faults(faults, self._clock.now())
            if not is_last:
                await asyncio.sleep(self._clock.monotonic() - began)  # requests come first

    async def _read_platform(self, faults: dict[str, str]) -> PlatformDocument | None:
        """The document of the platform. A damaged one is None, so that the last good one stays."""
        try:
            document = await self._source.read_platform()
        except BadRecord as error:
            faults[PLATFORM_ID] = str(error)
            return None
        faults[PLATFORM_ID] = ""
        return document

    def _meta(self, revision: int) -> dict[str, Any]:
        seen = self._known.seen
        stores = {self._mode: seen.to_json()} if seen else {}
        return {"revision": revision, "stores": stores, "workers": self._workers(), "format": FORMAT}


def _identities(meta: Mapping[str, Any]) -> Mapping[str, tuple[str, int]]:
    """The id and the generation of the store of a snapshot, by its mode."""
    return {mode: (state["id"], state["generation"]) for mode, state in meta.get("stores", {}).items()}
