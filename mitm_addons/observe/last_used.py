"""Stores when API keys were last used, in batches, outside of requests."""

import asyncio
import logging

from mitm_addons.flows import GatewayFlow
from shared.config_store.port import ConfigSource
from shared.core.errors import StoreDown

logger = logging.getLogger(__name__)

_INTERVAL = 5.0  # seconds between two writes; `last_used_at` is a hint, not a record


class LastUsed:
    """Collects (tenant, key) -> time, and writes it to the store. A batch may get lost."""

    def __init__(self, source: ConfigSource) -> None:
        self._source = source
        self._used: dict[tuple[str, str], float] = {}

    def post_response(self, flow: GatewayFlow) -> None:
        state = flow.gateway_state
        if state and state.admitted and state.admitted.key:
            tenant_id = state.admitted.gateway.snapshot.tenant.id
            self._used[tenant_id, state.admitted.key.id] = state.over_at

    async def run(self) -> None:
        """Write what was collected every few seconds, until canceled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            await self.flush()

    async def flush(self) -> None:
        if not self._used:
            return
        used, self._used = self._used, {}
        try:
            await self._source.touch(used)
        except StoreDown as error:
            logger.warning("The times of last use of %d API keys were not stored: %s", len(used), error)
