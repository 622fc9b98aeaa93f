"""The plugin stages on their hooks, and the forwarding between them.

requestheaders -> pre_request (what needs only the head)
request        -> pre_request (the rest), then forward
responseheaders -> post_request; pre_response too when the answer is passed on as it comes
response       -> pre_response on the whole body
post_response  -> post_response, settle
"""

from collections.abc import Awaitable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import ClassVar

from mitmproxy import http

from mitm_addons.event_streams import EventStream
from mitm_addons.flows import (
    FlowState,
    head_of,
    put_response,
    reject_flow,
    request_of,
    response_of,
    set_head,
    state_of,
)
from mitm_addons.response_copy import ResponseCopy
from shared.bodies.event_splitter import EventSplitter, splitter_for_response
from shared.core.clock import Clock
from shared.http.forwarding import client_head, plugin_view
from shared.model.config import Scope, Stage
from shared.model.messages import Exchange, Headers, Response
from shared.pipeline import Run, Stream, Trace
from shared.providers.headers import HIDDEN_FROM_CLIENTS
from shared.routing.admission import Admitted, too_large
from shared.routing.outgoing import outgoing_fields, outgoing_target


@dataclass(frozen=True, slots=True)
class Stages:
    """Runs the plan of the matched rule. Answers that the gateway makes itself pass by untouched.

    Entries in shadow mode have the threads of `shadow_pool`, and see answers of at most `copied` bytes.
    """

    #: Whether the engine awaits what the function of a stream returns.
    may_wait: ClassVar[bool] = True

    clock: Clock
    pool: Executor
    shadow_pool: Executor
    copied: int
    instance: str

    # A hook that has nothing to wait for returns nothing, and costs no coroutine.

    def requestheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        state = state_of(flow)
        if state is None or state.admitted is None or flow.response or state.admitted.route.plan.is_empty:
            return None
        return self._begin(flow, state, state.admitted)

    async def _begin(self, flow: http.HTTPFlow, state: FlowState, admitted: Admitted) -> None:
        exchange = Exchange(
            state.request_id,
            admitted.gateway.snapshot.tenant,
            admitted.route.rule,
            request_of(flow, state.path, plugin_view(state.headers)),
            state.client,
            admitted.key,
        )
        trace = self._trace(state, admitted)
        state.run = Run(admitted.route.plan, exchange, self.pool, self.shadow_pool, trace)
        await state.run.head()
        _respond_early(flow, state, state.run)

    def _trace(self, state: FlowState, admitted: Admitted) -> Trace | None:
        """For who manages the tenant, and asks for it."""
        if state.headers.get("x-gateway-trace") != "1" or admitted.key is None:
            return None
        return Trace(self.clock.monotonic) if Scope.ADMIN in admitted.key.scopes else None

    def request(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        state = state_of(flow)
        if state is None or state.admitted is None or flow.response:
            return None
        body = flow.request.data.content or b""
        state.received = len(body)
        if len(body) > state.body_limit:
            # Chunked bodies do not say their length beforehand.
            reject_flow(flow, too_large(state.body_limit))
            return None
        if state.run is not None:
            return self._judge_request(flow, state, state.admitted, state.run, body)
        self._forward(flow, state, state.admitted, state.headers, body)
        return None

    async def _judge_request(
        self, flow: http.HTTPFlow, state: FlowState, admitted: Admitted, run: Run, body: bytes
    ) -> None:
        run.exchange = run.exchange.with_request(run.exchange.request.with_body(body))
        await run.stage(Stage.PRE_REQUEST)
        _respond_early(flow, state, run)
        if not flow.response:
            request = run.exchange.request
            self._forward(flow, state, admitted, request.headers, request.body or b"")

    def _forward(
        self, flow: http.HTTPFlow, state: FlowState, admitted: Admitted, headers: Headers, body: bytes
    ) -> None:
        """Point the flow at the upstream. Until here it leads nowhere."""
        data, target = flow.request.data, admitted.route.target
        data.headers.fields = outgoing_fields(
            admitted,
            flow.request.method,
            headers,
            body,
            sent=state.headers,
            request_id=state.request_id,
            client=state.client,
            instance=self.instance,
        )
        data.content = body
        data.http_version = b"HTTP/1.1"
        data.host, data.port, data.scheme = target.host, target.port, target.scheme.encode()
        data.path = outgoing_target(admitted, state.path, data.path.decode("latin-1")).encode("latin-1")

    def responseheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        state, response = state_of(flow), flow.response
        if state is None or state.admitted is None or response is None:
            return None
        run = state.run
        if run and run.rejection:
            return None
        if state.source == "upstream":
            set_head(response, client_head(head_of(response), HIDDEN_FROM_CLIENTS))
        if run and (run.plan.sees_responses or run.plan.buffers):
            return self._judge_head(flow, state, run, response)
        self._pass_on(flow, state, response)
        return None

    def _pass_on(self, flow: http.HTTPFlow, state: FlowState, response: http.Response) -> None:
        run = state.run
        if state.pending_rejection:
            self.reject_head(flow, state)
        elif state.source == "upstream" and not state.is_buffered:
            if not callable(response.stream):
                response.stream = state.passed_on
            if run and run.shadows and run.shadows.need_response:
                state.copy = ResponseCopy(self.copied)
                response.stream = state.copy.of(response.stream)

    def reject_head(self, flow: http.HTTPFlow, state: FlowState) -> None:
        """Put the pending rejection in the place of a response whose body has not come."""
        reject_pending(flow, state)

    async def _judge_head(
        self, flow: http.HTTPFlow, state: FlowState, run: Run, response: http.Response
    ) -> None:
        # These have no body whatever their head says (RFC 9110, 6.4.1): there is nothing to wait for.
        empty = flow.request.data.method == b"HEAD" or response.status_code in (204, 304)
        seen = Response(response.status_code, head_of(response), b"" if empty else None)
        run.exchange = run.exchange.with_response(seen)
        await run.stage(Stage.POST_REQUEST)
        splitter = None if empty else self.splitter(state, run)
        plan = run.plan
        state.is_buffered = (plan.buffers or (plan.judges_bodies and splitter is None)) and not empty
        if not state.is_buffered:
            stream = await run.open_stream(may_wait=self.may_wait) if splitter else None
            if stream is None:
                await run.stage(Stage.PRE_RESPONSE)
            if final := run.response():
                response.status_code = final.status
                set_head(response, _unsized(final.headers) if stream else final.headers)
                if splitter and stream:
                    response.stream = self.event_stream(flow, state, run, splitter, stream)  # type: ignore[assignment]
        state.pending_rejection = run.rejection
        self._pass_on(flow, state, response)

    def splitter(self, state: FlowState, run: Run) -> EventSplitter | None:
        """For an answer of the upstream that is judged event by event."""
        response = run.exchange.response
        if not run.plan.judges_events or response is None or state.source != "upstream":
            return None
        return splitter_for_response(response.headers)

    def event_stream(
        self, flow: http.HTTPFlow, state: FlowState, run: Run, splitter: EventSplitter, stream: Stream
    ) -> EventStream:
        return EventStream(state, run, splitter, stream)

    def response(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        state, response = state_of(flow), flow.response
        if state is None or response is None:
            return None
        run = state.run
        if run and state.is_buffered and not state.pending_rejection:
            return _judge_whole(flow, state, run, response)
        reject_pending(flow, state)
        return None

    def post_response(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        state = state_of(flow)
        if state is None or state.run is None:
            return None
        _show_response(flow, state, state.run)
        return state.run.cleanup()


async def _judge_whole(flow: http.HTTPFlow, state: FlowState, run: Run, response: http.Response) -> None:
    # post_request may have changed the head that the plugins of pre_response see.
    seen = run.exchange.response or response_of(flow)
    body = response.raw_content or b""
    run.exchange = run.exchange.with_response(Response(seen.status, seen.headers, body))
    await run.stage(Stage.PRE_RESPONSE)
    if final := run.response():
        put_response(flow, final)
    state.pending_rejection = run.rejection
    reject_pending(flow, state)


def _respond_early(flow: http.HTTPFlow, state: FlowState, run: Run) -> None:
    """Put a refusal, or a plugin's answer, in the upstream's place."""
    if run.rejection:
        reject_flow(flow, run.rejection)
        _add_response_headers(flow, run)
    elif run.responded:
        state.source = f"plugin:{run.responder}"
        put_response(flow, run.responded)


def reject_pending(flow: http.HTTPFlow, state: FlowState) -> None:
    if state.pending_rejection:
        reject_flow(flow, state.pending_rejection)
        _add_response_headers(flow, state.run)


def _add_response_headers(flow: http.HTTPFlow, run: Run | None) -> None:
    if run is not None and flow.response is not None:
        set_head(flow.response, head_of(flow.response).patched(run.response_headers()))


def _show_response(flow: http.HTTPFlow, state: FlowState, run: Run) -> None:
    """Give the whole answer to entries in shadow mode that waited for it. One that broke off is none."""
    response = run.exchange.response
    if (
        not (run.shadows and run.shadows.need_response)
        or flow.error
        or flow.response is None
        or response is None
    ):
        return
    body = state.copy.body if state.copy else flow.response.raw_content
    if body is None:
        run.shadows.give_up(Stage.PRE_RESPONSE, "the answer was too long to be copied")
    else:
        whole = Response(response.status, response.headers, body)
        run.shadows.resume(Stage.PRE_RESPONSE, run.exchange.with_response(whole))


def _unsized(headers: Headers) -> Headers:
    """The head of a body that may become longer or shorter than the upstream said."""
    kept = [item for item in headers if item[0].lower() not in ("content-length", "transfer-encoding")]
    return Headers([*kept, ("Transfer-Encoding", "chunked")])
