"""``/__/health`` and ``/__/ready`` on any Host or none, for load balancers. Other requests have a tenant."""

from collections.abc import Callable

import orjson

from mitm_addons.flows import FlowState, GatewayFlow, begin, put_response
from shared.core.clock import Clock
from shared.http.readiness import DRAINING, HEALTH, OK, READY, Probed, readiness
from shared.http.request_id import request_id
from shared.model.messages import Headers, Response

#: The request targets of the two probes.
PROBES = frozenset((HEALTH.encode(), READY.encode()))


class Health:
    """Responds to the two probes, before all other addons."""

    def __init__(
        self,
        probe: Callable[[], Probed],
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        is_draining: Callable[[], bool],
    ) -> None:
        self._probe = probe
        self._is_draining = is_draining
        self._clock = clock
        self._random_bytes = random_bytes

    def requestheaders(self, flow: GatewayFlow) -> None:
        if flow.request.data.path not in PROBES or flow.request.method not in ("GET", "HEAD"):
            return
        status, body = (200, {"status": OK}) if flow.request.data.path == HEALTH.encode() else self._ready()
        identity = request_id(flow.request.headers.get("x-request-id"), self._random_bytes)
        state = begin(flow, FlowState(identity, self._clock.monotonic(), ""))
        state.source, state.is_health_check = "gateway", True
        head = Headers([("Content-Type", "application/json"), ("Cache-Control", "no-store")])
        put_response(flow, Response(status, head, orjson.dumps(body)))

    def can_serve(self) -> bool:
        """Whether the worker can serve any tenant."""
        return self._probe().serves

    def _ready(self) -> tuple[int, dict[str, object]]:
        parts, serves = self._probe()
        worker = DRAINING if self._is_draining() else OK
        return readiness({"worker": worker, **parts}, serves=serves)
