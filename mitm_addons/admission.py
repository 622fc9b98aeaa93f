"""Admission: `requestheaders` finds the tenant, the key and the rule, or rejects the request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mitm_addons.flows import (
    FlowState,
    GatewayFlow,
    KnownHead,
    begin,
    head_of,
    method_of,
    put_response,
    reject_flow,
)
from mitm_engine.http1.last_head import LastHead
from shared.core.clock import Clock
from shared.core.errors import Rejection, StoreDown, make_rejection
from shared.http.client_address import client_address
from shared.http.request_id import request_id
from shared.http.trace_context import Tracing
from shared.model.messages import Headers
from shared.routing.admission import (
    Admitted,
    Call,
    HostRules,
    admit,
    cors_of,
    preflight,
    read_call,
    too_large,
    with_stored_hash,
)
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
        tracing: gives requests their place in a trace.
    """

    gateways: "GatewayCache[Gateway, CompiledPlatform]"
    hosts: HostRules
    hasher: PepperedHasher
    clock: Clock
    settings: Settings
    instance: str
    random_bytes: Callable[[int], bytes]
    tracing: Tracing

    def requestheaders(self, flow: GatewayFlow) -> Awaitable[None] | None:
        if flow.response:
            return None
        last = flow.last_head
        if last is not None and type(known := last.note) is KnownHead:
            return self._repeat(flow, last, known)
        headers = head_of(flow.request)
        state = begin(flow, self.state(flow, headers))
        state.announced = int(headers.get("content-length") or 0)
        target = flow.request.data.path.decode("latin-1")
        call = read_call(headers, target, self.hosts, self.hasher, self.instance)
        if isinstance(call, Rejection):
            reject_flow(flow, call)
            return None
        state.path, state.headers = call.path, call.headers
        if call.target is not target:
            flow.request.data.path = call.target.encode("latin-1")
        elif last is not None and call.headers is headers and _may_be_known(headers, state):
            last.note = KnownHead(call, state)
        return self._find_tenant(flow, state, call)

    def _repeat(self, flow: GatewayFlow, last: LastHead, known: KnownHead) -> Awaitable[None] | None:
        """Admit a request whose head was read before. The tenant is found anew, and what follows from it."""
        fields, place = flow.request.data.headers.fields, known.id_place
        known.headers = headers = known.headers.renewed(fields)
        # An id that differs from the one before has the grammar of VARYING.
        identity = self.random_bytes(16).hex() if place is None else fields[place][1].decode("latin-1")
        clock, call, admitted = self.clock.monotonic, known.call, known.admitted
        flow.gateway_state = state = FlowState(identity, clock(), known.client, clock, headers)
        state.path, state.known, state.announced = call.path, known, last.length
        state.closes, state.is_http10 = known.closes, known.is_http10
        if known.has_trace or self.tracing.is_on:
            state.trace = self.tracing.context(headers)
        gateway = self.gateways.peek(call.subdomain, call.key_hash)
        if gateway is None:
            return self._find(flow, state, call)
        if admitted is None or admitted.gateway is not gateway or call.key_hash not in gateway.keys:
            self._decide(flow, state, call, gateway)
        else:
            state.gateway, state.key_hash = gateway, call.key_hash
            self._take(flow, state, admitted)
        return None

    def _find_tenant(self, flow: GatewayFlow, state: FlowState, call: Call) -> Awaitable[None] | None:
        gateway = self.gateways.peek(call.subdomain, call.key_hash)
        if gateway is None:
            return self._find(flow, state, call)
        self._decide(flow, state, call, gateway)
        return None

    async def _find(self, flow: GatewayFlow, state: FlowState, call: Call) -> None:
        """Decide about a request whose tenant is not in memory."""
        try:
            gateway = await self.gateways.find(call.subdomain, call.key_hash)
        except StoreDown:
            reject_flow(flow, make_rejection("config_unavailable"))
        else:
            self._decide(flow, state, call, gateway)

    def state(self, flow: GatewayFlow, headers: Headers) -> FlowState:
        peer = flow.client_conn.peername[0]
        version = flow.request.data.http_version
        named = headers.all("connection")
        connection = ",".join(named).lower() if named else ""
        old = version == b"HTTP/1.0"
        state = FlowState(
            request_id(headers.get("x-request-id"), self.random_bytes),
            self.clock.monotonic(),
            client_address(peer, headers, self.settings.trusted_proxies),
            self.clock.monotonic,
            headers,
        )
        state.is_http10, state.trace = old, self.tracing.context(headers)
        state.closes = "close" in connection or (old and "keep-alive" not in connection)
        return state

    def _decide(self, flow: GatewayFlow, state: FlowState, call: Call, gateway: "Gateway | None") -> None:
        if gateway is not None and call.key_hash not in gateway.keys:
            call = with_stored_hash(call, gateway)
        state.gateway, state.key_hash = gateway, call.key_hash
        known = state.known
        if known is not None and known.admitted is not None and known.admitted.gateway is gateway:
            self._take(flow, state, known.admitted)
            return
        method = method_of(flow)
        if method == "OPTIONS" and (response := preflight(gateway, call, method)):
            state.source = "gateway"
            put_response(flow, response)
            return
        if gateway is not None and gateway.has_cors:
            state.cors = cors_of(gateway, call.path, method)
        verdict = admit(gateway, call, method, self.clock.now())
        if isinstance(verdict, Rejection):
            reject_flow(flow, verdict)
            return
        if known is not None:
            known.admitted = verdict if verdict.is_lasting else None
        self._take(flow, state, verdict)

    def _take(self, flow: GatewayFlow, state: FlowState, admitted: Admitted) -> None:
        """Admit a request whose body may have the length that its head announces."""
        bodies = admitted.route.bodies
        state.has_valid_key = admitted.key is not None
        state.body_limit = bodies.request if state.has_valid_key else bodies.public
        if state.announced <= state.body_limit:
            state.admitted = admitted
        else:
            reject_flow(flow, too_large(state.body_limit))


def _may_be_known(headers: Headers, state: FlowState) -> bool:
    """Whether the head names no id, or the one that the request has; and no trace, or a valid one."""
    if headers.all("x-request-id") not in ((), (state.request_id,)):
        return False
    return "traceparent" not in headers or (state.trace is not None and state.trace.parent != "")
