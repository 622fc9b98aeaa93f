"""Which web pages may call, as JSON."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from shared.core.durations import DAY_SECONDS
from shared.core.fields import Duration, token
from shared.documents.fields import Input, Whole
from shared.http.cors import ANY, parse_origin
from shared.model.config import Cors

_MAX_SECONDS = DAY_SECONDS  # the longest time that a browser keeps a preflight


class Origin(fields.String):
    """An origin as browsers send it, or ``*``."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, attr, data, **kwargs)
        try:
            return parse_origin(text)
        except ValueError as error:
            raise ValidationError(str(error)) from None


class CorsInput(Input):
    """The web pages that may call from a browser (CORS). Cookies are never allowed."""

    origins = fields.List(
        Origin(validate=validate.Length(max=255)),
        required=True,
        validate=validate.Length(max=100),
        metadata={"description": f"Origins such as https://app.example.com, or {ANY}. []: no page."},
    )
    headers = fields.List(
        fields.String(validate=[validate.Length(max=128), token("a header name")]),
        load_default=list,
        validate=validate.Length(max=100),
        metadata={"description": "The request headers that a page may send. []: all."},
    )
    max_age = Duration(
        minimum=0,
        maximum=_MAX_SECONDS,
        load_default=600.0,
        description='How long a browser keeps the response to a preflight. Seconds, or text such as "10m".',
    )

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Cors:
        return Cors(tuple(dict.fromkeys(data["origins"])), tuple(data["headers"]), data["max_age"])


class CorsOutput(Schema):
    """The web pages that may call from a browser. `max_age` is in seconds."""

    origins = fields.List(fields.String(), required=True)
    headers = fields.List(fields.String(), required=True)
    max_age = fields.Float(required=True)


def cors_input(description: str) -> fields.Nested:
    """The field `cors` of a body."""
    return Whole(CorsInput, load_default=None, allow_none=True, metadata={"description": description})
