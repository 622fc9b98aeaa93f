"""``/__/health`` and ``/__/ready`` on any Host, for load balancers. All other requests have a tenant."""

from collections.abc import Awaitable, Callable, Mapping

import orjson
from mitmproxy import http

from mitm_addons.flows import FlowState, begin, put_response
from shared.core.clock import Clock
from shared.http.request_id import request_id
from shared.model.messages import Headers, Response

#: The request targets of the two probes.
PROBES = frozenset((b"/__/health", b"/__/ready"))
#: Checks each part: returns its name, and an error text or None.
Probe = Callable[[], Awaitable[Mapping[str, str | None]]]


class Health:
    """Responds to the two probes, before all other addons."""

    def __init__(
        self,
        probe: Probe,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        is_draining: Callable[[], bool],
    ) -> None:
        self._probe = probe
        self._is_draining = is_draining
        self._clock = clock
        self._random_bytes = random_bytes

    def requestheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        if flow.request.data.path not in PROBES:
            return None
        return self._response(flow) if flow.request.method in ("GET", "HEAD") else None

    async def _response(self, flow: http.HTTPFlow) -> None:
        parts = {} if flow.request.data.path == b"/__/health" else await self._parts()
        is_ok = not any(parts.values())
        body: dict[str, object] = {"status": "ok" if is_ok else "unavailable"}
        if parts:
            body["parts"] = {name: error or "ok" for name, error in parts.items()}
        identity = request_id(flow.request.headers.get("x-request-id"), self._random_bytes)
        begin(flow, FlowState(identity, self._clock.monotonic(), "", source="gateway", is_health_check=True))
        head = Headers([("Content-Type", "application/json"), ("Cache-Control", "no-store")])
        put_response(flow, Response(200 if is_ok else 503, head, orjson.dumps(body)))

    async def _parts(self) -> Mapping[str, str | None]:
        return {**await self._probe(), **({"worker": "is shutting down"} if self._is_draining() else {})}
