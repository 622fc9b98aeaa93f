"""Every error that the gateway raises or sends.

    GatewayError
    ├── StoreDown          Redis did not reply
    │   ├── StoreLost          it replied, but lacks the data that this gateway served last
    │   ├── StoreUnsure        a change was sent, and the reply was lost
    │   ├── NotDurable         a change is in effect, and not on disk
    │   └── NotReplicated      a change is in effect, and too few replicas have it
    ├── BadRecord          a stored record cannot be read
    ├── Conflict           the resource was modified concurrently
    ├── CallInProgress     another call with the same Idempotency-Key runs
    ├── SubdomainTaken     in use, or in quarantine after a delete
    ├── NamesInUse         tenants use a provider or model of the platform
    ├── OutsideError       an external service gave no usable response
    │   └── TargetForbidden    its address must not be called
    ├── NotCalled          an external call that a dry run does not make
    ├── PoolFull           the queue of the plugin threads is full
    ├── CannotListen       a port cannot be opened
    ├── CannotTakeOver     the running proxy keeps its sockets
    ├── FolderUnusable     a folder in data_dir cannot be written
    ├── SettingsError      settings are invalid (shared.settings)
    ├── SecretFileError    a file with secrets cannot be used (shared.secrets)
    ├── CatalogueError     a plugin cannot be loaded (shared.plugins)
    └── Invalid            one or more fields of an input are wrong; carries `Problem`s
        └── Untranslatable     the other API cannot express a request (shared.translation)

A `Rejection` is what the client of the proxy gets; the table `ERRORS` fixes its status.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from shared.core.empty import EMPTY

#: The exit code of a program that cannot start with its configuration (sysexits.h).
EX_CONFIG = 78


class GatewayError(Exception):
    """The root: each message is a full sentence that names the cause and the fix."""


class StoreDown(GatewayError):
    """Redis did not reply, or not in time. `detail` is the text for callers: it has no addresses."""

    def __init__(
        self, message: str, detail: str = "The configuration store does not respond. Retry later."
    ) -> None:
        super().__init__(message)
        self.detail = detail


class StoreLost(StoreDown):
    """The store is empty, restored from an old copy, or that of another gateway."""

    def __init__(self, message: str) -> None:
        super().__init__(message, message)


class StoreUnsure(StoreDown):
    """A change was sent to Redis, and its reply was lost: the change was saved or not."""


class NotDurable(StoreDown):
    """A change is in effect, and Redis could not write it to its disk."""


class NotReplicated(StoreDown):
    """A change is in effect on the primary of Redis, and too few of its replicas have it."""


class BadRecord(GatewayError):
    """The stored record of one tenant cannot be read; no other tenant is affected."""


class Conflict(GatewayError):
    """The stored resource changed between the read and the write."""


class CallInProgress(GatewayError):
    """Another call with the same Idempotency-Key runs, or has replaced the claim of this one."""


class SubdomainTaken(GatewayError):
    """Another tenant has the subdomain, or had it until a short time ago."""


class NamesInUse(GatewayError):
    """A change of the platform takes providers or models from tenants that use them.

    `users` has the ids of the tenants by ``provider:<name>`` or ``model:<name>``.
    """

    def __init__(self, users: Mapping[str, Sequence[str]]) -> None:
        named = "; ".join(
            f"the {use.replace(':', ' ', 1)} is used by {', '.join(ids)}" for use, ids in users.items()
        )
        super().__init__(f"Tenants use what the change takes from them: {named}. Change these tenants first.")
        self.users = users


class OutsideError(GatewayError):
    """An external service gave no usable response."""


class TargetForbidden(OutsideError):
    """The gateway must not call this address."""


class NotCalled(GatewayError):
    """An external call that a dry run does not make. The message names the target."""


class PoolFull(GatewayError):
    """All threads are busy and the queue is full."""


class CannotListen(GatewayError):
    """No socket can listen at an address. `is_address` says that another port would not help."""

    def __init__(self, message: str, *, is_address: bool = False) -> None:
        super().__init__(message)
        self.is_address = is_address


class CannotTakeOver(GatewayError):
    """The running proxy keeps its sockets. The message says why."""


class FolderUnusable(GatewayError):
    """A folder in data_dir cannot be created or written, for example because its disk is full."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong field: where (RFC 6901 JSON pointer into the body), and what is allowed."""

    pointer: str
    detail: str


