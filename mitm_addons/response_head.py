"""The last touch on every answer's head, whoever made the answer."""

from mitmproxy import http

from mitm_addons.flows import FlowState, state_of
from shared.model.messages import LOWER, Fields
from shared.pipeline import server_timing

_REQUEST_ID, _SOURCE = b"X-Request-ID", b"X-Gateway-Error-Source"
_TIMING = b"Server-Timing"
_CONNECTION, _CODING, _LENGTH = b"Connection", "transfer-encoding", "content-length"


class ResponseHead:
    """Sets the request id, who an error is from and asked-for timings; frames for the client's version.

    An engine that does not keep connections apart judges both by the one head that they share: where an
    HTTP/1.0 upstream's ends, the client's has to.
    """

    def __init__(self, keeps_apart: bool) -> None:
        self._keeps_apart = keeps_apart

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response is not None and flow.response.stream:
            self._finish(flow, flow.response)

    def response(self, flow: http.HTTPFlow) -> None:
        if flow.response is not None and not flow.response.stream:
            self._finish(flow, flow.response)
            if flow.request.data.method == b"HEAD":
                # The head keeps the length of what a GET would get (RFC 9110, 9.3.2).
                flow.response.raw_content = b""

    def _finish(self, flow: http.HTTPFlow, response: http.Response) -> None:
        state = state_of(flow)
        if state is None:
            return
        data = response.data
        ends = state.closes or not (self._keeps_apart or data.http_version == b"HTTP/1.1")
        ours = _ours(state, data, ends)
        gone = {LOWER[name] for name in ours}
        if state.is_http10 or data.status_code in (204, 304):
            # HTTP/1.0 has no chunks: without a length the end of the connection is the end of the body. And
            # where there is no body, the stock core would send the last chunk all the same (RFC 9112, 6.1).
            gone.add(_CODING)
        kept = [field for field in data.headers.fields if LOWER[field[0]] not in gone]
        data.headers.fields = (*kept, *ours.items(), *_timing(state))
        data.http_version = b"HTTP/1.1"


def _timing(state: FlowState) -> Fields:
    """How long the groups of plugins took, for who asked and may know; beside the upstream's own."""
    if state.run is None or state.run.trace is None:
        return ()
    return ((_TIMING, server_timing(state.run.trace).encode("latin-1")),)


def _ours(state: FlowState, data: http.ResponseData, ends: bool) -> dict[bytes, bytes]:
    ours = {_REQUEST_ID: state.request_id.encode("latin-1")}
    if data.status_code >= 400:
        ours[_SOURCE] = state.source.encode("latin-1")
    if state.is_http10 and not ends:
        is_sized = any(LOWER[name] == _LENGTH for name, _ in data.headers.fields)
        ours[_CONNECTION] = b"keep-alive" if is_sized else b"close"
    elif ends:
        ours[_CONNECTION] = b"close"
    return ours
