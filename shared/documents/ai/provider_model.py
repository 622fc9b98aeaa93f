"""The models that a provider is declared to have, as JSON: other names, capabilities, prices."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, post_load, validate

from shared.core.fields import validated
from shared.documents.ai.names import upstream_model
from shared.documents.fields import Input
from shared.model.providers import ProviderModel
from shared.usage.prices import UNITS, parse_price

type _Check = tuple[Callable[[Any], bool], str]

_FLAG: Final[_Check] = (lambda value: isinstance(value, bool), "true or false")
_TEXT: Final[_Check] = (lambda value: isinstance(value, str), "text")
_COUNT: Final[_Check] = (lambda value: type(value) is int and value > 0, "a whole number above 0")
_TEXTS: Final[_Check] = (
    lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    "a list of texts",
)
_AUTO: Final[_Check] = (
    lambda value: isinstance(value, bool) or value == "auto",
    'true, false or "auto"',
)
#: The capabilities of models, each with its test and its allowed values.
_CAPS: Final[Mapping[str, _Check]] = {
    "stream_usage": _AUTO,
    "sampling": _FLAG,
    "thinking": _TEXT,
    "efforts": _TEXTS,
    "structured": _FLAG,
    "prefill": _FLAG,
    "mid_system": _FLAG,
    "vision": _FLAG,
    "pdf": _FLAG,
    "tools": _FLAG,
    "context": _COUNT,
    "max_output": _COUNT,
    "max_tokens_field": _TEXT,
}


class Price(fields.String):
    """A price in USD as decimal text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        price = super()._deserialize(value, attr, data, **kwargs)
        validated(parse_price, price)
        return price


class Caps(fields.Field[Mapping[str, Any]]):
    """What a model can do, by name."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise ValidationError("Must be a map.")
        wrong = {name: [error] for name, one in value.items() if (error := _error(name, one))}
        if wrong:
            raise ValidationError(wrong)
        return dict(value)


def _error(name: str, value: Any) -> str | None:
    if name not in _CAPS:
        return f"Unknown capability. Allowed: {', '.join(_CAPS)}."
    is_right, words = _CAPS[name]
    return None if is_right(value) else f"Must be {words}."


def prices_input() -> fields.Dict:
    """A map of units and prices."""
    return fields.Dict(
        keys=fields.String(validate=validate.OneOf(UNITS)),
        values=Price(validate=validate.Length(max=32)),
        load_default=dict,
        metadata={
            "description": "USD as decimal text: per million tokens, or per piece (per_image, per_search, "
            "per_request). What is omitted comes from the shipped table."
        },
    )


class ProviderModelInput(Input):
    """A model that a provider has."""

    id = upstream_model("The name that the provider knows it by.", required=True)
    aliases = fields.List(
        upstream_model(""),
        load_default=list,
        validate=validate.Length(max=20),
        metadata={"description": "Other names that clients may use."},
    )
    caps = Caps(
        load_default=dict,
        metadata={
            "type": "object",
            "additionalProperties": {},
            "description": "What it can do; overrides the shipped table.",
        },
    )
    prices = prices_input()

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> ProviderModel:
        return ProviderModel(**{**data, "aliases": tuple(dict.fromkeys(data["aliases"]))})


class ProviderModelOutput(Schema):
    """A model that a provider has."""

    id = fields.String(required=True)
    aliases = fields.List(fields.String(), required=True)
    caps = fields.Dict(required=True)
    prices = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
