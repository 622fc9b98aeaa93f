"""The page of the error codes of both programs."""

from collections.abc import Mapping

from admin_app.http.errors import ADMIN_ERRORS
from scripts.reference.page import page, table
from shared.core.errors import ERRORS, LOG_ONLY


def errors_page() -> str:
    """Every error code of both programs."""
    proxy = {code: error for code, error in ERRORS.items() if code not in LOG_ONLY}
    return page(
        "Errors",
        "A response with a status from 400 on has the header `X-Gateway-Error-Source`: `gateway`, "
        "`plugin:<name>` or `upstream`. An error of the gateway has one of these codes, and mostly a more "
        "precise sentence than the one here. `request_id` in the body is that of the log.",
        "## The proxy\n",
        'The body is `{"error": {"message", "type", "param", "code"}, "request_id"}`, or Anthropic\'s shape '
        "on `/v1/messages`. In a stream that has begun, an error event of the same shape ends the stream.",
        _error_table(proxy),
        "## The admin API\n",
        "The body is a problem document (RFC 9457) with `code`. `errors` points to each wrong field. "
        "Besides the codes of the proxy, these exist:",
        _error_table(ADMIN_ERRORS),
    )


def _error_table(found: Mapping[str, tuple[int, str]]) -> str:
    rows = sorted((status, code, text) for code, (status, text) in found.items())
    return table(
        ("status", "code", "meaning"), [(str(status), f"`{code}`", text) for status, code, text in rows]
    )
