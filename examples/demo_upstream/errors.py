"""The errors of the demo upstream, in the shapes of OpenAI's API and of Anthropic's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Failure:
    """An error: its text, OpenAI's type and code, and Anthropic's type."""

    message: str
    type: str
    code: str
    anthropic: str


_INVALID: Final = "invalid_request_error"

#: The errors by their status.
FAILURES: Final[Mapping[int, Failure]] = {
    400: Failure("The body is not a JSON object.", _INVALID, "no_json", _INVALID),
    401: Failure("The API key is not correct.", _INVALID, "invalid_api_key", "authentication_error"),
    402: Failure("The credit is used up.", "insufficient_quota", "insufficient_quota", "billing_error"),
    403: Failure("The API key may not do this.", _INVALID, "permission_denied", "permission_error"),
    404: Failure("No resource has this path.", "not_found_error", "not_found", "not_found_error"),
    429: Failure("The rate limit is reached.", "requests", "rate_limit_exceeded", "rate_limit_error"),
    500: Failure("The server has failed.", "server_error", "server_error", "api_error"),
    502: Failure("The server has failed.", "server_error", "bad_gateway", "api_error"),
    503: Failure("The server is overloaded.", "server_error", "overloaded", "overloaded_error"),
    504: Failure("The server took too long.", "server_error", "timeout", "timeout_error"),
    529: Failure("The server is overloaded.", "server_error", "overloaded", "overloaded_error"),
}


def error_body(status: int, *, anthropic: bool) -> dict[str, Any]:
    """The body of the error with that status, in Anthropic's shape or in OpenAI's."""
    failure = FAILURES[status]
    if anthropic:
        error = {"type": failure.anthropic, "message": failure.message}
        return {"type": "error", "error": error, "request_id": "req_demo"}
    error = {"message": failure.message, "type": failure.type, "code": failure.code}
    return {"error": {**error, "param": None}}
