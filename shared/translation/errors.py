"""The errors of one API as those of another, by their status.

A stream has no status: the type or the code of its error stands for one.
"""

from typing import Any, Final, NamedTuple

from shared.bodies.json.lenient import json_or_none
from shared.core.errors import ERRORS
from shared.translation.notes import Document

# The most characters of a body that is not JSON.
_LONGEST: Final = 1024
_TEXTS: Final = ("error", "message", "detail")
_OVERLOADED: Final = (503, 529)


class _Row(NamedTuple):
    """The type and the code of OpenAI's errors, and the type of Anthropic's."""

    chat: str
    code: str | None
    messages: str


_BAD: Final = _Row("invalid_request_error", None, "invalid_request_error")
_FAILED: Final = _Row("server_error", None, "api_error")
_LATE: Final = _Row("timeout", None, "timeout_error")
_BUSY: Final = _Row("server_error", "overloaded", "overloaded_error")
#: The types and codes by status.
ROWS: Final[dict[int, _Row]] = {
    400: _BAD,
    401: _Row("authentication_error", "invalid_api_key", "authentication_error"),
    402: _Row("insufficient_quota", "insufficient_quota", "billing_error"),
    403: _Row("permission_error", None, "permission_error"),
    404: _Row("invalid_request_error", "model_not_found", "not_found_error"),
    408: _LATE,
    409: _Row("invalid_request_error", None, "conflict_error"),
    413: _Row("invalid_request_error", None, "request_too_large"),
    422: _BAD,
    429: _Row("rate_limit_error", "rate_limit_exceeded", "rate_limit_error"),
    500: _FAILED,
    502: _FAILED,
    503: _BUSY,
    504: _LATE,
    529: _BUSY,
}
# The status that the error event of a stream means, by its words. The first row with a word counts, and a
# code counts before a type.
_STATUSES: Final = {
    **{row.chat: status for status, row in reversed(ROWS.items())},
    **{row.messages: status for status, row in reversed(ROWS.items())},
    **{row.code: status for status, row in reversed(ROWS.items()) if row.code},
}


class ErrorResponse(NamedTuple):
    """The status and the document of an error."""

    status: int
    document: Document


def chat_error(status: int, body: Any) -> ErrorResponse:
    """An upstream's error for clients of OpenAI's APIs. `body` is its JSON, or its text."""
    row = _row(status)
    error = {"message": message_of(body), "type": row.chat, "param": None, "code": row.code}
    return ErrorResponse(503 if status in _OVERLOADED else status, {"error": error})


def messages_error(status: int, body: Any) -> ErrorResponse:
    """An upstream's error for clients of Anthropic's API. `body` is its JSON, or its text."""
    error = {"type": _row(status).messages, "message": message_of(body)}
    return ErrorResponse(529 if status in _OVERLOADED else status, {"type": "error", "error": error})


def _row(status: int) -> _Row:
    return ROWS.get(status) or (_FAILED if status >= 500 else _BAD)


def message_of(body: Any) -> str:
    """The message of an error: of the APIs, of servers with their own form, or the text itself.

    >>> message_of({"error": {"message": "Too long."}}), message_of(b"<h1>Bad gateway</h1>")
    ('Too long.', '<h1>Bad gateway</h1>')
    """
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    document = json_or_none(body) if isinstance(body, str) else body
    while isinstance(document, dict):
        document = next(
            (document[name] for name in ("error", "message", "detail") if document.get(name)), None
        )
    text = document if isinstance(document, str) and document else body
    return text[:_LONGEST] if isinstance(text, str) and text else "The upstream sent an error without a text."


def status_of(event: Document) -> int:
    """The status that the error in a stream stands for."""
    error = event.get("error")
    words = [error.get(name) for name in ("code", "status", "type")] if isinstance(error, dict) else []
    for word in words:
        if isinstance(word, int) and 400 <= word <= 599:
            return word
        if isinstance(word, str) and word in _STATUSES:
            return _STATUSES[word]
    return 500


def chat_protocol_error() -> Document:
    """The event for clients of OpenAI's APIs when a stream of the upstream is not complete."""
    message = ERRORS["upstream_protocol_error"][1]
    error = {"message": message, "type": "server_error", "param": None, "code": "upstream_protocol_error"}
    return {"error": error}


def messages_protocol_error() -> Document:
    """The event for clients of Anthropic's API when a stream of the upstream is not complete."""
    message = ERRORS["upstream_protocol_error"][1]
    return {"type": "error", "error": {"type": "api_error", "message": message}}


def responses_failure(status: int, message: str) -> Document:
    """The member `error` of a response of OpenAI's responses that failed. It knows few codes."""
    if status == 429:
        return {"code": "rate_limit_exceeded", "message": message}
    return {"code": "invalid_prompt" if status in (400, 413, 422) else "server_error", "message": message}
