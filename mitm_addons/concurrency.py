"""The tier's ceiling on exchanges at a time, counted in this worker, without Redis."""

from collections import Counter

from mitmproxy import http

from mitm_addons.flows import refuse_flow, state_of
from shared.core.errors import refuse


class Concurrency:
    """Refuses what is above the ceiling; gives a place back on every way an exchange can end."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._held: dict[str, str] = {}

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        state = state_of(flow)
        if state is None or state.admitted is None or flow.response:
            return
        gateway = state.admitted.gateway
        ceiling, tenant_id = gateway.tier.concurrent, gateway.snapshot.tenant.id
        if ceiling is None:
            return
        if self._open[tenant_id] >= ceiling:
            message = f"This tenant has {ceiling} requests open, which is all that its tier allows at a time."
            refuse_flow(flow, refuse("too_many_concurrent_requests", message, {"Retry-After": "1"}))
            return
        self._open[tenant_id] += 1
        self._held[flow.id] = tenant_id

    def response(self, flow: http.HTTPFlow) -> None:
        self._release(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._release(flow)

    def _release(self, flow: http.HTTPFlow) -> None:
        tenant_id = self._held.pop(flow.id, None)
        if tenant_id is not None:
            self._open[tenant_id] -= 1
            if not self._open[tenant_id]:
                del self._open[tenant_id]
