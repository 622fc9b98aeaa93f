"""Exchanges that the core loses without telling: they are settled when their client goes."""

from collections import defaultdict

from mitmproxy import connection, http

from mitm_addons.flows import state_of
from shared.core import tasks


class LostFlows:
    """Holds the flows that are open, by client. A request with trailers makes the core stop, for one."""

    def __init__(self) -> None:
        self._open: defaultdict[str, dict[str, http.HTTPFlow]] = defaultdict(dict)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        self._open[flow.client_conn.id][flow.id] = flow

    def response(self, flow: http.HTTPFlow) -> None:
        self._forget(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        self._forget(flow)

    def client_disconnected(self, client: connection.Client) -> None:
        for flow in self._open.pop(client.id, {}).values():
            state = state_of(flow)
            if state and state.run:
                # Settling twice does nothing: `error` may still come.
                tasks.start(state.run.cleanup(), "settle")

    def _forget(self, flow: http.HTTPFlow) -> None:
        client_id = flow.client_conn.id
        flows = self._open.get(client_id, {})
        flows.pop(flow.id, None)
        if not flows:
            self._open.pop(client_id, None)
