"""The tier's limit of concurrent requests, counted in this worker, without Redis."""

from collections import Counter

from mitm_addons.flows import GatewayFlow, reject_flow
from shared.core.errors import make_rejection


class Concurrency:
    """Rejects requests above the limit, and releases a slot however an exchange ends."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._tenant_of: dict[str, str] = {}

    def requestheaders(self, flow: GatewayFlow) -> None:
        state = flow.gateway_state
        if state is None or state.admitted is None or flow.response:
            return
        gateway = state.admitted.gateway
        limit, tenant_id = gateway.tier.concurrent, gateway.snapshot.tenant.id
        if limit is None:
            return
        if self._open[tenant_id] >= limit:
            message = f"This tenant already has {limit} open requests, the limit of its tier. Retry later."
            reject_flow(flow, make_rejection("too_many_concurrent_requests", message, {"Retry-After": "1"}))
            return
        self._open[tenant_id] += 1
        self._tenant_of[flow.id] = tenant_id

    def post_response(self, flow: GatewayFlow) -> None:
        """Release the slot, once. Every exchange ends with this hook, also without `response` or `error`."""
        if flow.id not in self._tenant_of:
            return
        tenant_id = self._tenant_of.pop(flow.id)
        self._open[tenant_id] -= 1
        if not self._open[tenant_id]:
            del self._open[tenant_id]

    # Before a client can have read the whole response: its next request must find the slot free.
    response = error = post_response
