"""The answers that mitmproxy's core makes by itself, in our shape.

This is the one patch of its internals: `make_error_response` of its HTTP/1 layer takes a status and a
message and returns bytes. The original sends HTML with the version and internal addresses in it.
"""

from collections.abc import Callable
from http import HTTPStatus

from mitmproxy.proxy.layers.http import _http1

from mitm_addons.wire_errors import code_of
from shared.core.errors import Rejection, make_rejection
from shared.http.request_id import request_id
from shared.providers.errors import error_body


def install(random_bytes: Callable[[int], bytes]) -> None:
    """Put our error answers in the place of the core's, in this process."""

    def make_error_response(status_code: int, message: str = "") -> bytes:
        code, text = code_of("bad_request:" if status_code == 400 else message)
        return _raw(make_rejection(code, text), request_id(None, random_bytes))

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
