"""The tier's ceiling on exchanges at a time, counted in this worker, without Redis."""

from collections import Counter, defaultdict

from mitmproxy import connection, http

from mitm_addons.flows import reject_flow, state_of
from shared.core.errors import make_rejection


class Concurrency:
    """Refuses what is above the ceiling; gives a place back on every way an exchange can end."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._held: dict[str, tuple[str, str]] = {}
        self._of_client: defaultdict[str, set[str]] = defaultdict(set)

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
            reject_flow(flow, make_rejection("too_many_concurrent_requests", message, {"Retry-After": "1"}))
            return
        self._open[tenant_id] += 1
        client_id = flow.client_conn.id
        self._held[flow.id] = tenant_id, client_id
        self._of_client[client_id].add(flow.id)

    def response(self, flow: http.HTTPFlow) -> None:
        self._release(flow.id)

    def error(self, flow: http.HTTPFlow) -> None:
        self._release(flow.id)

    def client_disconnected(self, client: connection.Client) -> None:
        # The core can lose a flow without telling (a request with trailers makes it stop).
        for flow_id in tuple(self._of_client.get(client.id, ())):
            self._release(flow_id)

    def _release(self, flow_id: str) -> None:
        if flow_id not in self._held:
            return
        tenant_id, client_id = self._held.pop(flow_id)
        self._open[tenant_id] -= 1
        if not self._open[tenant_id]:
            del self._open[tenant_id]
        self._of_client[client_id].discard(flow_id)
        if not self._of_client[client_id]:
            del self._of_client[client_id]
