"""Request bodies and query strings, parsed and validated."""

from collections.abc import Mapping
from typing import Any, NoReturn

from flask import Request, g
from marshmallow import RAISE, Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from admin_app.http.errors import ApiError
from shared.bodies.json.parse import parse_json
from shared.core.errors import Invalid
from shared.core.problems import problems_of

#: A body must be smaller.
MAX_BODY_BYTES = 1024 * 1024


class BodyParser(FlaskParser):
    """webargs' parser with the gateway's JSON parser and errors."""

    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": RAISE}  # noqa: RUF012

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The body as plain values. Raises `ApiError` when it is not JSON."""
        body = req.get_data()
        if len(body) >= MAX_BODY_BYTES:  # werkzeug truncates a chunked body here without an error
            raise RequestEntityTooLarge
        try:
            g.body = parse_json(body)
        except ValueError as error:
            raise ApiError("invalid_json", str(error)) from None
        return g.body

    def handle_error(self, error: ValidationError, req: Request, schema: Schema, **kwargs: Any) -> NoReturn:
        """Raise marshmallow's errors as one `Invalid`."""
        # webargs nests the messages below the location ("json", "query").
        messages = error.messages
        inner = next(iter(messages.values())) if isinstance(messages, Mapping) else messages
        raise Invalid(problems_of(inner)) from None


def check_content_type(request: Request) -> None:
    """Raise UnsupportedMediaType unless the request declares plain JSON.

    A web page of another origin may send other types without a CORS preflight, but JSON only with one.
    """
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if request.mimetype != "application/json" or charset != "utf-8" or encoding != "identity":
        raise UnsupportedMediaType
