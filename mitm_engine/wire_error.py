"""The error that ends an exchange without the response of the upstream."""

import json
from collections.abc import Mapping

from mitmproxy import http

from shared.core.empty import EMPTY
from shared.core.errors import ERRORS, Rejection, make_rejection

#: Where the engine puts the cause of a failure, in the metadata of the flow.
CAUSE = "cause"

# Codes from 500 on whose details are for the client.
_QUOTED = ("response_too_large",)
# The cause that a code says by itself.
_CAUSES = {"upstream_tls": "tls", "upstream_timeout": "timeout", "upstream_protocol_error": "protocol"}


class WireError(Exception):
    """Carries an error code to the one place that sends the response. Its text becomes `flow.error.msg`.

    Attributes:
        code: a key of `shared.core.errors.ERRORS`.
        detail: the cause, for logs and addons. The client reads it with a status below 500, or when the code
            is in `_QUOTED`, so there it must not quote a peer.
        headers: more headers of the response.
        cause: what went wrong with the upstream, in one word for programs; None if nothing did.
    """

    def __init__(
        self, code: str, detail: str = "", headers: Mapping[str, str] = EMPTY, cause: str | None = None
    ) -> None:
        super().__init__(f"{code}: {detail or ERRORS[code][1]}")
        self.code = code
        self.detail = detail
        self.headers = headers
        self.cause = cause or _CAUSES.get(code)

    def rejection(self) -> Rejection:
        """Return what the client gets."""
        is_quoted = ERRORS[self.code][0] < 500 or self.code in _QUOTED
        return make_rejection(self.code, self.detail if is_quoted else "", self.headers)


OVERLOADED = WireError("overloaded")
LATE_ADDONS = WireError("plugin_failure", "The addons took too long.")
LATE_POLICY = WireError("plugin_failure", "The decision about another attempt took too long.")
LATE_REQUEST = WireError("request_timeout")
#: One error per timeout, so that a log can tell which one it was.
LATE_CONNECT = WireError("upstream_timeout", "The connection took longer than the timeout connect.")
LATE_HEAD = WireError("upstream_timeout", "No response began within the timeout first_byte.")
LATE_BODY = WireError("upstream_timeout", "The response paused for longer than the timeout idle.")
LATE_EXCHANGE = WireError("upstream_timeout", "The exchange took longer than the timeout total.")
LATE_READER = WireError("upstream_timeout", "The upstream read the request too slowly, timeout first_byte.")


def plain_response(error: WireError, flow: http.HTTPFlow | None) -> http.Response:
    """Return the response for `error` as a small JSON document."""
    rejection = error.rejection()
    body = json.dumps({"error": {"code": rejection.code, "message": rejection.message}}).encode()
    head = {"Content-Type": "application/json", **rejection.headers}
    return http.Response.make(rejection.status, body, head)
