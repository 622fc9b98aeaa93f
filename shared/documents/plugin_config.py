"""A plugin's entry in a chain, as it is sent and as it is shown."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from shared.core.fields import Duration, Strict, choice, flag, text
from shared.documents.fields import Shown
from shared.model.config import ENFORCE, SHADOW, PluginConfig, Stage
from shared.pipeline.plugin import Plugin

#: Entries in one chain. More would hardly be meant, and each costs time on every request.
MAX_ENTRIES = 32
#: The longest that one plugin may hold a request, in seconds.
MAX_TIMEOUT = 300.0


class PluginConfigInput(Strict):
    """One entry of a chain. What is left out is filled in from the plugin's own defaults."""

    name = text(100, "The plugin's name, as GET /plugins lists it.", required=True)
    enabled = flag(True, "false keeps the entry without running it.")
    stage = fields.Enum(
        Stage, by_value=True, metadata={"description": "Where it acts. Default: the plugin's own."}
    )
    priority = fields.Integer(
        strict=True,
        load_default=100,
        validate=validate.Range(0, 999),
        metadata={"description": "Lower runs first."},
    )
    parallel = flag(False, "true runs it together with the other parallel entries of its priority.")
    settings = fields.Dict(
        keys=fields.String(), load_default=dict, metadata={"description": "As GET /plugins/{name} says."}
    )
    on_error = text(32, "What happens when the plugin fails. Default: the plugin's own.")
    timeout = Duration(
        minimum=0.001,
        maximum=MAX_TIMEOUT,
        description='The longest it may take: seconds, or a text such as "500ms". Default: the plugin\'s.',
    )
    mode = choice(
        ENFORCE,
        SHADOW,
        default=ENFORCE,
        description="enforce acts on what the plugin says; shadow only notes what it would have done.",
    )


class PluginConfigOutput(Schema):
    """One complete entry of a chain. Secrets are shown as {"set": true}."""

    name = fields.String(required=True)
    enabled = fields.Boolean(required=True)
    stage = fields.Enum(Stage, by_value=True, required=True)
    priority = fields.Integer(required=True)
    parallel = fields.Boolean(required=True)
    settings = Shown(required=True)
    on_error = fields.String(required=True)
    timeout = fields.Float(required=True, metadata={"description": "Seconds."})
    mode = fields.String(required=True)


class _Whole(fields.Nested):
    """An entry, whole even where the document around it is a patch."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, partial: Any = None, **kwargs: Any
    ) -> Any:
        return super()._deserialize(value, attr, data, **kwargs)


def chain_input() -> fields.List[Any]:
    """A list of entries in the order in which they were meant."""
    return fields.List(
        _Whole(PluginConfigInput), load_default=list, validate=validate.Length(max=MAX_ENTRIES)
    )


class RequiredPlugins(fields.Field[dict[str, Any]]):
    """Entries by their names. A list is taken too, and in a map an entry need not repeat its name."""

    def __init__(self, **kwargs: Any) -> None:
        entry = {"$ref": "#/components/schemas/PluginConfigInput"}
        kind = {
            "anyOf": [
                {"type": "object", "additionalProperties": {"type": "object"}},
                {"type": "array", "items": entry},
            ],
            "description": "Plugins that every rule of the tenant runs. A map of name to entry, or a list.",
        }
        super().__init__(metadata=kind, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if isinstance(value, Mapping):
            named: dict[Any, Any] = {name: _named(name, entry) for name, entry in value.items()}
        elif isinstance(value, list):
            named = dict(enumerate(value))
        else:
            raise ValidationError("Must be a map of name to entry, or a list of entries.")
        if len(named) > MAX_ENTRIES:
            raise ValidationError(f"Must have at most {MAX_ENTRIES} entries.")
        entries: dict[str, Any] = {}
        errors: dict[Any, Any] = {}
        for place, entry in named.items():
            _load_into(entries, errors, place, entry)
        if errors:
            raise ValidationError(errors)
        return entries


def _named(name: str, entry: Any) -> Any:
    return {"name": name, **entry} if isinstance(entry, Mapping) else entry


def _load_into(entries: dict[str, Any], errors: dict[Any, Any], place: Any, entry: Any) -> None:
    try:
        loaded = PluginConfigInput().load(entry)
    except ValidationError as error:
        errors[place] = error.messages
        return
    name = loaded["name"]
    if isinstance(place, str) and name != place:
        errors[place] = {"name": [f"Must be {place}, as its key says, or left out."]}
    elif name in entries:
        errors[place] = {"name": [f"{name} stands here twice."]}
    else:
        entries[name] = loaded


def complete_entry(entry: Mapping[str, Any], catalogue: Mapping[str, type[Plugin]]) -> PluginConfig:
    """The entry with its gaps filled from the plugin's defaults; an unknown plugin gets the common ones."""
    kind = catalogue.get(entry["name"], Plugin)
    defaults = {
        "stage": kind.default_stage,
        "on_error": kind.default_on_error,
        "timeout": kind.default_timeout,
    }
    return PluginConfig(**{**defaults, **entry})
