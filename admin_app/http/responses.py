"""JSON responses with an ETag, so that clients notice changes."""

from collections.abc import Mapping
from typing import Any, cast

from flask import Response, jsonify, request

from admin_app.http.errors import ApiError
from admin_app.http.forwarded import path_prefix
from shared.core.empty import EMPTY


def response(
    document: Mapping[str, Any],
    status: int = 200,
    extra: Mapping[str, Any] = EMPTY,
    location: str | None = None,
) -> Response:
    """`document` as JSON. `extra` is added to this response only and not covered by its ETag."""
    response = jsonify({**document, **extra})
    response.status_code = status
    if extra:
        response.set_etag(_etag(document))
    else:
        response.add_etag()
    if location:
        response.headers["Location"] = path_prefix() + location
    return response


def no_content() -> Response:
    """204 without a body."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def check_match(document: Mapping[str, Any]) -> None:
    """Raise 412 when `document` does not match ``If-Match``, or matches ``If-None-Match``."""
    etag = _etag(document)
    if "If-Match" in request.headers and not request.if_match.contains(etag):
        detail = "The resource was modified since it was read. Fetch it again and retry."
        raise ApiError("precondition_failed", detail)
    if request.if_none_match.contains_weak(etag):
        detail = "The resource is the one that If-None-Match excludes. Send the change without this header."
        raise ApiError("precondition_failed", detail)


def _etag(document: Mapping[str, Any]) -> str:
    response = jsonify(document)
    response.add_etag()
    return cast(str, response.get_etag()[0])
