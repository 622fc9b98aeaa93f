"""Declares a setting once: its parser, default and help text."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from marshmallow import Schema, ValidationError, fields, post_load, pre_load

from shared.core.fields import validated
from shared.settings.values import Reader, suggest

#: How the error of a key begins that no setting has.
UNKNOWN = "unknown key"

# The accepted types of a setting, by the type of its default. Text may be ${NAME}, a size or a duration;
# where it may be one of several, a list is allowed, too.
_TYPES: Mapping[type, Sequence[str]] = {
    bool: ("boolean", "string"),
    int: ("number", "string"),
    float: ("number", "string"),
    str: ("string", "number", "array"),
    list: ("array", "string"),
    dict: ("object",),
}


class _Value(fields.Field[Any]):
    """A parser of `shared.settings.values` as a marshmallow field."""

    def __init__(self, read: Reader, default: Any, help_text: str) -> None:
        value = None if default is None else read(default)
        super().__init__(
            load_default=value,
            allow_none=default is None,
            metadata={"description": help_text, "default": default},
        )
        self.error_messages = {**self.error_messages, "null": "must have a value; set one, or remove the key"}
        self.read = read

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        # Empty text, as from `${NAME:-}` or an empty variable, means "not set".
        if value == "" and self.allow_none:
            return None
        return validated(self.read, value)


class Section(Schema):
    """The schema of a dataclass of settings."""

    kind: ClassVar[type]
    error_messages = {"type": "must be a map of settings"}  # noqa: RUF012 (marshmallow declares it so)

    @pre_load
    def reject_unknown(self, data: Any, **_: Any) -> Any:
        """Raise for unknown keys, with a suggestion for each."""
        if not isinstance(data, Mapping):
            return data
        check_names(data, self.fields)
        # In YAML a section whose keys are all commented out is null.
        return {
            name: value
            for name, value in data.items()
            if value is not None or not isinstance(self.fields[name], fields.Nested)
        }

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Any:
        """The instance of `kind`."""
        return self.kind(**data)


def check_names(data: Mapping[str, Any], allowed: Iterable[str]) -> None:
    """Raise marshmallow's ValidationError for every key that is not allowed."""
    names = sorted(allowed)
    problems = {
        name: [f"{UNKNOWN}{suggest(name, names) or '; allowed: ' + ', '.join(names)}"]
        for name in data
        if name not in names
    }
    if problems:
        raise ValidationError(problems)


def setting(read: Reader, default: Any, help_text: str, *, secret: bool = False) -> Any:
    """Declare a setting. `default` is in the form of config.yaml; None means "not set".

    A `secret` is omitted from the dataclass's repr.
    """
    field = _Value(read, default, help_text)
    return dataclasses.field(
        default_factory=lambda: field.load_default, repr=not secret, metadata={"field": field}
    )


def section(kind: type, help_text: str) -> Any:
    """Declare a section with the settings of the dataclass `kind`."""
    nested = fields.Nested(schema_of(kind), metadata={"description": help_text, "section": kind})
    return dataclasses.field(default_factory=kind, metadata={"field": nested})


def declared(kind: type) -> Iterator[tuple[dataclasses.Field[Any], Mapping[str, Any]]]:
    """The fields of `kind` that are settings or sections, each with its description."""
    for field in dataclasses.fields(kind):
        if "field" in field.metadata:
            yield field, field.metadata["field"].metadata


def schema_of(kind: type) -> type[Section]:
    """The marshmallow schema of the settings declared in `kind`."""
    fields = {field.name: field.metadata["field"] for field, _ in declared(kind)}
    return type(f"{kind.__name__}Schema", (Section,), {"kind": kind, **fields})


def json_schema(kind: type) -> dict[str, Any]:
    """The JSON Schema of the settings declared in `kind`, for editors."""
    properties = {field.name: _member(description) for field, description in declared(kind)}
    return {"type": ["object", "null"], "properties": properties, "additionalProperties": False}


def _member(description: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a setting or of a section, by its description."""
    shown = {"description": description["description"]}
    if "section" in description:
        return {**json_schema(description["section"]), **shown}
    default = description["default"]
    types = _TYPES.get(type(default))
    # Of a setting without a default, nothing but its parser knows the type.
    return shown if types is None else {**shown, "type": list(types), "default": default}
