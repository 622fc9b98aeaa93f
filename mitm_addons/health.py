"""``/__/health`` and ``/__/ready`` on any Host: what a load balancer asks. Nothing else has no tenant."""

from collections.abc import Awaitable, Callable, Mapping

import orjson
from mitmproxy import http

from mitm_addons.flows import FlowState, begin, put_response
from shared.core.clock import Clock
from shared.http.request_id import request_id
from shared.model.messages import Headers, Response

#: What is answered here, in the form in which it stands in a request.
PROBES = frozenset((b"/__/health", b"/__/ready"))
#: Asks each part whether it works: its name, and what is wrong or None.
Probe = Callable[[], Awaitable[Mapping[str, str | None]]]


class Health:
    """Answers the two probes before anything else looks at the request."""

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
        well = all(wrong is None for wrong in parts.values())
        body: dict[str, object] = {"status": "ok" if well else "unavailable"}
        if parts:
            body["parts"] = {name: wrong or "ok" for name, wrong in parts.items()}
        identity = request_id(flow.request.headers.get("x-request-id"), self._random_bytes)
        begin(flow, FlowState(identity, self._clock.monotonic(), "", source="gateway", is_health_check=True))
        head = Headers([("Content-Type", "application/json"), ("Cache-Control", "no-store")])
        put_response(flow, Response(200 if well else 503, head, orjson.dumps(body)))

    async def _parts(self) -> Mapping[str, str | None]:
        return {**await self._probe(), **({"worker": "is about to end"} if self._is_draining() else {})}
