"""The settings of quotas: requests, tokens or money per window, or concurrent requests."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from shared.core.durations import format_duration, parse_duration
from shared.core.fields import Strict, validated
from shared.limits.values import CONCURRENT, Quota
from shared.model.amounts import parse_usd
from shared.model.budgets import INPUT_TOKENS, OUTPUT_TOKENS, REQUESTS, TOKENS, USD

#: The largest limit of requests, and the largest cost of one request.
MAX_LIMIT = 1_000_000_000
#: The largest limit of tokens. Exact in the doubles of Lua, as is the largest sum of money.
MAX_TOKENS = 1_000_000_000_000
#: The units that a limit per window counts.
UNITS = (REQUESTS, TOKENS, INPUT_TOKENS, OUTPUT_TOKENS, USD)
#: Windows in milliseconds. In a shorter window the jitter of the network decides, not the limit.
MIN_WINDOW_MS, MAX_WINDOW_MS = 100, 52 * 604_800_000
#: Quotas of one dimension. Every request is charged to each of them.
MAX_QUOTAS = 8
#: Milliseconds after which the slot of an exchange is free when its worker has died.
LEASE_MS = 30_000

_AT_A_TIME = ("ip", "key", "method", "path", "model")


class Window(fields.Field[int]):
    """A duration, kept in milliseconds."""

    form = ("duration", "seconds")

    def __init__(self, minimum: int, description: str, **kwargs: Any) -> None:
        self.minimum = minimum
        metadata = {"description": description, "type": ["string", "number"], "example": "1m"}
        super().__init__(metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        milliseconds = validated(parse_duration, value)
        if not self.minimum <= milliseconds <= MAX_WINDOW_MS:
            bounds = f"{format_duration(self.minimum)} to {format_duration(MAX_WINDOW_MS)}"
            raise ValidationError(f"Must be from {bounds}.")
        return milliseconds


def limit_field(**kwargs: Any) -> fields.Integer:
    """The field `limit` of concurrent requests."""
    return fields.Integer(strict=True, validate=validate.Range(0, MAX_LIMIT), **kwargs)


class QuotaLimit(fields.Field[int | str]):
    """The field `limit` of a window: a number, or USD as decimal text. `amount_in` completes the check."""

    form = ("amount",)

    def __init__(self, description: str, **kwargs: Any) -> None:
        metadata = {"description": description, "type": ["integer", "string"], "example": 100}
        super().__init__(metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int | str:
        if isinstance(value, str):
            validated(parse_usd, value)
            return value
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValidationError('Must be a whole number, or USD as text, such as "2.50".')
        if value < 0:
            raise ValidationError("Must be at least 0.")
        return value


def amount_in(unit: str, limit: int | str) -> int:
    """A limit as it is counted: money in nano-USD. Raises ValidationError."""
    if unit == USD:
        return validated(parse_usd, str(limit))
    if isinstance(limit, str):
        raise ValidationError("Must be a whole number. Only a limit with the unit usd may be text.")
    most = MAX_LIMIT if unit == REQUESTS else MAX_TOKENS
    if limit > most:
        raise ValidationError(f"Must be at most {most}.")
    return limit


def window_field(**kwargs: Any) -> Window:
    """The field `window`."""
    return Window(MIN_WINDOW_MS, "Length of the window: 500ms, 10s, 1h30m, 1d, or seconds.", **kwargs)


def unit_field(description: str) -> fields.String:
    """The field `unit` of a window."""
    return fields.String(
        load_default=REQUESTS,
        validate=validate.OneOf(UNITS, error=f"Must be one of {', '.join(UNITS)}."),
        metadata={"description": description},
    )


class QuotaSchema(Strict):
    """Requests, tokens or money per window. Loads to the arguments of a `LimitSpec`."""

    limit = QuotaLimit("How many of the unit; USD as text, such as 2.50. 0 blocks.", required=True)
    window = window_field(required=True)
    unit = unit_field("The unit that is counted. Only rules for AI have tokens and money.")

    @validates_schema
    def _fits_its_unit(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        try:
            amount_in(data["unit"], data["limit"])
        except ValidationError as error:
            raise ValidationError(error.messages, "limit") from None

    @post_load
    def _make(self, data: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        limit = amount_in(data["unit"], data.pop("limit"))
        return {"quota": Quota(limit, data.pop("window")), **data}


class HeaderQuotaSchema(QuotaSchema):
    """Requests, tokens or money per window, for each value of a header."""

    on_missing = fields.String(
        load_default="shared",
        validate=validate.OneOf(["shared", "skip", "deny"]),
        metadata={
            "description": "Requests without the header: shared counts them together, skip does not count "
            "them, deny returns 400."
        },
    )


class ConcurrencySchema(Strict):
    """Concurrent requests, from admission to the last byte of the response. Loads as `QuotaSchema`."""

    limit = limit_field(required=True, metadata={"description": "How many concurrent requests. 0 blocks."})
    unit = fields.String(
        load_default=CONCURRENT,
        validate=validate.OneOf([CONCURRENT], error=f"Must be {CONCURRENT} here."),
        metadata={"description": f"The kind: {CONCURRENT}."},
    )
    per = fields.List(
        fields.String(validate=validate.OneOf(_AT_A_TIME)),
        load_default=list,
        metadata={"description": "Separate counters per ip, key, method, path or model. []: one counter."},
    )

    @post_load
    def _make(self, data: Mapping[str, Any], **kwargs: Any) -> dict[str, Any]:
        by = tuple(one for one in _AT_A_TIME if one in data["per"])
        return {"quota": Quota(data["limit"], LEASE_MS), "by": by, "kind": CONCURRENT, "unit": CONCURRENT}


class OneOrMore(fields.Field[tuple[dict[str, Any], ...]]):
    """One quota of the schema `kind`, or a list of quotas that all hold."""

    def __init__(self, kind: type[Schema], description: str, **kwargs: Any) -> None:
        self.kind = kind
        one = _described(kind)
        several = {"type": "array", "items": one, "minItems": 1, "maxItems": MAX_QUOTAS}
        super().__init__(metadata={"description": description, "anyOf": [one, several]}, **kwargs)

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, **kwargs: Any
    ) -> tuple[dict[str, Any], ...]:
        if not isinstance(value, list):
            return (self.kind().load(value),)
        if not 1 <= len(value) <= MAX_QUOTAS:
            raise ValidationError(f"Must be a quota, or a list of 1 to {MAX_QUOTAS} quotas.")
        return tuple(self.kind(many=True).load(value))


#: The JSON Schema of each field of the schemas above.
_PROPERTIES: Mapping[str, Mapping[str, Any]] = {
    "limit": {"type": "integer", "minimum": 0, "maximum": MAX_LIMIT},
    "amount": {"type": ["integer", "string"], "format": "amount"},
    "unit": {"type": "string", "enum": list(UNITS), "default": REQUESTS},
    "window": dict(zip(("format", "unit"), Window.form, strict=True), type=["string", "number"]),
    "on_missing": {"type": "string", "enum": ["shared", "skip", "deny"]},
    "per": {"type": "array", "items": {"type": "string", "enum": list(_AT_A_TIME)}},
}


def _described(kind: type[Schema]) -> dict[str, Any]:
    """A schema as JSON Schema: apispec cannot describe a field that is a schema or a list of it."""
    described = {}
    for name, field in kind().fields.items():
        known = _PROPERTIES["amount" if isinstance(field, QuotaLimit) else name]
        if name == "unit" and kind is ConcurrencySchema:
            known = {"type": "string", "enum": [CONCURRENT]}
        described[name] = {**known, "description": field.metadata["description"]}
    required = [name for name, field in kind().fields.items() if field.required]
    return {"type": "object", "properties": described, "required": required, "additionalProperties": False}
