"""Fields that hide or keep secrets, and the base of lists."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields

from shared.model.config import Sealed

#: Shown in place of a secret. In a body it keeps the stored secret.
SET = {"set": True}


class Keep:
    """The type of `KEEP`."""


#: The value of a secret that was sent as ``{"set": true}``: the stored value stays.
KEEP = Keep()


class Secret(fields.Field[str | Keep]):
    """Text that is never shown, or ``{"set": true}`` to keep the stored value."""

    def __init__(self, value: fields.String, **kwargs: Any) -> None:
        self.value = value
        keep = {"type": "object", "properties": {"set": {"const": True}}, "required": ["set"]}
        kind = {"anyOf": [{"type": "string"}, {**keep, "additionalProperties": False}]}
        super().__init__(metadata=kind, **kwargs)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Mapping[str, bool]:
        return SET

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str | Keep:
        if is_set(value):
            return KEEP
        if not isinstance(value, str):
            raise ValidationError('Must be text, or {"set": true} to keep the stored value.')
        return self.value.deserialize(value, attr, data)


def is_set(value: Any) -> bool:
    """True for exactly ``{"set": true}``."""
    return isinstance(value, Mapping) and set(value) == {"set"} and value["set"] is True


class Shown(fields.Dict):
    """A map whose sealed values are shown as ``{"set": true}``, at any depth."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return masked(value)


def masked(value: Any) -> Any:
    """`value` with plain dicts and lists, and without its secrets."""
    if isinstance(value, Sealed):
        return SET
    if isinstance(value, Mapping):
        return {name: masked(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked(inner) for inner in value]
    return value


class Page(Schema):
    """The members that all lists share."""

    count = fields.Integer(required=True, metadata={"description": "Number of items on this page."})
    next_cursor = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "`cursor` of the next page; null on the last."},
    )
