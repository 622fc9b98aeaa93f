"""The platform's document of a worker, compiled. The last good one stays in use, whatever comes."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from shared.config_store.cache.lru import Compiled
from shared.config_store.port import ConfigSource
from shared.config_store.snapshot import SnapshotFile
from shared.core.errors import StoreDown
from shared.core.process.failures import Failures
from shared.model.config import Snapshot
from shared.model.platform_change import PlatformChanges
from shared.model.providers import PlatformDocument

logger = logging.getLogger(__name__)

#: Calls a function with its arguments outside the event loop.
type InThread = Callable[..., Awaitable[Any]]

# Rules that are compiled together, in about 9 ms (measured): requests share the interpreter with the thread.
_RULES_TOGETHER = 100


def compiled_together[G: Compiled, P](
    compiler: Callable[[Snapshot, P, G | None], G], held: Mapping[str, G], platform: P
) -> Mapping[str, G | None]:
    """The first of the tenants, compiled with the platform: at least one, and those that take little time.

    None for one that fails: compiled alone, it says why.
    """
    found: dict[str, G | None] = {}
    rules = 0
    for tenant_id, gateway in held.items():
        rules += 1 + len(gateway.snapshot.rules)
        if found and rules > _RULES_TOGETHER:
            break
        found[tenant_id] = None
        with suppress(Exception):  # it must not keep the others from being compiled
            found[tenant_id] = compiler(gateway.snapshot, platform, gateway)
    return found


class PlatformCache[P]:
    """The document and its compiled form. One event loop only.

    A store without the document has an empty one. While it cannot be read, or not be compiled, and none is
    here, the one on `disk` is used.
    """

    def __init__(
        self,
        source: ConfigSource,
        compile_platform: Callable[[PlatformDocument, P | None], P],
        disk: SnapshotFile | None,
        in_thread: InThread,
    ) -> None:
        self._source = source
        self._compile = compile_platform
        self._disk = disk
        self._in_thread = in_thread
        self._failures = Failures()
        self._document: PlatformDocument | None = None
        self._compiled: P | None = None
        self._reported = PlatformDocument()  # the one by which `read` returned last
        self._is_outdated = False  # whether what the document names outside the store has changed
        #: Whether the document may have changed since it was read.
        self.is_stale = True

    @property
    def compiled(self) -> P:
        """The compiled document. Raises `StoreDown` as long as none could be read."""
        if self._document is None:
            raise StoreDown("The document of the platform was not read yet.")
        return self._compiled  # type: ignore[return-value]  # it was compiled with its document

    @property
    def is_here(self) -> bool:
        return self._document is not None

    def outdate(self) -> None:
        """Let the next `read` compile the document again, with providers that have keys outside the store.

        It returns these providers as changed.
        """
        self.is_stale = self._is_outdated = True
        kept = [one for one in self._reported.providers if not any(key.is_outside for key in one.keys)]
        self._reported = replace(self._reported, providers=tuple(kept))

    async def read(self) -> PlatformChanges:
        """Read and compile the document, and return what differs from the last one that was returned.

        It is read again when it changed meanwhile. Raises `StoreDown`; the document stays stale then.
        """
        while self.is_stale:
            self.is_stale = False
            try:
                await self._put(await self._source.read_platform())
                self._failures.end()
            except StoreDown:
                self.is_stale = True
                if self._is_outdated and self._document is not None:
                    await self._put(self._document)
                    break
                if not self.is_here and self._disk and await self._in_thread(self._disk.meta):
                    await self._put(await self._on_disk())
                    break
                raise
            except Exception as error:  # noqa: BLE001 -- whatever it has, tenants that do not need it are served
                if self._failures.is_new(error):
                    logger.error("%s The last good one stays in use.", error)
                if not self.is_here:
                    await self._put(await self._on_disk())
        newest = self._document or PlatformDocument()
        changes, self._reported = PlatformChanges(self._reported, newest), newest
        return changes

    async def _on_disk(self) -> PlatformDocument:
        """The last good document; an empty one when there is none."""
        found = None if self._disk is None else await self._in_thread(self._disk.platform)
        return found or PlatformDocument()

    async def _put(self, document: PlatformDocument) -> None:
        if document != self._document or self._is_outdated:
            # Parts that are compiled are used again, unless what they name outside the store has changed.
            before, self._is_outdated = None if self._is_outdated else self._compiled, False
            self._compiled = await self._in_thread(self._compile, document, before)
            self._document = document
