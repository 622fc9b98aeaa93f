"""The models of providers as JSON: declared and listed ones, with their prices and capabilities."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from marshmallow import Schema, fields, validate

from shared.core.fields import Strict, Timestamp
from shared.model.providers import Discovered
from shared.providers.resolve import KnownProvider
from shared.providers.shipped.model_table import ModelTable
from shared.usage.prices import UNITS, in_any_case

#: The most models of a provider that are shown.
MAX_SHOWN: Final = 200
PROVIDER, PLATFORM, SHIPPED = "provider", "platform", "shipped"


class KnownModelsQuery(Strict):
    """The models that are wanted."""

    text = fields.String(
        load_default="",
        validate=validate.Length(max=256),
        metadata={"description": "A part of the name or of an alias, in any case."},
    )


class KnownModelOutput(Schema):
    """A model of a provider."""

    model = fields.String(required=True, metadata={"description": "The name that the provider knows it by."})
    aliases = fields.List(fields.String(), required=True)
    declared = fields.Boolean(
        required=True, metadata={"description": "true: `models` of the provider has it."}
    )
    listed = fields.Boolean(required=True, metadata={"description": "true: the provider's own list has it."})
    prices = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "The prices in force, in USD as decimal text; {} if none are known."},
    )
    prices_from = fields.Dict(
        keys=fields.String(),
        values=fields.String(validate=validate.OneOf([PROVIDER, PLATFORM, SHIPPED])),
        required=True,
        metadata={"description": "Where each price is from: the provider's model, /prices, or the release."},
    )
    caps = fields.Dict(required=True, metadata={"description": "Its capabilities, as far as they are known."})


class RuleNameOutput(Schema):
    """A rule."""

    id = fields.String(required=True)
    path = fields.String(required=True)


class ProviderModelsOutput(Schema):
    """The models of one provider, and what uses the provider."""

    provider = fields.String(required=True)
    kind = fields.String(required=True)
    shared = fields.Boolean(
        required=True, metadata={"description": "true: the platform shares it with the tenant."}
    )
    enabled = fields.Boolean(required=True)
    apis = fields.List(fields.String(), required=True)
    checked_at = Timestamp(
        "When its own list of models was fetched. null: it was not.", required=True, allow_none=True
    )
    count = fields.Integer(required=True, metadata={"description": "The models that the query asks for."})
    models = fields.List(
        fields.Nested(KnownModelOutput),
        required=True,
        metadata={"description": f"The first {MAX_SHOWN} by name; declared ones come first."},
    )
    used_by_models = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "Models of the owner that have it as target."},
    )
    used_by_rules = fields.List(
        fields.Nested(RuleNameOutput),
        required=True,
        metadata={"description": "Rules for AI of the tenant that look for models there."},
    )
    used_by_tenants = fields.List(
        fields.String(),
        required=True,
        metadata={"description": "Ids of tenants that name it; for the platform."},
    )


class KnownModelsOutput(Schema):
    """The models of all providers that an owner may use."""

    prices_source = fields.String(
        required=True, metadata={"description": "The data that the shipped prices are from."}
    )
    prices_date = fields.String(
        required=True, metadata={"format": "date", "description": "The day of the shipped prices."}
    )
    providers = fields.List(fields.Nested(ProviderModelsOutput), required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """The prices of models on one day.

    Attributes:
        shipped: the table of the release.
        platform: prices of the platform by ``<kind>/<model>``.
        day: such as ``2026-12-01``.
    """

    shipped: ModelTable
    platform: Mapping[str, Mapping[str, str]]
    day: str

    def of(self, provider: KnownProvider, model: str) -> dict[str, tuple[str, str]]:
        """The price of each unit, with where it is from."""
        kind, declared = provider.provider.kind, provider.provider.models
        sources = {
            SHIPPED: self.shipped.prices(kind, model, day=self.day),
            PLATFORM: in_any_case(self.platform, f"{kind}/{model}"),
            PROVIDER: in_any_case({one.id: one.prices for one in declared}, model),
        }
        found: dict[str, tuple[str, str]] = {}
        for source, prices in sources.items():
            found |= {unit: (prices[unit], source) for unit in UNITS if prices and unit in prices}
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """The models, rules and tenants that name a provider."""

    models: list[str]
    rules: list[dict[str, str]]
    tenants: list[str]


def provider_models(
    provider: KnownProvider, listed: Discovered | None, prices: Prices, uses: Uses, *, shared: bool, text: str
) -> dict[str, Any]:
    """The members of one provider's models. `text` is a part of their names."""
    names = _names(provider, text.casefold())
    return {
        "provider": provider.name,
        "kind": provider.provider.kind,
        "shared": shared,
        "enabled": provider.provider.enabled,
        "apis": sorted(provider.endpoint.apis),
        "checked_at": listed and listed.checked_at,
        "count": len(names),
        "models": [_model(provider, name, prices) for name in islice(names, MAX_SHOWN)],
        "used_by_models": uses.models,
        "used_by_rules": uses.rules,
        "used_by_tenants": uses.tenants,
    }


def known_models_document(providers: Iterable[Mapping[str, Any]], table: ModelTable) -> dict[str, Any]:
    """The JSON of the models of providers."""
    document: dict[str, Any] = KnownModelsOutput().dump(
        {"prices_source": table.source, "prices_date": table.date, "providers": list(providers)}
    )
    return document


def _names(provider: KnownProvider, text: str) -> list[str]:
    """The provider's own names for its models, the declared ones first."""
    declared = {one.id: one for one in provider.provider.models}
    wanted = [
        one
        for one in {*declared, *provider.discovered}
        if text in one.casefold()
        or (one in declared and any(text in alias.casefold() for alias in declared[one].aliases))
    ]
    return sorted(wanted, key=lambda one: (one not in declared, one))


def _model(provider: KnownProvider, name: str, prices: Prices) -> dict[str, Any]:
    declared = next((one for one in provider.provider.models if one.id == name), None)
    known = prices.of(provider, name)
    return {
        "model": name,
        "aliases": list(declared.aliases) if declared else [],
        "declared": declared is not None,
        "listed": name in provider.discovered,
        "prices": {unit: price for unit, (price, _) in known.items()},
        "prices_from": {unit: source for unit, (_, source) in known.items()},
        "caps": {**prices.shipped.caps(provider.provider.kind, name), **(declared.caps if declared else {})},
    }
