"""The plugin stages on their hooks, with the forwarding between them (`forwarding.py`).

| hook | stages | method of `Run` |
|---|---|---|
| requestheaders | pre_request, as far as it needs only the head | request_head |
| request | the rest of pre_request; then the request is forwarded | request_body |
| responseheaders | post_request; pre_response too if it does not need the whole body | response_head |
| response | pre_response on the whole body | response_body |
| post_response | post_response, cleanup | response_sent, finish |

A request body that no plugin of the plan reads is forwarded as it arrives. Then `request` runs before it has,
and the flow has no content.
"""

from collections.abc import Awaitable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from mitmproxy import http

from mitm_addons.ai.budget_stream import BudgetStream, Extend
from mitm_addons.ai.ledger import Ledger
from mitm_addons.ai.upstream_response import end_body, read_head
from mitm_addons.event_streams import EventStream, in_turns, stopped
from mitm_addons.flows import (
    FlowState,
    GatewayFlow,
    head_of,
    put_response,
    reject_flow,
    request_of,
    set_head,
)
from mitm_addons.forwarding import Forwarding
from mitm_addons.response_copy import ResponseCopy, is_collected, is_whole_error
from shared.core.clock import Clock
from shared.core.errors import Rejection
from shared.http.forwarding import plugin_view
from shared.http.media_type import IS_STREAM
from shared.http.passing import filtered
from shared.http.sent_secrets import ErrorSecretRemover, SecretRemover
from shared.model.config import Scope
from shared.model.messages import Exchange, Headers, Response, first_value, with_fields
from shared.pipeline.calls import DONE, Done, after
from shared.pipeline.run import Run
from shared.pipeline.stream import Stream
from shared.pipeline.trace import Trace, TraceSampler
from shared.routing.admission import Admitted, too_large

_MAX_ID = 256  # bytes of an upstream's request id


