"""The adapter to mitmproxy's own core: everything that it does differently from `mitm_engine`."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from mitmproxy import connection, http
from mitmproxy.addons.proxyserver import Proxyserver

from mitm_addons.admission import Admission
from mitm_addons.concurrency import Concurrency
from mitm_addons.event_streams import EventStream, Pieces, StreamRejected, stopped
from mitm_addons.flows import FlowState, GatewayFlow, begin, head_of, reject_flow
from mitm_addons.gateway import Adapter
from mitm_addons.response_head import ResponseHead
from mitm_addons.stages import Stages
from mitm_addons.stock.core_errors import ErrorCodes
from mitm_addons.stock.master import client_cutter, client_writer
from mitm_addons.stock.upstream_tls import UpstreamTls
from mitm_addons.stream_end import error_event
from mitm_addons.wire_errors import rejection_of
from mitm_engine.http1.head_rules import DIFFERENT_HOSTS, asks_for_websocket, check_head
from mitm_engine.options import Options
from mitm_engine.wire_error import WireError
from shared.core import tasks
from shared.core.errors import RESPONSE_TOO_LONG, Rejection, make_rejection
from shared.pipeline.run import Run
from shared.pipeline.stream import Stream
from shared.services import Services
from shared.settings.sections import Limits

#: Closes the connection of a flow's client once what was written to it is sent.
Cut = Callable[[http.HTTPFlow], None]


def adapter(services: Services, server: Proxyserver, last: Sequence[object] = ()) -> Adapter:
    """Return the adapter to the core behind `server`; `last` are addons after all others."""
    concurrency = Concurrency()
    return Adapter(
        write=client_writer(server),
        admission=StockAdmission,
        concurrency=concurrency,
        stages=partial(StockStages, cut=client_cutter(server)),
        response_head=StockResponseHead(),
        first=(ErrorCodes(), LostFlows(concurrency), UpstreamTls(services.settings)),
        last=last,
    )


class StockAdmission(Admission):
    """Checks the head of a request first, because the core accepts heads that can be read in two ways."""

    async def requestheaders(self, flow: GatewayFlow) -> None:
        rejection = None if flow.response else _check_head(flow, self.settings.limits)
        if rejection is None:
            if (waiting := super().requestheaders(flow)) is not None:
                await waiting
            admitted = None if flow.response else flow.gateway_state
            if admitted and asks_for_websocket(flow.request.data.headers.fields):
                admitted.closes = True
                reject_flow(flow, make_rejection("websocket_not_supported"))
            return
        state = begin(flow, self.state(flow, head_of(flow.request)))
        # Bytes after a malformed head cannot be trusted.
        state.closes = True
        reject_flow(flow, rejection)


def _check_head(flow: GatewayFlow, limits: Limits) -> Rejection | None:
    data = flow.request.data
    options = Options(head_limit=limits.head, field_limit=limits.fields)
    try:
        check_head(data.method, data.path, data.http_version, data.headers.fields, options)
    except WireError as error:
        return rejection_of(error)
    if data.authority:
        # Absolute form (RFC 9112, 3.2.2): it must name the same host as Host, and is forwarded without it.
        if data.authority.lower() != flow.request.headers["host"].encode("latin-1").lower():
            return make_rejection("invalid_host", DIFFERENT_HOSTS)
        data.authority = b""
    return None


class LostFlows:
    """Ends the flows that the core drops without a hook, when their client disconnects.

    A request with trailers makes the core stop, for one.
    """

    def __init__(self, concurrency: Concurrency) -> None:
        self._concurrency = concurrency
        self._open: defaultdict[str, dict[str, GatewayFlow]] = defaultdict(dict)

    def requestheaders(self, flow: GatewayFlow) -> None:
        self._open[flow.client_conn.id][flow.id] = flow

    def response(self, flow: GatewayFlow) -> None:
        client_id = flow.client_conn.id
        flows = self._open.get(client_id, {})
        flows.pop(flow.id, None)
        if not flows:
            self._open.pop(client_id, None)

    error = response

    def client_disconnected(self, client: connection.Client) -> None:
        for flow in self._open.pop(client.id, {}).values():
            # `post_response` may still come; releasing twice does nothing.
            self._concurrency.post_response(flow)
            state = flow.gateway_state
            if state and state.run:
                tasks.start(_finish(state.run), "cleanup")


async def _finish(run: Run) -> None:
    await run.finish()


class StockEventStream(EventStream):
    """Closes the client's connection after a rejection: the core can end a stream only as a complete one."""

    def __init__(self, flow: GatewayFlow, cut: Cut, state: FlowState, run: Run, stream: Stream) -> None:
        super().__init__(state, run, stream)
        self._flow = flow
        self._cut = cut

    def __call__(self, piece: bytes) -> Pieces | Awaitable[Pieces]:
        return [] if self._run.rejection else self._send(self._judge(piece))

    def _send(self, events: Any) -> Pieces:
        try:
            return super()._send(events)
        except StreamRejected:
            asyncio.get_running_loop().call_soon(self._cut, self._flow)
            rejection: Any = self._run.rejection
            return [self._state.sent.pending + error_event(self._flow, self._state, rejection)]


