"""The last step of a request: its upstream is chosen, and its flow points there."""

from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial

from mitmproxy import http

from mitm_addons.ai.own_usage import OwnUsage
from mitm_addons.flows import FlowState, KnownHead, method_of, put_response, reject_flow, request_of
from shared.core.clock import Clock
from shared.core.errors import Rejection
from shared.core.http_tokens import Fields
from shared.model.messages import Headers, Response
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
            self._send(flow, state, admitted, headers, flow.request.data.path, upstream, body)
            return None
        ai = state.ai
        request = None if ai is None else ai.request  # as it was resolved
        if request is None or request.headers is not headers or request.body is not body:
            request = request_of(flow, state.path, headers).with_body(body)
        if ai is None:
            found = choose_upstream(self.ai, admitted, ai, request)
        else:
            found = self.ai.choose(ai, admitted.key, request)
        if isinstance(found, ChosenUpstream):  # the usual case
            self._send_chosen(found, flow, state, admitted, headers)
            return None
        if isinstance(found, Awaitable):
            return self._forward_later(found, flow, state, admitted, headers)
        return self._respond(found, flow, state, admitted)

    def _send_chosen(
        self,
        chosen: ChosenUpstream,
        flow: http.HTTPFlow,
        state: FlowState,
        admitted: Admitted,
        headers: Headers,
    ) -> None:
        upstream, body, pooled = chosen
        state.pooled, sent_target = pooled, flow.request.data.path
        if pooled is not None:
            pooled.send = partial(self._send, flow, state, admitted, headers, sent_target)
        self._send(flow, state, admitted, headers, sent_target, upstream, body)

    async def _forward_later(
        self,
        choosing: Awaitable[Chosen],
        flow: http.HTTPFlow,
        state: FlowState,
        admitted: Admitted,
        headers: Headers,
    ) -> None:
        found = await choosing
        if isinstance(found, ChosenUpstream):
            self._send_chosen(found, flow, state, admitted, headers)
        elif (waiting := self._respond(found, flow, state, admitted)) is not None:
            await waiting

    def _respond(
        self, found: Rejection | Response, flow: http.HTTPFlow, state: FlowState, admitted: Admitted
    ) -> Awaitable[None] | None:
        """Respond in the place of an upstream."""
        if isinstance(found, Rejection):
            reject_flow(flow, found)
            return None
        state.source = "gateway"
        put_response(flow, found)
        if state.ai is not None and state.ai.call.api == USAGE:
            return self.own_usage.respond(flow, admitted)
        return None

    def _send(
        self,
        flow: http.HTTPFlow,
        state: FlowState,
        admitted: Admitted,
        headers: Headers,
        sent_target: bytes,
        upstream: Upstream,
        body: bytes | None,
    ) -> None:
        """Point the flow at an upstream: the first one, or the next one."""
        known, trace = state.known, () if state.trace is None else _trace(state, upstream)
        last = None if known is None or body is None or headers is not state.headers else known.outgoing
        if last is not None and body is not None and last.is_for(admitted, upstream):
            path, fields = last.path, last.fields(state.headers.fields, state.request_id, len(body), trace)
        else:
            request = ForwardedRequest(
                admitted,
                method_of(flow),
                state.path,
                headers,
                state.headers,
                sent_target,
                state.request_id,
                state.client,
                self.instance,
            )
            path, fields = _outgoing(request, state.known, upstream, body, trace)
        data, call, target = flow.request.data, state.call, upstream.target
        data.headers.fields, data.content, data.path = fields, body, path
        data.http_version = b"HTTP/1.1"
        data.host, data.port, data.scheme = target.host, target.port, target.scheme.encode()
        flow.client_conn.gateway_state = state  # type: ignore[attr-defined]
        call.upstream, call.forwarded = upstream, self.clock.monotonic()


def _outgoing(
    request: ForwardedRequest, known: KnownHead | None, upstream: Upstream, body: bytes | None, trace: Fields
) -> tuple[bytes, Fields]:
    """The path and the fields of the request for an upstream. Those of a head that is repeated are kept."""
    if known is None or body is None or request.headers is not request.sent:
        sent = outgoing(request, upstream, body, trace)
        return sent.path, sent.fields
    last = known.outgoing = LastOutgoing(request, upstream)
    return last.path, last.fields(request.sent.fields, request.request_id, len(body), trace)


def _trace(state: FlowState, upstream: Upstream) -> Fields:
    """The headers that tell the place of the next attempt in a trace."""
    return state.trace.fields(_number(state)) if state.trace is not None and upstream.is_traced else ()


def _number(state: FlowState) -> int:
    """The number of the attempt that begins, from 1."""
    attempts = None if state.pooled is None else state.pooled.attempts
    return 1 if attempts is None else attempts.number
