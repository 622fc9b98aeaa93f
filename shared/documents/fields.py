"""The bases of bodies and lists, and fields that hide or keep secrets."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, missing, post_load, validate

from shared.core.fields import Pattern, Strict
from shared.model.sealed import Sealed

#: Shown in place of a secret. In a body it keeps the stored secret.
SET = {"set": True}


class Input(Strict):
    """The base of bodies: null stands for the default of a field, as if a whole body omitted it."""

    def on_bind_field(self, field_name: str, field_obj: Any) -> None:
        if not field_obj.required and field_name not in READ_ONLY:
            field_obj.allow_none = True

    @post_load
    def _apply_defaults(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        for name in [name for name, value in data.items() if value is None]:
            default = self.fields[name].load_default
            if default is missing:
                del data[name]
            else:
                data[name] = default() if callable(default) else default
        return data


def slug(**kwargs: Any) -> fields.String:
    """A name of lower-case letters, digits and a few signs."""
    error = "Must be 1 to 63 of a-z, 0-9, '.', '_' and '-', and begin with a letter or digit."
    return fields.String(validate=Pattern(r"^[a-z0-9][a-z0-9._-]{0,62}$", error), **kwargs)


class Tags(fields.List[Any]):
    """The field `tags` of a body."""

    def __init__(self) -> None:
        error = "Must be 1 to 63 of A-Z, a-z, 0-9 and . _ : / -, and begin with a letter or digit."
        super().__init__(
            fields.String(validate=Pattern(r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,62}$", error)),
            load_default=tuple,
            validate=validate.Length(max=32),
            metadata={"description": "Words to select it by."},
        )

    def _deserialize(self, *args: Any, **kwargs: Any) -> Any:
        return tuple(dict.fromkeys(super()._deserialize(*args, **kwargs)))


def tags_output() -> fields.List[Any]:
    """The field `tags` of a response."""
    return fields.List(fields.String(), required=True)


def nullable(description: str = "") -> dict[str, Any]:
    """The options of a field that is always there, and may be null."""
    described = {"description": description} if description else {}
    return {"required": True, "allow_none": True, "metadata": described}


def amount(**options: Any) -> fields.Raw:
    """A number of the unit of a limit; money as decimal text."""
    described = {"type": ["integer", "string"], "description": "Of the unit; USD as decimal text."}
    return fields.Raw(**{"required": True, **options, "metadata": described})


class Whole(fields.Nested):
    """A nested document that a PATCH replaces as a whole: required fields and defaults hold."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, partial: Any = None, **kwargs: Any
    ) -> Any:
        return super()._deserialize(value, attr, data, **kwargs)


#: Members of a resource that only the gateway writes.
READ_ONLY = ("id", "created_at", "updated_at", "version")


def read_only(kind: str = "string", **metadata: str) -> fields.Raw:
    """A member of `READ_ONLY` in the body of a change, so that what was read can be sent back."""
    text = "Set by the gateway. If sent, it must equal the stored value."
    return fields.Raw(metadata={"type": kind, "readOnly": True, "description": text, **metadata})


class Keep:
    """The type of `KEEP`."""


#: The value of a secret that was sent as ``{"set": true}``: the stored value stays.
KEEP = Keep()


class Secret(fields.Field[str | Keep]):
    """Text that is never shown, or ``{"set": true}`` to keep the stored value."""

    def __init__(self, value: fields.String, max_length: int = 0, **kwargs: Any) -> None:
        self.value = value
        keep = {"type": "object", "properties": {"set": {"const": True}}, "required": ["set"]}
        text: dict[str, Any] = {"type": "string"}
        if max_length:
            value.validators.append(validate.Length(max=max_length))
            text["maxLength"] = max_length
        kind = {"anyOf": [text, {**keep, "additionalProperties": False}]}
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


class ChangeWarning(Schema):
    """A part of the change that may not work as intended."""

    pointer = fields.String(required=True, metadata={"description": "JSON pointer to the field (RFC 6901)."})
    detail = fields.String(required=True, metadata={"description": "The consequence, and how to avoid it."})


def warnings_field(description: str = "Settings that may not work as intended.") -> fields.List[Any]:
    """The field `warnings` of a response to a change."""
    return fields.List(fields.Nested(ChangeWarning), required=True, metadata={"description": description})


class Page(Schema):
    """The members that all lists share."""

    count = fields.Integer(required=True, metadata={"description": "Number of items on this page."})
    next_cursor = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "`cursor` of the next page; null on the last."},
    )
