"""The tenants that may use a provider or a model of the platform, as JSON."""

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields, validate

from shared.core.fields import text
from shared.documents.fields import Input
from shared.model.providers import Shared

_ALL, _NONE = "all", "none"
_FORMS = 'Must be "all", "none", or {"tenants": [...], "tiers": [...]}.'


class SomeTenants(Input):
    """Some tenants."""

    tenants = fields.List(
        text(64, "The id of a tenant."), load_default=list, validate=validate.Length(max=10_000)
    )
    tiers = fields.List(
        text(100, "The name of a tier."), load_default=list, validate=validate.Length(max=100)
    )


class SharedField(fields.Field[Shared]):
    """``all``, ``none``, or some tenants and tiers."""

    def __init__(self, **kwargs: Any) -> None:
        lists = {"type": "array", "items": {"type": "string"}}
        some = {"type": "object", "properties": {"tenants": lists, "tiers": lists}}
        kinds = [{"type": "string", "enum": [_ALL, _NONE]}, {**some, "additionalProperties": False}]
        described = 'The tenants that may use it: "all", "none", or lists of tenants and tiers.'
        super().__init__(metadata={"anyOf": kinds, "description": described}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Shared:
        if value in (_ALL, _NONE):
            return Shared(all=value == _ALL)
        if not isinstance(value, Mapping):
            raise ValidationError(_FORMS)
        some = SomeTenants().load(value)
        return Shared(
            tenants=tuple(dict.fromkeys(some["tenants"])), tiers=tuple(dict.fromkeys(some["tiers"]))
        )

    def _serialize(self, value: Shared | None, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        if value is None or value == Shared():
            return _NONE
        return _ALL if value.all else {"tenants": list(value.tenants), "tiers": list(value.tiers)}
