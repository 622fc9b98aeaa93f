"""What an engine says of an exchange that failed, and what the client is told.

The stock core speaks in sentences of its own, express in our codes; both are read here.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from mitmproxy import http

from mitm_addons.flows import head_of, is_anthropic, reject_flow, set_head, state_of
from shared.core.errors import Rejection, make_rejection
from shared.http.request_id import request_id
from shared.providers.errors import error_body

#: What `server_connect` sets on a connection that must not be opened; the core quotes it back.
FORBIDDEN = "target_forbidden"
UNRESOLVED = "target_unresolved"

_TEXTS = {
    "body_too_large": "The body is longer than the gateway takes.",
    "bad_request": "The request could not be read as HTTP/1.1.",
    "target_forbidden": "The target of this rule leads to an address that the gateway must not call.",
    "upstream_tls": "The upstream's TLS certificate could not be verified, or TLS failed.",
    "upstream_unreachable": "The upstream cannot be reached.",
    "upstream_protocol_error": "The upstream did not give a complete HTTP answer.",
    "upstream_timeout": "The upstream did not answer in time.",
    "request_timeout": "The request came too slowly.",
    "plugin_failure": "The gateway could not handle this request, so it was not let through.",
    "overloaded": "The gateway cannot go on with this now. Try again soon.",
    "client_closed": "The client went away.",
}
# What the core says, and what it means. The first that fits.
_MEANINGS = (
    (FORBIDDEN, "target_forbidden"),
    (UNRESOLVED, "upstream_unreachable"),
    ("Request body exceeds", "body_too_large"),
    ("Client disconnected", "client_closed"),
    ("ertificate", "upstream_tls"),
    ("TLS", "upstream_tls"),
    ("server closed connection", "upstream_protocol_error"),
    ("unexpected server response", "upstream_protocol_error"),
    ("Cannot parse HTTP response", "upstream_protocol_error"),
    ("Response body exceeds", "upstream_protocol_error"),
    ("HTTP/1 protocol error", "upstream_protocol_error"),
    ("Received ", "upstream_protocol_error"),
)


def code_of(message: str) -> tuple[str, str]:
    """Our code and sentence for what the core said of a failed exchange."""
    code = message.partition(":")[0]
    if code not in _TEXTS or FORBIDDEN in message:
        code = next((code for part, code in _MEANINGS if part in message), "upstream_unreachable")
    return code, _TEXTS[code]


class Fault(Protocol):
    """What express says of an exchange that it ends by itself."""

    @property
    def code(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def detail(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


def rejection_of(why: Fault) -> Rejection:
    """What the client is told."""
    if FORBIDDEN in why.detail:
        return make_rejection(*code_of(why.detail))
    return make_rejection(why.code, why.message, why.headers)


def fault_response(
    why: Fault, flow: http.HTTPFlow | None, random_bytes: Callable[[int], bytes]
) -> http.Response:
    """The answer to a fault of express.

    Without a flow there was no head that could be read; without a state nobody has looked at it.
    """
    state = state_of(flow) if flow is not None else None
    # A plugin that ended a stream before its first byte has said why.
    rejection = (state.run and state.run.rejection if state else None) or rejection_of(why)
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
    added = state.run.response_headers() if state.run else {}
    set_head(response, head_of(response).patched({**added, **_identity(state.request_id, rejection.source)}))
    return response


def _identity(request: str, source: str) -> dict[str, str]:
    return {"X-Request-ID": request, "X-Gateway-Error-Source": source}
