"""The error that ends an exchange without the response of the upstream."""

import json
from collections.abc import Mapping

from mitmproxy import http

from shared.core.empty import EMPTY
from shared.core.errors import ERRORS, Rejection, make_rejection

# Codes from 500 on whose details are for the client.
_QUOTED = ("response_too_large",)


class WireError(Exception):
    """Carries an error code to the one place that sends the response. Its text becomes `flow.error.msg`.

    Attributes:
        code: a key of `shared.core.errors.ERRORS`.
        detail: the cause, for logs and addons. The client reads it with a status below 500, or when the code
            is in `_QUOTED`, so there it must not quote a peer.
        headers: more headers of the response.
    """

    def __init__(self, code: str, detail: str = "", headers: Mapping[str, str] = EMPTY) -> None:
        super().__init__(f"{code}: {detail or ERRORS[code][1]}")
        self.code = code
        self.detail = detail
        self.headers = headers

    def rejection(self) -> Rejection:
        """Return what the client gets."""
        is_quoted = ERRORS[self.code][0] < 500 or self.code in _QUOTED
        return make_rejection(self.code, self.detail if is_quoted else "", self.headers)


OVERLOADED = WireError("overloaded")
LATE_ADDONS = WireError("plugin_failure", "The addons took too long.")


def plain_response(error: WireError, flow: http.HTTPFlow | None) -> http.Response:
    """Return the response for `error` as a small JSON document."""
    rejection = error.rejection()
    body = json.dumps({"error": {"code": rejection.code, "message": rejection.message}}).encode()
    head = {"Content-Type": "application/json", **rejection.headers}
    return http.Response.make(rejection.status, body, head)
