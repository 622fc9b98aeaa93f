"""The row of the ledger for each request that a model served."""

from collections.abc import Callable

from mitmproxy import http

from mitm_addons.ai.exchange import AiExchange
from mitm_addons.flows import FlowState, state_of
from shared.core.clock import Clock
from shared.routing.admission import Admitted
from shared.usage.row import LedgerRow

#: Takes a row, which is written later.
Add = Callable[[LedgerRow], None]


class Ledger:
    """Adds a row when an exchange with a model is over, also one that broke off.

    A response with an error status used nothing, so it has no row.
    """

    def __init__(self, add: Add, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._add = add
        self._clock = clock
        self._random_bytes = random_bytes

    def post_response(self, flow: http.HTTPFlow) -> None:
        state = state_of(flow)
        if state is None or state.ai is None or state.admitted is None or state.ai.usage is None:
            return
        self._add(self._row(flow, state, state.admitted, state.ai))

    def _row(self, flow: http.HTTPFlow, state: FlowState, admitted: Admitted, ai: AiExchange) -> LedgerRow:
        key, target, usage = admitted.key, ai.target, ai.usage
        if target is None or usage is None or ai.resolution is None:
            raise ValueError("A request that no target served has no row.")
        return LedgerRow(
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
            model_asked=ai.resolution.asked,
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


def _ms(seconds: float) -> int:
    return max(round(seconds * 1000), 0)