@dataclass(frozen=True)
class StockStages(Stages):
    """The stages on a core that sends the upstream's body with any head, and awaits no stream function."""

    cut: Cut
    may_wait: ClassVar[bool] = False
    streams_requests: ClassVar[bool] = False

    def responseheaders(self, flow: GatewayFlow) -> Awaitable[None] | None:
        state, response = flow.gateway_state, flow.response
        if state and response and state.source == "upstream" and response.status_code < 200:
            if state.admitted and not (state.run and state.run.rejection):
                message = "The upstream sent an interim response only."
                state.pending_rejection = make_rejection("upstream_protocol_error", message)
            return None
        return super().responseheaders(flow)

    def reject_head(self, flow: GatewayFlow, state: FlowState) -> None:
        """Leave the rejection pending until the hook `response`, after the upstream's body."""

    def event_stream(self, flow: GatewayFlow, state: FlowState, run: Run, stream: Stream) -> EventStream:
        return StockEventStream(flow, self.cut, state, run, stream)

    def stop_stream(
        self, flow: GatewayFlow, state: FlowState, rejection: Rejection, last: bytes
    ) -> list[bytes]:
        """End a stream as `StockEventStream` does."""
        stopped(state, rejection, last)
        asyncio.get_running_loop().call_soon(self.cut, flow)
        return [last + error_event(flow, state, rejection)]

    def response(self, flow: GatewayFlow) -> Awaitable[None] | None:
        state = flow.gateway_state
        if state and flow.response and state.source == "upstream" and not state.pending_rejection:
            state.pending_rejection = _too_large(state, flow.response)
        if state and state.run and state.run.rejection and flow.response and flow.response.stream:
            # Rejected with the last event: the core would end the body as a complete one.
            flow.kill()  # type: ignore[no-untyped-call]
        return super().response(flow)


def _too_large(state: FlowState, response: http.Response) -> Rejection | None:
    """The rejection of a response that is checked, but longer than its rule allows."""
    if state.admitted is None:
        return None
    is_translated = state.ai is not None and state.ai.translated is not None and not response.stream
    if not is_translated and (state.run is None or not state.run.needs_body):
        return None
    limit = state.admitted.route.bodies.response
    if len(response.raw_content or b"") <= limit:
        return None
    return make_rejection("response_too_large", RESPONSE_TOO_LONG.format(limit))


class StockResponseHead(ResponseHead):
    """Closes the client's connection where the core does: after the response of an HTTP/1.0 upstream."""

    def finish(self, flow: GatewayFlow, response: http.Response) -> None:
        state = flow.gateway_state
        if state and response.data.http_version != b"HTTP/1.1":
            state.closes = True
        super().finish(flow, response)