class Invalid(GatewayError):
    """An input that was rejected, with all its problems."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.pointer or '/'}: {p.detail}" for p in self.problems))


@dataclass(frozen=True, slots=True)
class Rejection:
    """A response that the gateway sends instead of forwarding the request.

    Attributes:
        status: the HTTP status.
        code: the error code, in most cases one of `ERRORS`.
        message: the sentence for the client.
        source: ``gateway`` or ``plugin:<name>``; sent as ``X-Gateway-Error-Source``.
        headers: more headers of the response.
        details: more members of the body, beside ``error`` (for example ``rate_limit``).
    """

    status: int
    code: str
    message: str
    source: str = "gateway"
    headers: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    details: Mapping[str, object] = field(default_factory=lambda: EMPTY)


#: Every error of the proxy: its status, and its text where nothing more precise is known.
ERRORS: Mapping[str, tuple[int, str]] = {
    "invalid_host": (400, "The Host header is missing or repeated, or is not a host of this gateway."),
    "bad_request": (400, "The request is not valid HTTP/1.1."),
    "missing_required_header": (400, "A required header is missing."),
    "invalid_json": (400, "The body is not valid JSON."),
    "missing_model": (400, "The request names no model."),
    "previous_response_not_found": (400, "The response that the request continues is not known here."),
    "untranslatable": (400, "The model is not available by this API, or not for this request."),
    "unsupported_by_model": (400, "The model lacks what this request needs."),
    "unpriced_model": (400, "The price of the model is not known, and its cost is limited."),
    "missing_api_key": (401, "The request needs an API key."),
    "invalid_api_key": (401, "The API key is not valid."),
    "api_key_expired": (401, "The API key has expired."),
    "api_key_revoked": (401, "The API key was revoked."),
    "tenant_disabled": (403, "This tenant is disabled."),
    "ip_blocked": (403, "Requests from this address are not allowed."),
    "forbidden": (403, "The API key does not allow this request."),
    "model_not_allowed": (403, "This model is not allowed here."),
    "shared_account": (
        403,
        "Tenants share the account of the provider, so requests cannot name things in it.",
    ),
    "no_matching_rule": (404, "No rule matches this path."),
    "api_not_supported": (404, "This rule does not serve this API."),
    "model_not_found": (404, "There is no such model here."),
    "response_not_found": (404, "There is no such response here."),
    "method_not_allowed": (405, "This method is not allowed here."),
    "request_timeout": (408, "The request arrived too slowly."),
    "body_too_large": (413, "The body exceeds the size limit."),
    "uri_too_long": (414, "The request target is too long."),
    "unsupported_content_type": (415, "This content type is not supported here."),
    "content_rejected": (422, "The content was rejected."),
    "validation_failed": (422, "The request failed validation."),
    "rate_limit_exceeded": (429, "The rate limit is exceeded. Retry later."),
    "quota_exceeded": (429, "The quota is exceeded."),
    "too_many_concurrent_requests": (429, "Too many requests are open at the same time. Retry later."),
    "headers_too_large": (431, "The request headers are too large."),
    "client_closed": (499, "The client closed the connection."),
    "not_implemented": (501, "This method is not supported."),
    "websocket_not_supported": (501, "WebSocket is not supported. Use HTTP requests; responses may stream."),
    "upstream_unreachable": (502, "The upstream cannot be reached."),
    "upstream_protocol_error": (502, "The upstream did not send a complete HTTP response."),
    "response_too_large": (502, "The response is larger than limits.response_body, so it was not checked."),
    "upstream_tls": (502, "TLS to the upstream failed, or its certificate could not be verified."),
    "translation_failed": (
        502,
        "The upstream's response is not one of its API, so it was not translated.",
    ),
    "target_forbidden": (502, "The target of this rule has an address that the gateway must not call."),
    "plugin_failure": (503, "The gateway failed to process the request, so the request was rejected."),
    "limits_unavailable": (503, "The limits of this request cannot be counted now. Retry the request."),
    "config_unavailable": (503, "The configuration cannot be read now. Retry the request."),
    "no_upstream": (503, "No upstream of this model can be called now. Retry later."),
    "no_provider_key": (503, "The provider has no key that can be used now."),
    "overloaded": (503, "The server is overloaded or shutting down. Retry the request."),
    "upstream_timeout": (504, "The upstream did not respond in time."),
    "loop_detected": (508, "The request has already passed through this gateway."),
}
#: The text for a body above a known limit, in bytes.
BODY_TOO_LONG = "The body is longer than {} bytes."
#: The text for a response above a known limit, in bytes.
RESPONSE_TOO_LONG = (
    "The response is larger than {} bytes, the most that the gateway reads to check a response. Raise "
    "limits.response_body, of the gateway or of the rule."
)
#: The text for an API key that is not active: its prefix and its status.
KEY_NOT_ACTIVE = "The API key {}… is {}. Use another key."
# A second try would end with the same error.
_FINAL = ("websocket_not_supported", "response_too_large", "translation_failed")
#: Codes that are only logged: no client is left to read them.
LOG_ONLY = ("client_closed",)
#: Every error that the proxy can send, and its status.
STATUS: Mapping[str, int] = {code: status for code, (status, _) in ERRORS.items() if code not in LOG_ONLY}


def make_rejection(
    code: str,
    message: str = "",
    headers: Mapping[str, str] = EMPTY,
    *,
    details: Mapping[str, object] = EMPTY,
) -> Rejection:
    """Make the gateway's own rejection, with the table's text unless `message` is more precise.

    A 503 tells when to retry: after one second, unless `headers` has another time. The SDKs of OpenAI and
    Anthropic send a request again after any other 5xx, too, unless `_FINAL` has its code.
    """
    status, text = ERRORS[code]
    if status == 503 and "Retry-After" not in headers:
        headers = {"Retry-After": "1", **headers}
    if code in _FINAL:
        headers = {"x-should-retry": "false", **headers}
    return Rejection(status, code, message or text, headers=headers, details=details)


def describe_error(error: BaseException) -> str:
    """Return the type and the text of an error that a plugin raised."""
    name = type(error).__name__
    try:
        return f"{name}: {error}"
    except BaseException:  # noqa: BLE001 -- the plugin's own __str__ can raise anything
        return name


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """The allowed word that is most similar; None when none is similar."""
    return next(iter(get_close_matches(word, list(allowed), 1)), None)


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """`` Did you mean …?`` for the end of an error; empty text when no allowed word is similar."""
    near = nearest(word, allowed)
    return f" Did you mean {near}?" if near else ""
