"""Every error of the admin API becomes an answer here, and nowhere else (RFC 9457, problem+json)."""

import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from flask import Flask, Response, g, jsonify
from marshmallow import Schema, fields
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from shared.core.empty import EMPTY
from shared.core.errors import BadRecord, Conflict, GatewayError, Invalid, Problem, StoreDown, SubdomainTaken

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
_CHECK_IT = "Some fields of the input are wrong; see errors."
_HTTP: Mapping[int, tuple[str, str]] = {
    400: ("bad_request", "The request cannot be read."),
    404: ("not_found", "There is nothing at this address. /docs describes what there is."),
    405: ("method_not_allowed", "This address does not take that method; see the Allow header."),
    413: ("body_too_large", "The body must be smaller than 1 MiB."),
    415: ("unsupported_content_type", "The body must be JSON, sent with Content-Type: application/json."),
}


class ApiError(GatewayError):
    """An answer that is no success: its status, its code, and a sentence that is enough by itself."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        problems: Sequence[Problem] = (),
        headers: Mapping[str, str] = EMPTY,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.problems, self.headers = tuple(problems), headers


class FieldProblem(Schema):
    """One wrong field."""

    pointer = fields.String(required=True, metadata={"description": "JSON pointer into the input."})
    detail = fields.String(required=True, metadata={"description": "What is wrong, and what is allowed."})


class ProblemDocument(Schema):
    """What went wrong (RFC 9457)."""

    type = fields.String(required=True)
    title = fields.String(required=True)
    status = fields.Integer(required=True)
    detail = fields.String(required=True)
    code = fields.String(required=True, metadata={"description": "Stable; made for programs."})
    request_id = fields.String(required=True)
    errors = fields.List(fields.Nested(FieldProblem), required=True)
    error = fields.String(required=True, metadata={"description": "The detail again, for old clients."})


def not_found(what: str) -> ApiError:
    """404 for a thing that is not there, or belongs to somebody else: the two look the same."""
    return ApiError(404, "not_found", f"There is no such {what}.")


def too_many(wait: float) -> ApiError:
    """429 after too many failed logins. `wait` is in seconds."""
    return ApiError(
        429,
        "too_many_failed_logins",
        "Too many failed logins from this address. Try again in a minute.",
        headers={"Retry-After": str(max(1, math.ceil(wait)))},
    )


def register_errors(app: Flask) -> None:
    """Let `app` answer every exception with a problem document."""
    app.register_error_handler(ApiError, _refused)
    app.register_error_handler(Invalid, _invalid)
    app.register_error_handler(SubdomainTaken, _subdomain_taken)
    app.register_error_handler(Conflict, _conflict)
    app.register_error_handler(StoreDown, _store_down)
    app.register_error_handler(BadRecord, _bad_record)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _problem(error: ApiError) -> Response:
    response = jsonify(
        {
            "type": "about:blank",
            "title": HTTPStatus(error.status).phrase,
            "status": error.status,
            "detail": error.detail,
            "code": error.code,
            "request_id": g.request_id,
            "errors": [{"pointer": p.pointer, "detail": p.detail} for p in error.problems],
            "error": error.detail,
        }
    )
    response.status_code = error.status
    response.content_type = CONTENT_TYPE
    response.headers.extend(error.headers)
    return response


def _refused(error: ApiError) -> Response:
    return _problem(error)


def _invalid(error: Invalid) -> Response:
    one = error.problems[0] if len(error.problems) == 1 else None
    detail = f"{one.pointer or '/'}: {one.detail}" if one else _CHECK_IT
    return _problem(ApiError(422, "validation_failed", detail, error.problems))


def _subdomain_taken(error: SubdomainTaken) -> Response:
    problem = Problem("/subdomain", str(error))
    return _problem(ApiError(409, "subdomain_taken", str(error), [problem]))


def _conflict(error: Conflict) -> Response:
    return _problem(
        ApiError(409, "conflict", "Somebody else changed this at the same time. Read it again, then retry.")
    )


def _store_down(error: StoreDown) -> Response:
    logger.error("The store is down: %s", error)
    return _problem(
        ApiError(503, "store_down", "The store does not answer. Try again.", headers={"Retry-After": "1"})
    )


def _bad_record(error: BadRecord) -> Response:
    logger.error("%s", error)
    return _problem(
        ApiError(503, "bad_record", "What is stored about this tenant cannot be read. Ask the operator.")
    )


def _http(error: HTTPException) -> Response:
    status = error.code or 500
    code, detail = _HTTP.get(status, ("error", f"{HTTPStatus(status).phrase}."))
    allowed = error.valid_methods if isinstance(error, MethodNotAllowed) else None
    headers = {"Allow": ", ".join(sorted(allowed))} if allowed else EMPTY
    return _problem(ApiError(status, code, detail, headers=headers))


def _unexpected(error: Exception) -> Response:
    logger.error("Unexpected error in request %s", g.request_id, exc_info=error)
    return _problem(
        ApiError(500, "internal_error", "The gateway failed. Its log has the reason under this request id.")
    )
