"""Admission: in `requestheaders` the tenant, the key and the rule are found, or the answer is no."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mitmproxy import http

from mitm_addons.flows import FlowState, begin, head_of, method_of, reject_flow
from mitm_addons.wire_errors import Fault, rejection_of
from shared.core.clock import Clock
from shared.core.errors import Rejection, StoreDown, make_rejection
from shared.http.client_address import client_address
from shared.http.request_id import request_id
from shared.model.messages import Headers
from shared.routing.admission import Admitted, HostRules, admit, read_call, too_large
from shared.routing.compile import Gateway
from shared.secrets.api_keys import PepperedHasher
from shared.settings import Settings


class Gateways(Protocol):
    """Where compiled tenants come from: known ones at once, others from the store."""

    async def find(self, subdomain: str | None, key_hash: str | None) -> Gateway | None:
        """Raises StoreDown when the tenant is not known and the store does not answer."""
        ...


#: The strict check of a head: method, target, version and fields as they came; None when it is sound.
CheckHead = Callable[[bytes, bytes, bytes, Sequence[tuple[bytes, bytes]]], Fault | None]


@dataclass(frozen=True, slots=True)
class Admission:
    """Decides every request before its body is read. What it refuses goes no further.

    `check_head` is None on an engine that has checked the head before any hook.
    """

    gateways: Gateways
    hosts: HostRules
    hasher: PepperedHasher
    clock: Clock
    settings: Settings
    instance: str
    random_bytes: Callable[[int], bytes]
    check_head: CheckHead | None

    async def requestheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response:
            return
        headers = head_of(flow.request)
        state = begin(flow, self._state(flow, headers))
        verdict: Rejection | Admitted | None = self._check_wire(flow)
        if verdict:
            # What follows a head that we could not trust cannot be trusted either.
            state.closes = True
        else:
            verdict = await self._decide(flow, headers, state)
        if isinstance(verdict, Admitted):
            limits = self.settings.limits
            state.body_limit = limits.request_body if verdict.key else limits.public_body
            if int(headers.get("content-length") or 0) > state.body_limit:
                verdict = too_large(state.body_limit)
            else:
                state.admitted = verdict
        if isinstance(verdict, Rejection):
            reject_flow(flow, verdict)

    def _state(self, flow: http.HTTPFlow, headers: Headers) -> FlowState:
        peer = flow.client_conn.peername[0]
        version = flow.request.data.http_version
        named = headers.all("connection")
        connection = ",".join(named).lower() if named else ""
        old = version == b"HTTP/1.0"
        return FlowState(
            request_id=request_id(headers.get("x-request-id"), self.random_bytes),
            started=self.clock.monotonic(),
            client=client_address(peer, headers, self.settings.trusted_proxies),
            headers=headers,
            closes="close" in connection or (old and "keep-alive" not in connection),
            is_http10=old,
        )

    def _check_wire(self, flow: http.HTTPFlow) -> Rejection | None:
        if self.check_head is None:
            return None
        data = flow.request.data
        if fault := self.check_head(data.method, data.path, data.http_version, data.headers.fields):
            return rejection_of(fault)
        if data.authority:
            # Absolute form (RFC 9112, 3.2.2): only when it says what Host says, and forwarded without it.
            if data.authority.lower() != flow.request.headers["host"].encode("latin-1").lower():
                return make_rejection(
                    "invalid_host", "The request target and the Host header name different hosts."
                )
            data.authority = b""
        return None

    async def _decide(self, flow: http.HTTPFlow, headers: Headers, state: FlowState) -> Rejection | Admitted:
        target = flow.request.data.path.decode("latin-1")
        call = read_call(headers, target, self.hosts, self.hasher, self.instance)
        if isinstance(call, Rejection):
            return call
        state.path = call.path
        try:
            gateway = await self.gateways.find(call.subdomain, call.key_hash)
        except StoreDown:
            return make_rejection(
                "config_unavailable", "The configuration cannot be read now. Try again soon."
            )
        now = self.clock.now()
        return admit(gateway, call.key_hash, call.has_key, method_of(flow), call.path, now)
