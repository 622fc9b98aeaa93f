"""The last step of a request: its upstream is chosen, and its flow points there."""

from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial

from mitmproxy import http

from mitm_addons.ai.own_usage import OwnUsage
from mitm_addons.flows import FlowState, method_of, put_response, reject_flow, request_of
from shared.core.clock import Clock
from shared.core.errors import Rejection
from shared.core.http_tokens import Fields
from shared.model.messages import Headers, Request
from shared.providers.calls import USAGE
from shared.routing.admission import Admitted
from shared.routing.ai_calls import AiCalls, Chosen
from shared.routing.outgoing import ForwardedRequest, LastOutgoing, choose_upstream, outgoing
from shared.routing.pool_exchange import ChosenUpstream
from shared.routing.upstream import Upstream


@dataclass(frozen=True, slots=True)
class Forwarding:
    """Points flows at their upstreams.

    Attributes:
        clock: for the time at which a request is forwarded.
        instance: the name of this deployment in Via.
        ai: decides about requests to models.
        own_usage: responds with what a key has used.
    """

    clock: Clock
    instance: str
    ai: AiCalls
    own_usage: OwnUsage

    def forward(
        self,
        flow: http.HTTPFlow,
        state: FlowState,
        admitted: Admitted,
        *,
        headers: Headers,
        body: bytes | None,
    ) -> Awaitable[None] | None:
        """Point the flow at the upstream. Until then its address is unrouted.

        `headers` and `body` are as the plugins left them; no body: it is forwarded as it arrives.
        """
        if state.ai is None and admitted.route.pool is None:
            upstream = admitted.route.upstream
            last = None if state.known is None or headers is not state.headers else state.known.outgoing
            if last is None or body is None or not last.is_for(admitted, upstream):
                self._send(flow, state, self._forwarded(flow, state, admitted, headers), upstream, body)
                return None
            trace = () if state.trace is None else _trace(state, upstream)
            fields = last.fields(flow.request.data.headers.fields, state.request_id, len(body), trace)
            self._point(flow, state, upstream, last.path, fields, body)
            return None
        forwarded = self._forwarded(flow, state, admitted, headers)
        request = _request(flow, state, headers, body)
        found = choose_upstream(self.ai, admitted, state.ai, request)
        if type(found) is ChosenUpstream or not isinstance(found, Awaitable):  # the usual case first
            return self._forward_to(found, flow, state, forwarded)
        return self._forward_later(found, flow, state, forwarded)

    def _forwarded(
        self, flow: http.HTTPFlow, state: FlowState, admitted: Admitted, headers: Headers
    ) -> ForwardedRequest:
        return ForwardedRequest(
            admitted,
            method_of(flow),
            state.path,
            headers,
            state.headers,
            flow.request.data.path,
            state.request_id,
            state.client,
            self.instance,
        )

    async def _forward_later(
        self, choosing: Awaitable[Chosen], flow: http.HTTPFlow, state: FlowState, forwarded: ForwardedRequest
    ) -> None:
        if (waiting := self._forward_to(await choosing, flow, state, forwarded)) is not None:
            await waiting

    def _forward_to(
        self, found: Chosen, flow: http.HTTPFlow, state: FlowState, forwarded: ForwardedRequest
    ) -> Awaitable[None] | None:
        if isinstance(found, ChosenUpstream):
            state.pooled = found.pooled
            if found.pooled is not None:
                found.pooled.send = partial(self._send, flow, state, forwarded)
            self._send(flow, state, forwarded, found.upstream, found.body)
        elif isinstance(found, Rejection):
            reject_flow(flow, found)
        else:
            state.source = "gateway"
            put_response(flow, found)
            if state.ai is not None and state.ai.call.api == USAGE:
                return self.own_usage.respond(flow, forwarded.admitted)
        return None

    def _send(
        self,
        flow: http.HTTPFlow,
        state: FlowState,
        forwarded: ForwardedRequest,
        upstream: Upstream,
        body: bytes | None,
    ) -> None:
        known, trace = state.known, _trace(state, upstream)
        if known is None or body is None or forwarded.headers is not forwarded.sent:
            request = outgoing(forwarded, upstream, body, trace)
            self._point(flow, state, upstream, request.path, request.fields, body)
            return
        last = known.outgoing
        if last is None or not last.is_for(forwarded.admitted, upstream):
            last = known.outgoing = LastOutgoing(forwarded, upstream)
        fields = last.fields(forwarded.sent.fields, state.request_id, len(body), trace)
        self._point(flow, state, upstream, last.path, fields, body)

    def _point(
        self,
        flow: http.HTTPFlow,
        state: FlowState,
        upstream: Upstream,
        path: bytes,
        fields: Fields,
        body: bytes | None,
    ) -> None:
        data, call, target = flow.request.data, state.call, upstream.target
        data.headers.fields, data.content, data.path = fields, body, path
        data.http_version = b"HTTP/1.1"
        data.host, data.port, data.scheme = target.host, target.port, target.scheme.encode()
        flow.client_conn.gateway_state = state  # type: ignore[attr-defined]
        call.upstream, call.forwarded = upstream, self.clock.monotonic()


def _trace(state: FlowState, upstream: Upstream) -> Fields:
    """The headers that tell the place of the next attempt in a trace."""
    if state.trace is None or not upstream.is_traced:
        return ()
    return state.trace.fields(_number(state))


def _number(state: FlowState) -> int:
    """The number of the attempt that begins, from 1."""
    attempts = None if state.pooled is None else state.pooled.attempts
    return 1 if attempts is None else attempts.number


def _request(flow: http.HTTPFlow, state: FlowState, headers: Headers, body: bytes | None) -> Request:
    """The request as the plugins left it; the one that was resolved, if there are none."""
    known = None if state.ai is None else state.ai.request
    if known is not None and known.headers is headers and known.body is body:
        return known
    return request_of(flow, state.path, headers).with_body(body)
