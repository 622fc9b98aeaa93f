"""Bounds the bytes of all ledgers in Redis together: the largest is trimmed first.

Each worker notes the sizes that Redis reports when it writes. One worker at a time compares their sum.
"""

import logging
from dataclasses import dataclass, field
from typing import Any, Final

from shared.core.sizes import trim_plan
from shared.redis_client.open import AnyConnection
from shared.usage.keys import SIZES_KEY, TRIMMING_KEY, ledger_key

logger = logging.getLogger(__name__)

# All ledgers are compared so often, in milliseconds.
_EVERY_MS: Final = 5_000
# A ledger whose size has changed less is not noted again, in bytes.
_STEP: Final = 64 * 1024


@dataclass(slots=True)
class LedgerBound:
    """The bound as one worker keeps it.

    Attributes:
        max_bytes: about the most bytes of all ledgers.
    """

    connection: AnyConnection
    max_bytes: int
    _noted: dict[str, int] = field(default_factory=dict)
    _changed: dict[str, int] = field(default_factory=dict)

    def note(self, tenant_id: str, size: int) -> None:
        """Take the size of a ledger in bytes, as Redis reports it."""
        if abs(size - self._noted.get(tenant_id, -_STEP)) >= _STEP:
            self._changed[tenant_id] = size

    async def apply(self) -> None:
        """Note the sizes that changed, and trim if this worker has to. Raises as `AnyConnection.call`."""
        if not self._changed:
            return
        changed = dict(self._changed)
        await self.connection.call("HSET", SIZES_KEY, *(part for pair in changed.items() for part in pair))
        if len(self._noted) > 10_000:
            self._noted.clear()
        self._noted |= changed
        self._changed = {name: size for name, size in self._changed.items() if changed.get(name) != size}
        if await self.connection.call("SET", TRIMMING_KEY, 1, "NX", "PX", _EVERY_MS):
            await self.trim()

    async def trim(self) -> None:
        """Trim the largest ledgers until all are within the bound."""
        reply: Any = await self.connection.call("HGETALL", SIZES_KEY)
        sizes = {name.decode(): int(size) for name, size in _pairs(reply)}
        for tenant_id, most in trim_plan(sizes, self.max_bytes).items():
            await self._trim(tenant_id, most, sizes[tenant_id])

    async def _trim(self, tenant_id: str, most: int, size: int) -> None:
        key = ledger_key(tenant_id)
        rows = await self.connection.call("XLEN", key)
        kept = rows * most // max(size, 1)
        removed = await self.connection.call("XTRIM", key, "MAXLEN", "~", kept, "LIMIT", 0)
        now = size * (rows - removed) // max(rows, 1)
        await self.connection.call("HSET", SIZES_KEY, tenant_id, now)
        self._noted[tenant_id] = now
        if removed:
            logger.warning(
                "ledger.max_bytes is reached: the oldest %d rows of tenant %s were removed.",
                removed,
                tenant_id,
            )


def _pairs(reply: Any) -> Any:
    return reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
