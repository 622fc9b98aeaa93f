"""The error event at the end of a stream that breaks off."""

from collections.abc import Callable

from mitmproxy import http

from mitm_addons.flows import FlowState, is_anthropic, state_of
from mitm_addons.wire_errors import code_of
from shared.core.errors import Rejection, make_rejection
from shared.http.media_type import MediaType
from shared.providers import errors

#: Writes bytes to the client's connection, if it is open.
Write = Callable[[http.HTTPFlow, bytes], None]


class StreamEnd:
    """Writes an error event on `error`, once the head is sent. The body stays visibly incomplete."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def error(self, flow: http.HTTPFlow) -> None:
        state, response = state_of(flow), flow.response
        if (
            state is None
            or response is None
            or not response.stream
            or flow.error is None
            or state.sent.has_error
            or (state.ai is not None and state.ai.translated is not None and state.ai.translated.has_failed)
        ):
            return
        rejection = state.run.rejection if state.run else None
        if rejection is None:
            code = code_of(flow.error.msg)
            if code == "client_closed":
                state.code = code
                return
            rejection = make_rejection(code)
        if data := state.sent.pending + error_event(flow, state, rejection):
            self._write(flow, framed(response, data))


def framed(response: http.Response, data: bytes) -> bytes:
    """The bytes of a piece of the body, as a chunk if the body has chunks."""
    chunked = "chunked" in response.headers.get("transfer-encoding", "")
    return b"%x\r\n%s\r\n" % (len(data), data) if chunked else data


def error_event(flow: http.HTTPFlow, state: FlowState, rejection: Rejection) -> bytes:
    """The error in the format of the stream; empty for a format without one, and behind the last event."""
    state.sent.has_error, state.code = True, rejection.code
    if state.sent.is_over:
        return b""
    content_type = flow.response.headers.get("content-type", "") if flow.response else ""
    kind = MediaType.parse(content_type)
    if not kind.is_event_stream and not kind.is_json_lines:
        return b""
    state.source = rejection.source
    anthropic = is_anthropic(flow)
    trace = state.trace and state.trace.trace_id
    body = errors.error_body(rejection, state.request_id, anthropic=anthropic, trace_id=trace)
    if kind.is_json_lines:
        return (
            (b"" if state.sent.last_bytes.endswith((b"\n", b"\r")) or not state.sent.last_bytes else b"\n")
            + body
            + b"\n"
        )
    numbers = state.sent.numbers
    number = None if numbers is None or anthropic else numbers.next
    event = errors.error_event(body, anthropic=anthropic, number=number)
    return (b"" if state.sent.is_between_events else b"\n\n") + event
