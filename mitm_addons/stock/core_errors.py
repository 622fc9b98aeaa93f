"""The error texts of mitmproxy's core as our codes, and its own error responses in our shape.

This has the one patch of its internals: `make_error_response` of its HTTP/1 layer takes a status and a
message and returns bytes. The original sends HTML with the version and internal addresses in it.
"""

import errno
from collections.abc import Callable
from http import HTTPStatus

from mitmproxy import http
from mitmproxy.flow import Error
from mitmproxy.proxy.layers.http import _http1

from mitm_addons.wire_errors import STATUS_SENT, UNRESOLVED, code_of
from mitm_engine.wire_error import CAUSE
from shared.core.errors import STATUS, Rejection, make_rejection
from shared.http.request_id import request_id
from shared.providers.errors import error_body

# Part of a text of the core -> our code. The first that fits.
_CODES = (
    (UNRESOLVED, "upstream_unreachable"),
    ("Request body exceeds", "body_too_large"),
    ("Client disconnected", "client_closed"),
    ("ertificate", "upstream_tls"),
    ("TLS", "upstream_tls"),
    ("server closed connection", "upstream_protocol_error"),
    ("unexpected server response", "upstream_protocol_error"),
    ("Cannot parse HTTP response", "upstream_protocol_error"),
    ("Response body exceeds", "response_too_large"),
    ("HTTP/1 protocol error", "upstream_protocol_error"),
    ("Received ", "upstream_protocol_error"),
)
# The same for the cause in the log. The text of an OSError begins with its number.
_CAUSES = (
    ("Client disconnected", None),
    ("ertificate", "tls"),
    ("TLS", "tls"),
    (f"[Errno {errno.ECONNREFUSED}]", "refused"),
    (f"[Errno {errno.ECONNRESET}]", "reset"),
    ("[Errno ", "unreachable"),
    ("server closed connection", "reset"),
    ("peer closed connection", "reset"),
    ("unexpected server response", "protocol"),
    ("Cannot parse HTTP response", "protocol"),
    ("HTTP/1 protocol error", "protocol"),
    ("Received ", "protocol"),
)


def _with_code(message: str) -> str:
    code = next((code for part, code in _CODES if part in message), "upstream_unreachable")
    return f"{code}: {message}"


class ErrorCodes:
    """Puts our code in front of the core's text about a failed exchange. Stands before all other addons."""

    def error(self, flow: http.HTTPFlow) -> None:
        if flow.error is not None and flow.error.msg != Error.KILLED_MESSAGE:
            message = flow.error.msg
            flow.metadata[CAUSE] = next((cause for part, cause in _CAUSES if part in message), None)
            flow.error.msg = _with_code(message)
            if flow.response is None:
                flow.metadata[STATUS_SENT] = STATUS.get(code_of(flow.error.msg))


def install(random_bytes: Callable[[int], bytes]) -> None:
    """Replace the core's error responses by ours, in this process."""

    def make_error_response(status_code: int, message: str = "") -> bytes:
        code = "bad_request" if status_code == 400 else code_of(_with_code(message))
        return _raw(make_rejection(code), request_id(None, random_bytes))

    _http1.make_error_response = make_error_response


def _raw(rejection: Rejection, identity: str) -> bytes:
    body = error_body(rejection, identity, anthropic=False)
    head = (
        f"HTTP/1.1 {rejection.status} {HTTPStatus(rejection.status).phrase}\r\n"
        "Content-Type: application/json\r\n"
        f"X-Request-ID: {identity}\r\n"
        f"X-Gateway-Error-Source: {rejection.source}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
