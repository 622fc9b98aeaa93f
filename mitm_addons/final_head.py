"""The last touch on every answer's head, whoever made the answer."""

from mitmproxy import http

from mitm_addons.flows import FlowState, state_of

_REQUEST_ID, _SOURCE = b"X-Request-ID", b"X-Gateway-Error-Source"
_CODING, _CONNECTION = b"Transfer-Encoding", b"Connection"


class FinalHead:
    """Sets the request id and who an error is from, and frames answers for the client's version."""

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        if flow.response is not None and flow.response.stream:
            _finish(flow, flow.response)

    def response(self, flow: http.HTTPFlow) -> None:
        if flow.response is not None and not flow.response.stream:
            _finish(flow, flow.response)


def _finish(flow: http.HTTPFlow, response: http.Response) -> None:
    state = state_of(flow)
    if state is None:
        return
    data = response.data
    ours = _ours(state, data.status_code, data.http_version)
    gone = {name.lower() for name in ours}
    if state.old_client:
        # HTTP/1.0 has no chunks: the end of the connection is the end of the body.
        gone.add(_CODING.lower())
    kept = [field for field in data.headers.fields if field[0].lower() not in gone]
    data.headers.fields = (*kept, *ours.items())
    data.http_version = b"HTTP/1.1"


def _ours(state: FlowState, status: int, version: bytes) -> dict[bytes, bytes]:
    ours = {_REQUEST_ID: state.request_id.encode("latin-1")}
    if status >= 400:
        ours[_SOURCE] = state.source.encode("latin-1")
    if state.closes or version != b"HTTP/1.1":
        ours[_CONNECTION] = b"close"
    return ours
