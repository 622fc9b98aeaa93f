"""The row of the ledger for each request that a model served."""

import logging
from collections.abc import Callable
from typing import Final

from mitmproxy import http

from mitm_addons.flows import FlowState
from shared.core.memo import BoundedDict
from shared.routing.ai_exchange import AiExchange
from shared.usage.reported import MAX_REPORTED
from shared.usage.row import LedgerRow

logger = logging.getLogger(__name__)

# Seconds until a provider is named again, and the most that are remembered.
_SILENCE: Final = 3_600.0
_MAX_SILENT: Final = 1_000

#: Takes a row, which is written later.
Add = Callable[[LedgerRow], None]


class Ledger:
    """Makes a row when an exchange with a model is over, also one that broke off.

    A response with an error status used nothing, so it has no row, unless a call before it may have.
    """

    def __init__(self, add: Add, random_bytes: Callable[[int], bytes]) -> None:
        self._add = add
        self._random_bytes = random_bytes
        self._silent = BoundedDict[tuple[str, str], float](_MAX_SILENT)

    def add(self, flow: http.HTTPFlow, state: FlowState, ai: AiExchange) -> None:
        """Add the row of an exchange that is over and has used something."""
        admitted, target, usage, resolution = state.admitted, ai.target, ai.usage, ai.resolution
        if admitted is None or target is None or usage is None or resolution is None:
            return
        if ai.meter is not None and ai.meter.reported.is_implausible:
            self._warn(target.provider.name, admitted.gateway.snapshot.tenant.id, state.over)
        key, first = admitted.key, state.sent.first
        self._add(
            LedgerRow(
                id=self._random_bytes(16).hex(),
                time=state.over_at,
                request_id=state.request_id,
                tenant=admitted.gateway.snapshot.tenant.id,
                key=key.id if key else "",
                user=(key.user or "") if key else "",
                tags=key.metadata if key else {},
                rule=admitted.route.rule.id,
                provider=target.provider.provider.name,
                provider_key=ai.attempt.key.id if ai.attempt and ai.attempt.key else "",
                model_asked=resolution.asked,
                model=target.model,
                api=ai.call.api,
                status=flow.response.status_code if flow.response else 0,
                stream=state.sent.is_events,
                usage=usage,
                cost_nano=ai.cost,
                rates={} if ai.rates is None else ai.rates.for_call(usage),
                attempts=ai.attempts.number if ai.attempts else 1,
                abandoned=ai.abandoned,
                duration_ms=round(1000 * (state.over - state.started)),
                first_ms=None if first is None else round(1000 * (first - state.started)),
            )
        )

    def _warn(self, provider: str, tenant: str, now: float) -> None:
        """Log that a provider has reported what cannot be, once in a while for each."""
        name = (provider, tenant)
        if now < self._silent.get(name, now):
            return
        self._silent.keep(name, now + _SILENCE)
        logger.warning(
            "Provider %s has reported more than %d tokens for a call of tenant %s. They are estimated.",
            provider,
            MAX_REPORTED,
            tenant,
        )
