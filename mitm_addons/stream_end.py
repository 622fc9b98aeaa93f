"""An event stream that breaks off ends with one error event, so that its reader knows."""

from collections.abc import Callable

from mitmproxy import http

from mitm_addons.flows import FlowState, error_body, speaks_anthropic, state_of
from mitm_addons.wire_errors import code_of
from shared.core.errors import refuse

#: Hands bytes to the client's transport, if it still has one.
Write = Callable[[http.HTTPFlow, bytes], None]


class StreamEnd:
    """On `error`, after the head of an event stream went out. The body stays visibly incomplete."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def error(self, flow: http.HTTPFlow) -> None:
        state, response = state_of(flow), flow.response
        if state is None or response is None or not response.stream or flow.error is None:
            return
        code, text = code_of(flow.error.msg)
        state.code = code
        if code == "client_closed" or "event-stream" not in response.headers.get("content-type", ""):
            return
        state.source = "gateway"
        event = _event(flow, state, code, text)
        chunked = "chunked" in response.headers.get("transfer-encoding", "")
        self._write(flow, b"%x\r\n%s\r\n" % (len(event), event) if chunked else event)


def _event(flow: http.HTTPFlow, state: FlowState, code: str, text: str) -> bytes:
    anthropic = speaks_anthropic(flow)
    body = error_body(refuse(code, text), state.request_id, anthropic=anthropic)
    whole = state.tail.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")) or not state.tail
    return (
        (b"" if whole else b"\n\n") + (b"event: error\n" if anthropic else b"") + b"data: " + body + b"\n\n"
    )
