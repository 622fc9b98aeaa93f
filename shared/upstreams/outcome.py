"""The result of one attempt: what it was, whose fault it is, and whether another one may follow.

| upstream | outcome | fault |
|---|---|---|
| no connection | `connect` | target |
| the connection ended, or nothing came, after the request was sent | `reset`, `timeout` | target |
| 401; 403 about the credential | `auth` | key, which is rejected |
| 402; any error about money, such as insufficient_quota | `rate_limit` | key, for all models |
| 429 | `rate_limit` | key, for this model |
| 503, 529; any error that says overloaded | `overloaded` | target |
| 500, 502, 504; 200 with a whole body that is not JSON | `server_error` | target |
| 200, then an error, the end or silence before the content | `stream_start` | of the error, else target |
| another 4xx | none | client |
| another 5xx | none | target |
| anything else | none | nobody |
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from shared.bodies.json.lenient import json_or_none
from shared.model.pools import RetryOn


class Fault(StrEnum):
    """Where the cause of a failure lies."""

    NOBODY = "nobody"
    CLIENT = "client"
    KEY = "key"
    TARGET = "target"


class KeyEffect(StrEnum):
    """The effect of a failed call on its key: see `shared.upstreams.keys`."""

    REJECTED = "rejected"
    QUOTA = "quota"
    RATE_LIMIT = "rate_limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one attempt.

    Attributes:
        kind: the failure, as `Retry.on` names it; None for a success, and for one that is never retried.
        fault: where its cause lies.
        why: the cause in a few words, for logs and traces; empty for a success.
        status: the status of the response; 0 without one.
        effect: what happens to the key.
        wait: the seconds after which the upstream wants to be called again; None if it did not say.
    """

    kind: RetryOn | None = None
    fault: Fault = Fault.NOBODY
    why: str = ""
    status: int = 0
    effect: KeyEffect | None = None
    wait: float | None = None


SERVED = Outcome()

# The words of the providers' errors, in `type`, `code`, `status` or a `reason` of the details, in lower case.
_AUTH = frozenset(
    {"authentication_error", "invalid_api_key", "permission_error", "invalid_authentication"}
    | {"account_deactivated", "unauthenticated", "permission_denied", "api_key_invalid"}
)
_QUOTA = frozenset(
    {"insufficient_quota", "billing_error", "billing_not_active", "billing_hard_limit_reached"}
)
_OVERLOADED = frozenset({"overloaded_error", "engine_overloaded_error", "engine_overloaded", "overloaded"})
_RATE_LIMIT = frozenset(
    {"rate_limit_error", "rate_limit_exceeded", "resource_exhausted", "requests", "tokens"}
)
_CLIENT = frozenset(
    {"invalid_request_error", "invalid_argument", "not_found_error", "request_too_large", "invalid_prompt"}
    | {"content_policy_violation", "context_length_exceeded", "failed_precondition"}
)
_REJECTED_KEY = Outcome(kind=RetryOn.AUTH, fault=Fault.KEY, effect=KeyEffect.REJECTED)
_NO_MONEY = Outcome(kind=RetryOn.RATE_LIMIT, fault=Fault.KEY, effect=KeyEffect.QUOTA)
_TOO_FAST = Outcome(kind=RetryOn.RATE_LIMIT, fault=Fault.KEY, effect=KeyEffect.RATE_LIMIT)
_FULL = Outcome(kind=RetryOn.OVERLOADED, fault=Fault.TARGET)
_BROKEN = Outcome(kind=RetryOn.SERVER_ERROR, fault=Fault.TARGET)
_BY_STATUS: Mapping[int, Outcome] = {
    **{401: _REJECTED_KEY, 402: _NO_MONEY, 429: _TOO_FAST},
    **dict.fromkeys((503, 529), _FULL),
    **dict.fromkeys((500, 502, 504), _BROKEN),
}


def outcome_of_response(status: int, body: bytes = b"", wait: float | None = None) -> Outcome:
    """The outcome of a response with that status. `body` is its beginning, needed for errors only.

    `wait` is that of its headers (`shared.providers.retry_after`).
    """
    if status < 400:
        return SERVED
    words = error_words(json_or_none(body))
    found = _by_words(words, may_be_auth=status in (400, 401, 403)) or _BY_STATUS.get(status)
    if found is None:
        found = Outcome(fault=Fault.CLIENT if status < 500 else Fault.TARGET)
    return replace(found, why=words[0] if words else f"status {status}", status=status, wait=wait)


def outcome_of_transport(kind: RetryOn, why: str, *, status: int = 0, is_ours: bool = True) -> Outcome:
    """The outcome of a call without a complete response: `kind` is CONNECT, RESET or TIMEOUT.

    `status` is that of a response whose body did not come.

    `is_ours` is False for a timeout that the rule made shorter than the provider's: a tenant must not take a
    target from others by short timeouts.
    """
    return Outcome(kind=kind, fault=Fault.TARGET if is_ours else Fault.NOBODY, why=why, status=status)


def outcome_of_stream(error: Any, *, silent: bool = False, is_ours: bool = True) -> Outcome:
    """The outcome of a stream without content. `error` is the document of its error event; None: it ended.

    `is_ours` is as in `outcome_of_transport`.
    """
    if error is None:
        why, fault = "silent stream" if silent else "empty stream", Fault.TARGET if is_ours else Fault.NOBODY
        return Outcome(kind=RetryOn.STREAM_START, fault=fault, why=why, status=200)
    words = error_words(error)
    found = _by_words(words, may_be_auth=True)
    if found is None:
        if _CLIENT & {*words}:
            return Outcome(fault=Fault.CLIENT, why=words[0], status=200)
        found = _TOO_FAST if _RATE_LIMIT & {*words} else _BROKEN
    return replace(found, kind=RetryOn.STREAM_START, why=words[0] if words else "error event", status=200)


def outcome_of_whole(why: str) -> Outcome:
    """The outcome of a whole response with status 200 that is not a response of the API."""
    return replace(_BROKEN, why=why, status=200)


def error_words(document: Any) -> list[str]:
    """The words with which the document of an error says what it is, in lower case."""
    if isinstance(document, list):  # Google's, through its endpoint for OpenAI's SDK
        document = document[0] if document else None
    if not isinstance(document, dict):
        return []
    if isinstance(response := document.get("response"), dict):  # the event response.failed
        document = response
    error = document.get("error")
    if not isinstance(error, dict):
        error = document  # the event "error" of OpenAI's Responses has its members at the top
    details = error.get("details")
    reasons = (
        [one.get("reason") for one in details if isinstance(one, dict)] if isinstance(details, list) else []
    )
    words = [error.get("code"), error.get("type"), error.get("status"), *reasons]
    return [word.lower()[:64] for word in words if isinstance(word, str) and word]


def _by_words(words: list[str], *, may_be_auth: bool) -> Outcome | None:
    """The outcome that the words of an error say, whatever its status; None if they say nothing."""
    said = {*words}
    if said & _QUOTA:
        return _NO_MONEY
    if said & _OVERLOADED:
        return _FULL
    return _REJECTED_KEY if may_be_auth and said & _AUTH else None
