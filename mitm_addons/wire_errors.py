"""The response to an exchange that the engine ended with an error."""

from collections.abc import Callable

from mitmproxy import http

from mitm_addons.flows import FlowState, head_of, is_anthropic, reject_flow, set_head, state_of
from mitm_engine.wire_error import CAUSE, WireError
from shared.core.errors import ERRORS, Rejection, make_rejection
from shared.http.cors import with_cors
from shared.http.request_id import request_id
from shared.model.messages import Headers
from shared.providers.errors import error_body

#: The error that `server_connect` sets on a connection that must not be opened; the engine quotes it.
FORBIDDEN = "target_forbidden"
UNRESOLVED = "target_unresolved"
#: Where mitmproxy's core puts the status of an error response that no addon sees.
STATUS_SENT = "status"


def code_of(message: str) -> str:
    """Return the error code that the message of a flow's error begins with."""
    if FORBIDDEN in message:
        return FORBIDDEN
    code = message.partition(":")[0]
    return code if code in ERRORS else "upstream_unreachable"


def cause_of(flow: http.HTTPFlow, state: FlowState) -> str | None:
    """Return why the upstream gave no response, in one word; None if it is not to blame."""
    cause: str | None = state.call.cause or flow.metadata.get(CAUSE)
    return cause


def detail_of(message: str, state: FlowState) -> str | None:
    """Return the cause that the message of a flow's error names behind its code."""
    return state.call.detail or message.partition(": ")[2] or None


def rejection_of(error: WireError) -> Rejection:
    """Return what the client gets for `error`."""
    return make_rejection(FORBIDDEN) if FORBIDDEN in error.detail else error.rejection()


def error_response(
    error: WireError, flow: http.HTTPFlow | None, random_bytes: Callable[[int], bytes]
) -> http.Response:
    """Return the response for `error`; `flow` is None if the head could not be read."""
    state = state_of(flow) if flow is not None else None
    # A plugin that ended a stream before its first byte has a rejection of its own.
    rejection = (state.run and state.run.rejection if state else None) or rejection_of(error)
    if flow is None or state is None:
        sent = flow.request.headers.get("x-request-id") if flow else None
        identity = request_id(sent, random_bytes)
        body = error_body(rejection, identity, anthropic=flow is not None and is_anthropic(flow))
        own = {
            "Content-Type": "application/json",
            **rejection.headers,
            **_identity(identity, rejection.source),
        }
        return http.Response.make(rejection.status, body, own)
    reject_flow(flow, rejection)
    response: http.Response = flow.response  # type: ignore[assignment]
    added = dict(state.run.response_headers()) if state.run else {}
    if state.call.id is not None:
        added["X-Upstream-Request-ID"] = state.call.id.decode("latin-1")
    if state.gateway is not None and state.key_hash in state.gateway.versions:
        added["X-Gateway-Config-Version"] = state.gateway.versions[state.key_hash].decode()
    if state.pooled is not None:
        added |= {name.decode(): value.decode("latin-1") for name, value in state.pooled.fields()}
    head = head_of(response).patched({**added, **_identity(state.request_id, rejection.source)})
    if state.cors is not None:
        head = Headers.of(with_cors(head.fields, state.cors, state.headers))
    set_head(response, head)
    return response


def _identity(request: str, source: str) -> dict[str, str]:
    return {"X-Request-ID": request, "X-Gateway-Error-Source": source}