@dataclass(frozen=True, slots=True)
class Stages:
    """Runs the plan of the matched rule. Responses that the gateway makes itself pass untouched.

    Attributes:
        clock: measures for traces.
        pool: the threads of plugins.
        shadow_pool: the threads of entries in shadow mode.
        copied: the longest response that entries in shadow mode see, in bytes.
        forwarding: points flows at their upstreams.
        ledger: gets what requests to models used.
        sampler: chooses the requests that are traced for their records.
        extend: reserves more in budgets, for streams.
    """

    #: Whether the engine awaits what the function of a stream returns.
    may_wait: ClassVar[bool] = True
    #: Whether the engine calls `request` before it forwards a streamed request.
    streams_requests: ClassVar[bool] = True

    clock: Clock
    pool: Executor
    shadow_pool: Executor
    copied: int
    forwarding: Forwarding
    ledger: Ledger
    sampler: TraceSampler
    extend: Extend

    # A hook that has nothing to await returns None, and costs no coroutine.

    def requestheaders(self, flow: GatewayFlow) -> Awaitable[None] | None:
        state = flow.gateway_state
        if state is None or state.admitted is None or flow.response:
            return None
        route = state.admitted.route
        plan = route.plan
        if route.ai is not None:
            begun = self.forwarding.ai.begin(state.path, route.ai)
            if isinstance(begun, Rejection):
                reject_flow(flow, begun)
                return None
            state.ai = state.pooled = begun
        elif self.streams_requests and not plan.needs_request:
            flow.request.stream = state.came_in
        return None if plan.is_empty else self._begin(flow, state, state.admitted)

    def _begin(self, flow: GatewayFlow, state: FlowState, admitted: Admitted) -> Awaitable[None] | None:
        head, known = state.headers, state.known
        state.view = plugin_view(head) if known is None else known.view(head)
        exchange = Exchange(
            state.request_id,
            admitted.gateway.snapshot.tenant,
            admitted.route.rule,
            request_of(flow, state.path, state.view),
            state.client,
            admitted.key,
        )
        trace = self._trace(state, admitted)
        run = state.run = Run(admitted.route.plan, exchange, self.pool, self.shadow_pool, trace)
        if admitted.route.plan.head:
            state.plugins_began = self.clock.monotonic()
        waiting = run.request_head()
        if waiting is not DONE:
            return _respond_later(waiting, flow, state, run)
        _respond_early(flow, state, run)
        return None

    def _trace(self, state: FlowState, admitted: Admitted) -> Trace | None:
        """A trace, if a key of scope admin asks for one, and of some requests for their records."""
        key = admitted.key
        if key is not None and Scope.ADMIN in key.scopes and state.headers.get("x-gateway-trace") == "1":
            return Trace(self.clock.monotonic, is_shown=True)
        return Trace(self.clock.monotonic) if self.sampler.takes(state.started) else None

    def request(self, flow: GatewayFlow) -> Awaitable[None] | None:
        state = flow.gateway_state
        if state is None or state.admitted is None or flow.response:
            return None
        body = flow.request.data.content
        if body is None:  # it is forwarded as it arrives, and no plugin reads it
            return self.forwarding.forward(
                flow, state, state.admitted, headers=_head_to_send(state), body=None
            )
        state.received = size = len(body)
        if size:
            state.arrived = self.clock.monotonic()
        if size > state.body_limit:
            # A chunked body has no length in its head.
            reject_flow(flow, too_large(state.body_limit))
            return None
        if state.ai is not None:
            request = request_of(flow, state.path, state.headers)
            found = self.forwarding.ai.resolve(state.ai, state.admitted.key, request)
            if isinstance(found, Rejection):
                reject_flow(flow, found)
                return None
            if found is not None:
                return self._resolved(found, flow, state, state.admitted, body)
        if state.run is None:
            return self.forwarding.forward(flow, state, state.admitted, headers=state.headers, body=body)
        return self._judge_request(flow, state, state.admitted, state.run, body)

    async def _resolved(
        self,
        finding: Awaitable[Rejection | None],
        flow: GatewayFlow,
        state: FlowState,
        admitted: Admitted,
        body: bytes,
    ) -> None:
        if (rejection := await finding) is not None:
            reject_flow(flow, rejection)
        elif (waiting := self._judge(flow, state, admitted, body)) is not None:
            await waiting

    def _judge(
        self, flow: GatewayFlow, state: FlowState, admitted: Admitted, body: bytes
    ) -> Awaitable[None] | None:
        if state.run is not None:
            return self._judge_request(flow, state, admitted, state.run, body)
        return self.forwarding.forward(flow, state, admitted, headers=state.headers, body=body)

    def _judge_request(
        self, flow: GatewayFlow, state: FlowState, admitted: Admitted, run: Run, body: bytes
    ) -> Awaitable[None] | None:
        state.plugins_began = self.clock.monotonic()
        waiting = run.request_body(body, state.ai.names if state.ai else (), state.ai)
        if waiting is not DONE:
            return after(waiting, lambda _: self._forward(flow, state, admitted, run))
        return self._forward(flow, state, admitted, run)

    def _forward(
        self, flow: GatewayFlow, state: FlowState, admitted: Admitted, run: Run
    ) -> Awaitable[None] | None:
        """Forward the request as the plugins left it, unless it has its response."""
        _respond_early(flow, state, run)
        if flow.response:
            return None
        body = run.exchange.request.body or b""
        return self.forwarding.forward(flow, state, admitted, headers=_head_to_send(state), body=body)

    def responseheaders(self, flow: GatewayFlow) -> Awaitable[None] | None:
        state, response = flow.gateway_state, flow.response
        if state is None or state.admitted is None or response is None:
            return None
        run = state.run
        if run and run.rejection:
            return None
        if state.source == "upstream":
            state.call.head = self.clock.monotonic()
            read_head(self.forwarding.ai, state, response, state.admitted.route.rule.upstream_headers)
        if run and not state.pending_rejection:
            plan = run.plan
            if plan.judges_responses or plan.buffers:
                return self._judge_head(flow, state, run, response, state.admitted.route.bodies.response)
            if plan.adds_headers:
                self._add_to_head(state, run, response)
        self._pass_on(flow, state, response)
        return None

    def _add_to_head(self, state: FlowState, run: Run, response: http.Response) -> None:
        """Add the headers of plugins that do not read the response."""
        began = self.clock.monotonic()
        added = run.response_headers()
        state.plugins_seconds += self.clock.monotonic() - began
        if run.rejection is None:
            head = response.data.headers
            head.fields = with_fields(head.fields, added.fields)
        state.pending_rejection = run.rejection

    def _pass_on(self, flow: GatewayFlow, state: FlowState, response: http.Response) -> None:
        run = state.run
        if state.pending_rejection:
            self.reject_head(flow, state)
        elif state.source == "upstream" and not (run and run.needs_body):
            self._stream(flow, state, response)

    def _stream(self, flow: GatewayFlow, state: FlowState, response: http.Response) -> None:
        """Pass the body on as it arrives, unless it is collected: to tell its cost, or as an error."""
        stream, run, ai = response.stream, state.run, state.ai
        is_stream = ai is not None and IS_STREAM[first_value(response.data.headers.fields, "content-type")]
        if not callable(stream):
            if ai is not None and is_collected(ai, response, is_stream=is_stream):
                return
            if state.call.secrets is not None and is_whole_error(response):
                return
            stream = state.sent.passed_on
        if run and run.shadows and run.shadows.need_response:
            state.sent.copy = ResponseCopy(self.copied)
            stream = state.sent.copy.of(stream)
        if ai is not None:
            stream = ai.metered(stream, is_stream=is_stream)
            if is_stream and ai.reservation is not None:
                budgeted = BudgetStream.of(
                    ai,
                    stream,
                    now=self.clock.now(),
                    extend=self.extend,
                    stop=partial(self.stop_stream, flow, state),
                    may_wait=self.may_wait,
                )
                state.budget_stream, stream = budgeted, budgeted or stream
        if state.call.secrets is not None:
            stream = filtered(SecretRemover(state.call.secrets), stream)
            set_head(response, _unsized(head_of(response)))
        elif is_stream and ai is not None and ai.translated is None and state.call.upstream is not None:
            stream = filtered(ErrorSecretRemover(state.call.upstream.sent_secrets), stream)
        if self.may_wait and ai is not None and ai.translated is not None:
            stream = in_turns(stream, state)
        response.stream = stream

    def stop_stream(
        self, flow: GatewayFlow, state: FlowState, rejection: Rejection, last: bytes
    ) -> list[bytes]:
        """End a stream with an error event after its `last` bytes."""
        raise stopped(state, rejection, last)

    def reject_head(self, flow: GatewayFlow, state: FlowState) -> None:
        """Replace the response by the pending rejection, before its body has come."""
        reject_pending(flow, state)

    def _judge_head(
        self, flow: GatewayFlow, state: FlowState, run: Run, response: http.Response, longest: int
    ) -> Awaitable[None] | None:
        head = Response(response.status_code, head_of(response))
        translated = None if state.ai is None else state.ai.translated
        is_whole = translated is not None and not translated.is_streamed  # it had a content coding
        longest_event = longest if state.source == "upstream" and not is_whole else None
        state.plugins_began = self.clock.monotonic()
        judged = run.response_head(head, longest_event=longest_event, may_wait=self.may_wait)
        if isinstance(judged, Done):
            self._put_head(judged.value, flow, state, run, response)
            return None
        return after(judged, lambda stream: self._put_head(stream, flow, state, run, response))

    def _put_head(
        self, stream: Stream | None, flow: GatewayFlow, state: FlowState, run: Run, response: http.Response
    ) -> None:
        """Pass the response on with the head that the plugins left."""
        state.plugins_ended()
        if not run.needs_body and (final := run.response()):
            response.status_code = final.status
            set_head(response, _unsized(final.headers) if stream else final.headers)
            if stream:
                response.stream = self.event_stream(flow, state, run, stream)  # type: ignore[assignment]
        state.pending_rejection = run.rejection
        self._pass_on(flow, state, response)

    def event_stream(self, flow: GatewayFlow, state: FlowState, run: Run, stream: Stream) -> EventStream:
        return EventStream(state, run, stream)

    def response(self, flow: GatewayFlow) -> Awaitable[None] | None:
        state, response = flow.gateway_state, flow.response
        if state is None or response is None:
            return None
        run = state.run
        if state.call.status is not None:
            state.call.ended = self.clock.monotonic()
            end_body(self.forwarding.ai, state, response, self.ledger.warnings)
        if run and run.needs_body and not state.pending_rejection:
            return _judge_whole(flow, state, run, response)
        if state.pending_rejection is not None:
            reject_pending(flow, state)
        return None

    def post_response(self, flow: GatewayFlow) -> Awaitable[None] | None:
        state = flow.gateway_state
        if state is None:
            return None
        state.over, state.over_at = self.clock.monotonic(), self.clock.now()
        if state.call.forwarded is not None:
            flow.client_conn.gateway_state = None  # type: ignore[attr-defined]
        if state.budget_stream is not None:
            state.budget_stream.close()
            state.budget_stream = None
        if state.ai is not None:
            self.forwarding.ai.end(state.ai, is_sent=state.ai.usage is None and state.awaits_head(flow))
            self.ledger.add(flow, state, state.ai)
        elif state.pooled is not None:
            state.pooled.end()
        run = state.run
        if run is None:
            return None
        if run.shadows and run.shadows.need_response and not flow.error and flow.response:
            run.response_sent(state.sent.copy.body if state.sent.copy else flow.response.raw_content)
        ending = run.finish()
        return None if ending is DONE else ending


