"""The error responses of the admin API: every exception becomes problem details (RFC 9457) here only."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, jsonify, request
from marshmallow import Schema, fields
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from shared.core.empty import EMPTY
from shared.core.errors import (
    STATUS,
    BadRecord,
    CallInProgress,
    Conflict,
    GatewayError,
    Invalid,
    NamesInUse,
    NotDurable,
    NotReplicated,
    Problem,
    StoreDown,
    StoreLost,
    StoreUnsure,
    SubdomainTaken,
)
from shared.http.trace_context import read_context
from shared.model.messages import Headers

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
#: The errors that only the admin API sends: status, and meaning.
ADMIN_ERRORS: Mapping[str, tuple[int, str]] = {
    "host_not_allowed": (403, "Without a key, only localhost may be the Host. This stops DNS rebinding."),
    "foreign_page": (403, "A page of another site made the call, or the browser did not say which page did."),
    "not_found": (404, "The object does not exist, or belongs to another tenant."),
    "api_key_not_active": (409, "The API key is revoked or expired, so it cannot be rotated."),
    "conflict": (409, "Another call changed the object at the same time."),
    "in_use": (409, "Rules, models or tenants name the object. `detail` lists them."),
    "name_taken": (409, "Another object of the same owner has the name."),
    "rule_exists": (409, "A rule with the same path, match and methods exists."),
    "subdomain_taken": (409, "Another tenant has the subdomain, or had it a short time ago."),
    "in_progress": (409, "The first call with this Idempotency-Key is still running."),
    "precondition_failed": (
        412,
        "The object was changed since the ETag in If-Match, or If-None-Match excludes it.",
    ),
    "expectation_failed": (417, "Only 'Expect: 100-continue' is supported."),
    "idempotency_key_reused": (422, "The Idempotency-Key was used with another body in the last 24 hours."),
    "limit_reached": (422, "The tier of the tenant allows no more of these objects."),
    "too_many_changes": (429, "The keys of the tenant changed too much within a minute. Retry later."),
    "too_many_tests": (429, "Too many tests of addresses of tenants run at the same time. Retry later."),
    "too_many_failed_logins": (429, "Too many wrong keys came from this address."),
    "internal_error": (500, "A fault of the gateway. Its log has the cause under the request ID."),
    "bad_record": (503, "The stored data of this tenant cannot be read."),
    "not_durable": (503, "The change is in effect, but Redis could not write it to its disk."),
    "not_replicated": (
        503,
        "The change is in effect, but too few replicas of Redis have it, so a failover may lose it.",
    ),
    "store_down": (503, "Redis does not respond, or rejects commands. `detail` has the cause."),
    "store_lost": (503, "Redis lacks the data that were served last. See docs/how-to/backup.md."),
    "store_unsure": (503, "Redis did not respond to a change, so it was saved or not."),
}
_STATUS: Mapping[str, int] = {**STATUS, **{code: status for code, (status, _) in ADMIN_ERRORS.items()}}
#: The code and text of werkzeug's errors, by their status.
_HTTP_ERRORS: Mapping[int, tuple[str, str]] = {
    400: ("bad_request", "The request is malformed. Check its syntax."),
    404: ("not_found", "No resource has this path. See /docs for all paths."),
    405: ("method_not_allowed", "This path does not support the method. See the Allow header."),
    413: (
        "body_too_large",
        "The body must be smaller than 1 MiB. Files may have 4 MiB, or admin.max_plan_body by the platform.",
    ),
    415: ("unsupported_content_type", "The body must be JSON. Send it with Content-Type: application/json."),
}
#: The codes of special troubles of the store. A caller must not simply repeat the call.
_STORE_CODES: Mapping[type[StoreDown], str] = {
    StoreLost: "store_lost",
    StoreUnsure: "store_unsure",
    NotDurable: "not_durable",
    NotReplicated: "not_replicated",
}

_REQUEST_ID = "5f6a1d2c9b3e4f708192a3b4c5d6e7f8"
#: A typical error of each status, for the OpenAPI document.
_EXAMPLES: Mapping[int, tuple[str, str]] = {
    **_HTTP_ERRORS,
    400: ("invalid_json", "The body is not valid JSON: expected a value at line 1, column 1."),
    401: ("invalid_api_key", "The API key is invalid. Check the key."),
    403: ("forbidden", "This operation requires the platform key."),
    404: ("not_found", "The tenant does not exist."),
    409: ("conflict", "The resource was modified concurrently. Fetch it again and retry."),
    412: ("precondition_failed", "The resource was modified since it was read. Fetch it again and retry."),
    422: ("validation_failed", "/path: Must begin with a slash."),
    429: ("too_many_failed_logins", "Too many failed logins from this address. Retry in 60 seconds."),
    503: ("store_down", StoreDown("").detail),
}


class ApiError(GatewayError):
    """An error response: its code, and a self-contained sentence. `status` is that of the code."""

    def __init__(
        self,
        code: str,
        detail: str,
        problems: Sequence[Problem] = (),
        headers: Mapping[str, str] = EMPTY,
        status: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status or _STATUS[code], code, detail
        self.problems, self.headers = tuple(problems), headers


class FieldProblem(Schema):
    """One invalid field."""

    pointer = fields.String(required=True, metadata={"description": "JSON pointer to the field (RFC 6901)."})
    detail = fields.String(required=True, metadata={"description": "The problem, and the allowed values."})


class ProblemDocument(Schema):
    """Problem details (RFC 9457)."""

    type = fields.String(required=True)
    title = fields.String(required=True, metadata={"description": "The reason phrase of the status."})
    status = fields.Integer(required=True)
    detail = fields.String(required=True, metadata={"description": "The problem, and how to solve it."})
    code = fields.String(required=True, metadata={"description": "Stable name of the problem, for programs."})
    request_id = fields.String(
        required=True, metadata={"description": "The X-Request-ID, which the log has too."}
    )
    trace_id = fields.String(metadata={"description": "The trace of the caller's valid traceparent."})
    errors = fields.List(
        fields.Nested(FieldProblem), required=True, metadata={"description": "The invalid fields."}
    )
    error = fields.String(required=True, metadata={"description": "Copy of `detail`, for old clients."})


def not_found(kind: str) -> ApiError:
    """404 for a resource that does not exist or belongs to another tenant: the two look the same."""
    return ApiError("not_found", f"The {kind} does not exist.")


def subdomain_taken(error: SubdomainTaken) -> ApiError:
    """409 for a subdomain that another tenant has, or had a short time ago."""
    return ApiError("subdomain_taken", str(error), [Problem("/subdomain", str(error))])


def too_many_failed_logins(retry_after: float) -> ApiError:
    """429 after too many failed logins. `retry_after` is in seconds."""
    seconds = str(max(1, math.ceil(retry_after)))
    detail = f"Too many failed logins from this address. Retry in {seconds} seconds."
    return ApiError("too_many_failed_logins", detail, headers={"Retry-After": seconds})


def raise_problems(*layers: Iterable[Problem], rejections: Iterable[ApiError | None] = ()) -> None:
    """Raise `Invalid` with the problems of all layers, if there are any.

    A layer says nothing new about a field in which an earlier one found a problem. `rejections` are errors
    with a status of their own: without other problems, the first one is raised as it is.
    """
    found = [rejection for rejection in rejections if rejection is not None]
    problems: list[Problem] = []
    for layer in layers:
        known = {problem.pointer for problem in problems}
        problems += [problem for problem in layer if problem.pointer not in known]
    if not problems and found:
        raise found[0]
    for rejection in found:
        known = {problem.pointer for problem in problems}
        problems += [problem for problem in rejection.problems if problem.pointer not in known]
    if problems:
        raise Invalid(problems)


def problem_documents(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """Problems or warnings as JSON."""
    return [{"pointer": problem.pointer, "detail": problem.detail} for problem in problems]


def register_errors(app: Flask) -> None:
    """Make `app` respond to every exception with a problem document."""
    app.register_error_handler(Exception, lambda error: _response(_api_error(error)))


def _api_error(error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case Invalid():
            return _invalid(error.problems)
        case SubdomainTaken() | NamesInUse() | CallInProgress() | Conflict():
            return _conflict(error)
        case StoreLost() | StoreUnsure() | NotDurable() | NotReplicated():
            logger.error("%s", error)
            return ApiError(_STORE_CODES[type(error)], error.detail)
        case StoreDown():
            logger.error("The store is down: %s", error)
            return ApiError("store_down", error.detail, headers={"Retry-After": "1"})
        case BadRecord():
            logger.error("%s", error)
            detail = "The stored tenant cannot be read. Contact the gateway's operator."
            return ApiError("bad_record", detail)
        case HTTPException():
            return _http_error(error)
    logger.error("Unexpected error in request %s", g.request_id, exc_info=error)
    detail = "Internal error. Contact the gateway's operator and name the request ID."
    return ApiError("internal_error", detail)


def _conflict(error: SubdomainTaken | NamesInUse | CallInProgress | Conflict) -> ApiError:
    match error:
        case SubdomainTaken():
            return subdomain_taken(error)
        case NamesInUse():
            return ApiError("in_use", str(error))
        case CallInProgress():
            return ApiError("in_progress", str(error), headers={"Retry-After": "1"})
    detail = "The resource was modified concurrently. Fetch it again and retry."
    return ApiError("conflict", detail)


def _invalid(problems: Sequence[Problem]) -> ApiError:
    detail = "Several fields are invalid. See errors."
    if len(problems) == 1:
        detail = f"{problems[0].pointer or '/'}: {problems[0].detail}"
    return ApiError("validation_failed", detail, problems)


def _http_error(error: HTTPException) -> ApiError:
    status = error.code or 500
    code, detail = _HTTP_ERRORS.get(status, ("error", f"{HTTPStatus(status).phrase}."))
    allowed = error.valid_methods if isinstance(error, MethodNotAllowed) else None
    headers = {"Allow": ", ".join(sorted(allowed))} if allowed else EMPTY
    return ApiError(code, detail, headers=headers, status=status)


def problem_document(error: ApiError, request_id: str) -> dict[str, Any]:
    """The problem details of `error`."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
        "errors": problem_documents(error.problems),
        "error": error.detail,
    }


def example(status: HTTPStatus) -> dict[str, Any]:
    """A problem document for the OpenAPI document."""
    code, detail = _EXAMPLES.get(status, ("error", f"{status.phrase}."))
    problems = [Problem("/path", "Must begin with a slash.")] if status == 422 else ()
    return problem_document(ApiError(code, detail, problems, status=status), _REQUEST_ID)


def _response(error: ApiError) -> Response:
    document = problem_document(error, g.request_id)
    if (trace := read_context(Headers(request.headers))) is not None:
        document["trace_id"] = trace.trace_id
    response = jsonify(document)
    response.status_code = error.status
    response.content_type = CONTENT_TYPE
    response.headers.extend(error.headers)
    return response
