"""The last step for the head of every response."""

from collections.abc import Callable, Sequence

from mitmproxy import http

from mitm_addons.flows import FlowState, GatewayFlow, has_numbers
from shared.core.http_tokens import NO_BODY, Fields
from shared.core.memo import Memo
from shared.http.cors import with_cors
from shared.http.media_type import IS_STREAM
from shared.model.messages import LOWER, first_value
from shared.pipeline.run import Run
from shared.pipeline.trace import server_timing
from shared.providers.errors import EventNumbers
from shared.providers.headers import SHOULD_RETRY

_REQUEST_ID, _SOURCE = b"X-Request-ID", b"X-Gateway-Error-Source"
_UPSTREAM_ID, _BUFFERING = b"X-Upstream-Request-ID", b"X-Accel-Buffering"
_TIMING, _CONFIG_VERSION = b"Server-Timing", b"X-Gateway-Config-Version"
# Codes of rejections whose key counts for nothing.
_NO_KEY = frozenset({"api_key_expired", "api_key_revoked"})
_CONNECTION, _CODING, _LENGTH, _TYPE = b"Connection", "transfer-encoding", "content-length", "content-type"
# All that is set here; the headers of a pool have the prefix, but for one. Upstreams seldom send one of them.
_OURS = {SHOULD_RETRY, *(LOWER[name] for name in (_REQUEST_ID, _UPSTREAM_ID, _BUFFERING, _CONNECTION))}
_IS_OURS: Memo[bytes, bool] = Memo(lambda name: LOWER[name] in _OURS or LOWER[name].startswith("x-gateway-"))


#: Keeps the event stream of a flow alive: called with the seconds of silence after which it gets a comment.
KeepAlive = Callable[[http.HTTPFlow, FlowState, float], None]


class ResponseHead:
    """Sets the ids, the source of an error and the timings; frames for the client's version.

    `keep_alive` is for rules with `stream_keepalive`; None on an engine that cannot do it.
    """

    def __init__(self, keep_alive: KeepAlive | None = None) -> None:
        self._keep_alive = keep_alive

    def responseheaders(self, flow: GatewayFlow) -> None:
        if flow.response is not None and flow.response.stream:
            self.finish(flow, flow.response)

    def response(self, flow: GatewayFlow) -> None:
        if flow.response is not None and not flow.response.stream:
            self.finish(flow, flow.response)
            if flow.request.data.method == b"HEAD":
                # The head keeps the length of what a GET would get (RFC 9110, 9.3.2).
                flow.response.raw_content = b""

    def finish(self, flow: GatewayFlow, response: http.Response) -> None:
        state = flow.gateway_state
        if state is None:
            return
        data = response.data
        ours = _own_fields(state, data)
        if response.stream and IS_STREAM[first_value(data.headers.fields, _TYPE)]:
            self._begin_events(flow, state, ours)
            if callable(response.stream) and has_numbers(flow, state):
                state.sent.numbers = EventNumbers()
        kept: Sequence[tuple[bytes, bytes]] = data.headers.fields
        has_no_coding = state.is_http10 or data.status_code in NO_BODY
        if has_no_coding or [1 for name, _ in kept if _IS_OURS[name]]:
            gone = {LOWER[name] for name in ours}
            if has_no_coding:
                # HTTP/1.0 has no chunks, and these statuses have no body (RFC 9112, 6.1).
                gone.add(_CODING)
            kept = [field for field in kept if LOWER[field[0]] not in gone]
        data.headers.fields = (*kept, *ours.items(), *(() if state.run is None else _timing(state.run)))
        data.http_version = b"HTTP/1.1"
        if state.cors is not None:
            data.headers.fields = with_cors(data.headers.fields, state.cors, state.headers)

    def _begin_events(self, flow: GatewayFlow, state: FlowState, ours: dict[bytes, bytes]) -> None:
        state.sent.is_events = True
        ours[_BUFFERING] = b"no"  # nginx would collect the events
        seconds = state.admitted.route.rule.stream_keepalive if state.admitted else None
        if seconds is not None and self._keep_alive is not None:
            self._keep_alive(flow, state, seconds)


def _timing(run: Run) -> Fields:
    """How long the groups of plugins took, if the client may know; sent beside the upstream's own field."""
    if run.trace is None or not run.trace.is_shown:
        return ()
    return ((_TIMING, server_timing(run.trace).encode("latin-1")),)


def _own_fields(state: FlowState, data: http.ResponseData) -> dict[bytes, bytes]:
    ours = {_REQUEST_ID: state.request_id.encode("latin-1")}
    if state.call.id is not None:
        ours[_UPSTREAM_ID] = state.call.id
    if data.status_code >= 400:
        ours[_SOURCE] = state.source.encode("latin-1")
    if state.pooled is not None:
        ours.update(state.pooled.fields())
    if state.gateway is not None and state.key_hash in state.gateway.versions and state.code not in _NO_KEY:
        ours[_CONFIG_VERSION] = state.gateway.versions[state.key_hash]
    if state.is_http10 and not state.closes:
        is_sized = any(LOWER[name] == _LENGTH for name, _ in data.headers.fields)
        ours[_CONNECTION] = b"keep-alive" if is_sized else b"close"
    elif state.closes:
        ours[_CONNECTION] = b"close"
    return ours