def _head_to_send(state: FlowState) -> Headers:
    """The head as plugins left it; if they changed nothing, as it came: what it becomes may be known."""
    headers = state.run.exchange.request.headers if state.run else state.headers
    return state.headers if headers is state.view else headers


async def _judge_whole(flow: GatewayFlow, state: FlowState, run: Run, response: http.Response) -> None:
    state.plugins_began = state.call.ended or state.plugins_began
    await run.response_body(response.raw_content or b"")
    if state.plugins_began:
        state.plugins_ended()
    if final := run.response():
        put_response(flow, final)
    state.pending_rejection = run.rejection
    reject_pending(flow, state)


async def _respond_later(waiting: Awaitable[None], flow: GatewayFlow, state: FlowState, run: Run) -> None:
    await waiting
    _respond_early(flow, state, run)


def _respond_early(flow: GatewayFlow, state: FlowState, run: Run) -> None:
    """Put a rejection, or the response of a plugin, in the upstream's place."""
    if state.plugins_began:
        state.plugins_ended()
    if run.rejection:
        reject_flow(flow, run.rejection)
        _add_response_headers(flow, run)
    elif run.responded:
        state.source = f"plugin:{run.responder}"
        put_response(flow, run.responded)


def reject_pending(flow: GatewayFlow, state: FlowState) -> None:
    if state.pending_rejection:
        reject_flow(flow, state.pending_rejection)
        _add_response_headers(flow, state.run)


def _add_response_headers(flow: GatewayFlow, run: Run | None) -> None:
    if run is not None and flow.response is not None:
        head = flow.response.data.headers
        head.fields = with_fields(head.fields, run.response_headers().fields)


def _unsized(headers: Headers) -> Headers:
    """The head of a body whose length may change."""
    kept = [item for item in headers if item[0].lower() not in ("content-length", "transfer-encoding")]
    return Headers([*kept, ("Transfer-Encoding", "chunked")])
