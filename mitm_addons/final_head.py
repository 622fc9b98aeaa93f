"""The last touch on every answer's head, whoever made the answer."""

from mitmproxy import http

from mitm_addons.flows import state_of


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
    headers = response.headers
    headers["X-Request-ID"] = state.request_id
    if response.status_code >= 400:
        headers["X-Gateway-Error-Source"] = state.source
    old_upstream = response.data.http_version != b"HTTP/1.1"
    if state.old_client and "transfer-encoding" in headers:
        # HTTP/1.0 has no chunks: the end of the connection is the end of the body.
        del headers["transfer-encoding"]
    response.data.http_version = b"HTTP/1.1"
    if state.closes or old_upstream:
        headers["Connection"] = "close"
