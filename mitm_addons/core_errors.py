"""The answers that mitmproxy's core makes by itself, in our shape.

This is the one patch of its internals: `make_error_response` of its HTTP/1 layer takes a status and a
message and returns bytes. The original sends HTML with the version and internal addresses in it.
"""

from collections.abc import Callable
from http import HTTPStatus

from mitmproxy.proxy.layers.http import _http1

from mitm_addons.flows import error_body
from shared.core.errors import Refusal, refuse
from shared.core.request_id import request_id

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
    code = next((code for start, code in _MEANINGS if start in message), "upstream_unreachable")
    return code, _TEXTS[code]


def install(random_bytes: Callable[[int], bytes]) -> None:
    """Put our error answers in the place of the core's, in this process."""

    def make_error_response(status_code: int, message: str = "") -> bytes:
        code, text = ("bad_request", _TEXTS["bad_request"]) if status_code == 400 else code_of(message)
        return _raw(refuse(code, text), request_id(None, random_bytes))

    _http1.make_error_response = make_error_response


def _raw(refusal: Refusal, identity: str) -> bytes:
    body = error_body(refusal, identity, anthropic=False)
    head = (
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}\r\n"
        "Content-Type: application/json\r\n"
        f"X-Request-ID: {identity}\r\n"
        f"X-Gateway-Error-Source: {refusal.source}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
