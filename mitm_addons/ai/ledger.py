"""The row of the ledger for each request that a model served."""

from collections.abc import Callable

from mitmproxy import http

from mitm_addons.flows import FlowState
from shared.core.clock import Clock
from shared.routing.ai_exchange import AiExchange
from shared.usage.row import LedgerRow

#: Takes a row, which is written later.
Add = Callable[[LedgerRow], None]


class Ledger:
    """Makes a row when an exchange with a model is over, also one that broke off.

    A response with an error status used nothing, so it has no row.
    """

    def __init__(self, add: Add, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._add = add
        self._clock = clock
        self._random_bytes = random_bytes

    def add(self, flow: http.HTTPFlow, state: FlowState, ai: AiExchange) -> None:
        """Add the row of an exchange that is over and has used something."""
        admitted, target, usage, resolution = state.admitted, ai.target, ai.usage, ai.resolution
        if admitted is None or target is None or usage is None or resolution is None:
            return
        key = admitted.key
        self._add(
            LedgerRow(
                id=self._random_bytes(16).hex(),
                time=self._clock.now(),
                request_id=state.request_id,
                tenant=admitted.gateway.snapshot.tenant.id,
                key=key.id if key else "",
                user=(key.user or "") if key else "",
                tags=key.metadata if key else {},
                rule=admitted.route.rule.id,
                provider=target.provider.name,
                provider_key=ai.attempt.key.id if ai.attempt and ai.attempt.key else "",
                model_asked=resolution.asked,
                model=target.model,
                api=ai.call.api,
                status=flow.response.status_code if flow.response else 0,
                stream=state.is_event_stream,
                usage=usage,
                cost_nano=ai.cost,
                rates={} if ai.rates is None else ai.rates.for_call(usage),
                attempts=ai.attempts.number if ai.attempts else 1,
                duration_ms=_ms(self._clock.monotonic() - state.started),
                first_ms=None if state.first_sent is None else _ms(state.first_sent - state.started),
            )
        )


def _ms(seconds: float) -> int:
    return max(round(seconds * 1000), 0)
