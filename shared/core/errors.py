"""Every error that the gateway raises or answers.

    GatewayError
    ├── StoreDown          Redis did not answer
    ├── BadRecord          a stored record cannot be read
    ├── Conflict           somebody else wrote first
    ├── SubdomainTaken     in use, or in quarantine after a delete
    ├── OutsideError       a service that a tenant named did not answer as it should
    │   └── TargetForbidden    its address must not be called
    ├── NotCalled          a call to the outside that a dry run does not make
    ├── PoolFull           no room in the queue of the plugins' threads
    ├── CannotListen       a port cannot be opened
    └── Invalid            one or more fields of an input are wrong; carries `Problem`s

What a client of the proxy is told is a `Rejection`; the table below fixes its status and its type.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.core.empty import EMPTY


class GatewayError(Exception):
    """The root: each message is a full sentence that names the culprit and the way out."""


class StoreDown(GatewayError):
    """Redis did not answer, or not in time."""


class BadRecord(GatewayError):
    """What is stored about one tenant cannot be read; nobody else is touched by it."""


class Conflict(GatewayError):
    """The stored thing changed between the read and the write."""


class SubdomainTaken(GatewayError):
    """Another tenant has the subdomain, or had it until a short time ago."""


class OutsideError(GatewayError):
    """A service outside gave no usable answer."""


class TargetForbidden(OutsideError):
    """An address that the gateway must not call."""


class NotCalled(GatewayError):
    """A call to a service outside that a dry run does not make. Its text names what would be called."""


class PoolFull(GatewayError):
    """All threads are busy and the queue is at its limit."""


class CannotListen(GatewayError):
    """A port cannot be opened, mostly because somebody else has it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong field: where (RFC 6901 JSON pointer into the body), and what is allowed."""

    pointer: str
    detail: str


class Invalid(GatewayError):
    """Input that was refused, with all its problems at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.pointer or '/'}: {p.detail}" for p in self.problems))


@dataclass(frozen=True, slots=True)
class Rejection:
    """An answer that the gateway gives instead of forwarding: what the client is told, and who says so.

    `source` is ``gateway`` or ``plugin:<name>`` and goes out as ``X-Gateway-Error-Source``.
    `details` are further members of the error body beside ``error`` (for example ``rate_limit``).
    """

    status: int
    code: str
    message: str
    source: str = "gateway"
    headers: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    details: Mapping[str, object] = field(default_factory=lambda: EMPTY)


#: code -> status, for every error that the proxy itself can answer.
STATUS: Mapping[str, int] = {
    "invalid_host": 400,
    "bad_request": 400,
    "missing_required_header": 400,
    "invalid_json": 400,
    "missing_api_key": 401,
    "invalid_api_key": 401,
    "api_key_expired": 401,
    "api_key_revoked": 401,
    "tenant_disabled": 403,
    "ip_blocked": 403,
    "forbidden": 403,
    "no_matching_rule": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "body_too_large": 413,
    "uri_too_long": 414,
    "unsupported_content_type": 415,
    "content_rejected": 422,
    "validation_failed": 422,
    "rate_limit_exceeded": 429,
    "quota_exceeded": 429,
    "too_many_concurrent_requests": 429,
    "headers_too_large": 431,
    "not_implemented": 501,
    "upstream_unreachable": 502,
    "upstream_protocol_error": 502,
    "upstream_tls": 502,
    "target_forbidden": 502,
    "plugin_failure": 503,
    "config_unavailable": 503,
    "overloaded": 503,
    "upstream_timeout": 504,
    "loop_detected": 508,
}


def make_rejection(code: str, message: str, headers: Mapping[str, str] = EMPTY) -> Rejection:
    """The gateway's own refusal, with the status that the table gives to `code`.

    A 503 says when to come back: one second, unless `headers` knows better.
    """
    status = STATUS[code]
    if status == 503 and "Retry-After" not in headers:
        headers = {"Retry-After": "1", **headers}
    return Rejection(status, code, message, headers=headers)


def describe_error(error: BaseException) -> str:
    """The kind and the text of an error that a plugin raised. Its text can raise, too."""
    name = type(error).__name__
    try:
        return f"{name}: {error}"
    except BaseException:  # noqa: BLE001 -- whatever it is, the kind is left to be told
        return name
