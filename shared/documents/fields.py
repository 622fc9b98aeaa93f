"""Fields of documents that hide or keep secrets."""

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError, fields

from shared.model.config import Sealed

#: What a reader sees in the place of a secret, and what a writer sends to keep the stored one.
SET = {"set": True}


class Keep:
    """Stands for a secret that was sent as ``{"set": true}``: the stored value stays."""


KEEP = Keep()


class Secret(fields.Field[str | Keep]):
    """A text that is never read back, or ``{"set": true}`` to keep the one that is stored."""

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
            raise ValidationError('Must be a text, or {"set": true} to keep the stored value.')
        return self.value.deserialize(value, attr, data)


def is_set(value: Any) -> bool:
    """True for exactly ``{"set": true}``."""
    return isinstance(value, Mapping) and set(value) == {"set"} and value["set"] is True


class Shown(fields.Dict):
    """A map whose sealed values are shown as ``{"set": true}``, at any depth."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return masked(value)


def masked(value: Any) -> Any:
    """`value` as a reader may see it, with plain dicts and lists."""
    if isinstance(value, Sealed):
        return SET
    if isinstance(value, Mapping):
        return {name: masked(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked(inner) for inner in value]
    return value
