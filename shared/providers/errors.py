"""Errors in the shapes that the SDKs of OpenAI and of Anthropic read."""

import re
from collections.abc import Container

import orjson

from shared.core.errors import Rejection

# A quote in a text is escaped, so a text does not match. The member with spaces around is not longer.
_NUMBER = re.compile(rb'"sequence_number"\s*:\s*([0-9]{1,12})[\s,}]')
_OVER = re.compile(rb'"type"\s*:\s*"response\.(?:completed|incomplete|failed)"')
_LONGEST_NUMBER = 40
# The events after which readers of OpenAI's and of Anthropic's streams read no more.
_LAST_EVENT = re.compile(
    rb'(?:\A|[\r\n])data: ?(?:\[DONE\][ \t]*|[^\r\n]*"type"\s*:\s*"message_stop"[^\r\n]*)[\r\n]+\Z'
)

_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "requests"}
# https://docs.anthropic.com/en/api/errors
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}


def speaks_anthropic(path: bytes, names: Container[str]) -> bool:
    """True for a request to Anthropic's API, by its path or by the names of its header fields."""
    return path.partition(b"?")[0].endswith(b"/v1/messages") or "anthropic-version" in names


def speaks_responses(path: bytes) -> bool:
    """True for a request to OpenAI's Responses API."""
    return path.partition(b"?")[0].endswith(b"/responses")


def error_body(
    rejection: Rejection, request_id: str, *, anthropic: bool, trace_id: str | None = None
) -> bytes:
    """The error in Anthropic's shape, or in OpenAI's, with the ids of the request and of its trace."""
    types = _ANTHROPIC_TYPES if anthropic else _OPENAI_TYPES
    kind = types.get(rejection.status, "api_error" if rejection.status >= 500 else "invalid_request_error")
    message, code = rejection.message, rejection.code
    shape: dict[str, object] = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    if anthropic:
        shape = {"type": "error", "error": {"type": kind, "message": message, "code": code}}
    # The details of a plugin stand beside the members of the error and never replace them.
    ids = {"request_id": request_id} if trace_id is None else {"request_id": request_id, "trace_id": trace_id}
    return orjson.dumps({**shape, **rejection.details, **shape, **ids})


def error_event(body: bytes, *, anthropic: bool, number: int | None = None) -> bytes:
    """The server-sent event that brings an error body.

    Anthropic's readers know it by its name, and those of OpenAI's Responses API by its type and `number`.
    """
    if number is not None:
        document, first = orjson.loads(body), {"type": "error", "sequence_number": number}
        body = orjson.dumps({**first, **document, **document["error"], **first})
    return (b"event: error\n" if anthropic or number is not None else b"") + b"data: " + body + b"\n\n"


def is_last_event(data: bytes) -> bool:
    """Whether the last bytes of a stream end the response. `EventNumbers` knows it of the Responses API.

    >>> is_last_event(b'data: {"choices": []}\\n\\n'), is_last_event(b"data: [DONE]\\n\\n")
    (False, True)
    """
    return _LAST_EVENT.search(data) is not None


class EventNumbers:
    """Reads the numbers of the events of a stream of the Responses API, which comes in pieces.

    Attributes:
        next: the number of the event that follows the last one.
        is_over: the event that ends the response has begun.
    """

    __slots__ = ("_rest", "is_over", "next")

    def __init__(self) -> None:
        self.next = 0
        self.is_over = False
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """Read a piece."""
        data = self._rest + piece
        if found := _NUMBER.findall(data):
            self.next = int(found[-1]) + 1
        if _OVER.search(data) is not None:
            self.is_over = True
        self._rest = data[-_LONGEST_NUMBER:]
