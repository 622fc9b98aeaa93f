"""What the engine answers by itself: every way in which an exchange can fail on the wire."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mitmproxy import http

_NONE: Mapping[str, str] = MappingProxyType({})

#: code -> status and sentence. The sentence holds no address and nothing that a peer wrote.
MEANINGS: Mapping[str, tuple[int, str]] = {
    "bad_request": (400, "The request could not be read as HTTP/1.1."),
    "invalid_host": (400, "The request must have exactly one Host header."),
    "method_not_allowed": (405, "This method is not possible here."),
    "request_timeout": (408, "The request came too slowly."),
    "body_too_large": (413, "The body is longer than the gateway takes."),
    "uri_too_long": (414, "The request target is too long."),
    "headers_too_large": (431, "The head of the request is too large."),
    "not_implemented": (501, "This method is not known here."),
    "upstream_unreachable": (502, "The upstream cannot be reached."),
    "upstream_protocol_error": (502, "The upstream did not give a complete HTTP answer."),
    "upstream_tls": (502, "The upstream's TLS certificate could not be verified, or TLS failed."),
    "plugin_failure": (503, "The gateway could not handle this request, so it was not let through."),
    "overloaded": (503, "The gateway has too much to do at the moment. Try again soon."),
    "upstream_timeout": (504, "The upstream did not answer in time."),
    # Never sent: nobody is there to read it.
    "client_closed": (499, "The client went away."),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an exchange ends without the upstream's answer: a code of `MEANINGS` and a sentence.

    `detail` begins with the code and is for logs and addons (it becomes `flow.error.msg`), never for clients.
    """

    code: str
    message: str
    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=lambda: _NONE)


def fault(code: str, message: str = "", detail: str = "", headers: Mapping[str, str] = _NONE) -> Fault:
    """The fault of that code; with its own sentence when `message` is empty. Raises KeyError."""
    status, sentence = MEANINGS[code]
    return Fault(code, message or sentence, status, f"{code}: {detail or message or sentence}", headers)


OVERLOADED = fault("overloaded", headers={"Retry-After": "1"})
LATE_ADDONS = fault("plugin_failure", detail="The addons took too long.")


class Failed(Exception):
    """Carries a `Fault` to the one place that answers it."""

    def __init__(self, why: Fault) -> None:
        super().__init__(why.detail)
        self.fault = why


def failed(code: str, message: str = "", detail: str = "") -> Failed:
    """What to raise for a fault."""
    return Failed(fault(code, message, detail))


def plain_response(why: Fault, flow: http.HTTPFlow | None) -> http.Response:
    """The fault as a small JSON document, for whoever embeds the engine without an idea of their own."""
    body = json.dumps({"error": {"code": why.code, "message": why.message}}).encode()
    return http.Response.make(why.status, body, {"Content-Type": "application/json", **why.headers})
