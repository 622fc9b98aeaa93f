"""Documents as answers, with the entity tags that let callers see whether something changed."""

from collections.abc import Mapping
from typing import Any, cast

from flask import Response, jsonify, request

from admin_app.http.errors import ApiError
from shared.core.empty import EMPTY


def response(
    document: Mapping[str, Any],
    status: int = 200,
    extra: Mapping[str, Any] = EMPTY,
    location: str | None = None,
) -> Response:
    """`document` as JSON. `extra` is shown beside it this once and is no part of its entity tag."""
    response = jsonify({**document, **extra})
    response.status_code = status
    response.set_etag(_tag(document))
    if location:
        response.headers["Location"] = location
    return response


def no_content() -> Response:
    """204: done, and nothing to say about it."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def check_match(document: Mapping[str, Any]) -> None:
    """Raise 412 when the caller's ``If-Match`` says that it saw another state than `document`."""
    if "If-Match" in request.headers and not request.if_match.contains(_tag(document)):
        raise ApiError(412, "precondition_failed", "It has changed since it was read. Read it again.")


def _tag(document: Mapping[str, Any]) -> str:
    response = jsonify(document)
    response.add_etag()
    return cast(str, response.get_etag()[0])
