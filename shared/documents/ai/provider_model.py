"""The models that a provider is declared to have, as JSON: other names, capabilities, prices."""

from collections.abc import Mapping
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, post_load, validate

from shared.core.fields import validated
from shared.documents.ai.names import upstream_model
from shared.documents.fields import Input, warnings_field
from shared.model.providers import ProviderModel
from shared.providers.shipped.caps import error_in_cap
from shared.providers.shipped.presets import preset_of
from shared.usage.prices import UNITS, parse_price

#: Models for which the platform has prices.
MAX_PRICED: Final = 2_000


class Price(fields.String):
    """A price in USD as decimal text."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        price = super()._deserialize(value, attr, data, **kwargs)
        validated(parse_price, price)
        return price


class Caps(fields.Field[Mapping[str, Any]]):
    """The capabilities of a model, by name."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise ValidationError("Must be a map.")
        wrong = {name: [error] for name, one in value.items() if (error := error_in_cap(name, one))}
        if wrong:
            raise ValidationError(wrong)
        return dict(value)


def prices_input() -> fields.Dict:
    """A map of units and prices."""
    return fields.Dict(
        keys=fields.String(validate=validate.OneOf(UNITS)),
        values=Price(validate=validate.Length(max=32)),
        load_default=dict,
        metadata={
            "description": "USD as decimal text: per million tokens or characters, or per piece (per_image, "
            "per_search, per_request, per_hour of sound). Omitted ones come from the shipped table."
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
            "description": "Its capabilities; override the shipped table.",
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


def _priced_name(name: str) -> None:
    kind, _, model = name.partition("/")
    validated(preset_of, kind)
    if not 1 <= len(model) <= 256 or not model.isprintable():
        raise ValidationError("Must be a kind of providers, a slash, and a model: openai/gpt-5.6.")


def _platform_prices(*, may_be_null: bool = False, **options: Any) -> fields.Dict:
    units = prices_input()
    units.allow_none = may_be_null
    return fields.Dict(
        keys=fields.String(validate=_priced_name),
        values=units,
        validate=validate.Length(max=MAX_PRICED),
        metadata={"description": "By the kind of the provider and the model, such as openai/gpt-5.6."},
        **options,
    )


class PlatformPrices(Input):
    """The platform's prices of models."""

    prices = _platform_prices(required=True)


class PlatformPricesPatch(Input):
    """The platform's prices of some models. null removes those of a model."""

    prices = _platform_prices(may_be_null=True, load_default=dict)


class PlatformPricesOutput(Schema):
    """The stored prices of the platform."""

    prices = fields.Dict(
        keys=fields.String(),
        values=fields.Dict(keys=fields.String(), values=fields.String()),
        required=True,
        metadata={"description": "By the kind of the provider and the model, such as openai/gpt-5.6."},
    )


class PlatformPricesChanged(PlatformPricesOutput):
    """The changed prices, and warnings about them."""

    warnings = warnings_field()
