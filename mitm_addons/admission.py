"""Admission: `requestheaders` finds the tenant, the key and the rule, or rejects the request."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mitmproxy import http

from mitm_addons.flows import FlowState, begin, head_of, method_of, put_response, reject_flow
from shared.core.clock import Clock
from shared.core.errors import Rejection, StoreDown, make_rejection
from shared.http.client_address import client_address
from shared.http.request_id import request_id
from shared.model.messages import Headers, Response
from shared.routing.admission import Admitted, HostRules, admit, cors_of, preflight, read_call, too_large
from shared.secrets.api_keys import PepperedHasher
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.config_store.cache.gateways import GatewayCache
    from shared.routing.compile import Gateway
    from shared.routing.platform import CompiledPlatform


@dataclass(frozen=True)
class Admission:
    """Decides about every request before its body is read.

    Attributes:
        gateways: the compiled tenants.
        hosts: how Host headers name tenants.
        hasher: hashes API keys.
        clock: for the expiry of API keys.
        settings: the trusted proxies.
        instance: the name of this deployment in Via headers.
        random_bytes: for request ids.
    """

    gateways: "GatewayCache[Gateway, CompiledPlatform]"
    hosts: HostRules
    hasher: PepperedHasher
    clock: Clock
    settings: Settings
    instance: str
    random_bytes: Callable[[int], bytes]

    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response:
            return
        headers = head_of(flow.request)
        state = begin(flow, self.state(flow, headers))
        verdict = await self._decide(flow, headers, state)
        if isinstance(verdict, Admitted):
            state.has_valid_key = verdict.key is not None
            bodies = verdict.route.bodies
            state.body_limit = bodies.request if verdict.key else bodies.public
            if int(headers.get("content-length") or 0) > state.body_limit:
                verdict = too_large(state.body_limit)
            else:
                state.admitted = verdict
        if isinstance(verdict, Rejection):
            reject_flow(flow, verdict)
        elif isinstance(verdict, Response):
            state.source = "gateway"
            put_response(flow, verdict)

    def state(self, flow: http.HTTPFlow, headers: Headers) -> FlowState:
        peer = flow.client_conn.peername[0]
        version = flow.request.data.http_version
        named = headers.all("connection")
        connection = ",".join(named).lower() if named else ""
        old = version == b"HTTP/1.0"
        return FlowState(
            request_id=request_id(headers.get("x-request-id"), self.random_bytes),
            started=self.clock.monotonic(),
            monotonic=self.clock.monotonic,
            client=client_address(peer, headers, self.settings.trusted_proxies),
            headers=headers,
            closes="close" in connection or (old and "keep-alive" not in connection),
            is_http10=old,
        )

    async def _decide(
        self, flow: http.HTTPFlow, headers: Headers, state: FlowState
    ) -> Rejection | Response | Admitted:
        target = flow.request.data.path.decode("latin-1")
        call = read_call(headers, target, self.hosts, self.hasher, self.instance)
        if isinstance(call, Rejection):
            return call
        state.path, state.headers = call.path, call.headers
        if call.target is not target:
            flow.request.data.path = call.target.encode("latin-1")
        try:
            gateway = await self.gateways.find(call.subdomain, call.key_hash)
        except StoreDown:
            return make_rejection("config_unavailable")
        state.gateway, state.key_hash = gateway, call.key_hash
        method = method_of(flow)
        if method == "OPTIONS" and (response := preflight(gateway, call, method)):
            return response
        if gateway is not None and gateway.has_cors:
            state.cors = cors_of(gateway, call.path, method)
        return admit(gateway, call, method, self.clock.now())
