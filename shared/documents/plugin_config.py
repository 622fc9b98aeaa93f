"""The entries of a plugin chain as JSON."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from shared.core.fields import Duration, choice, flag, text
from shared.documents.fields import Input, Shown, Whole
from shared.model.config import ENFORCE, SHADOW, PluginConfig, Stage
from shared.pipeline.plugin import Plugin

#: Entries of one chain. Each takes time on every request.
MAX_ENTRIES = 32
#: The longest timeout of an entry.
MAX_TIMEOUT_SECONDS = 300.0


class PluginConfigInput(Input):
    """One entry of a chain. Omitted fields get the plugin's defaults."""

    name = text(100, "Name of the plugin. GET /plugins lists them.", required=True)
    enabled = flag(True, "false: the entry is stored but does not run.")
    stage = fields.Enum(
        Stage, by_value=True, metadata={"description": "When it runs. Default: the plugin's."}
    )
    priority = fields.Integer(
        strict=True,
        load_default=100,
        validate=validate.Range(0, 999),
        metadata={"description": "Entries run in ascending order of priority."},
    )
    parallel = flag(False, "true: it runs at the same time as the other parallel entries of its priority.")
    settings = fields.Dict(
        keys=fields.String(),
        load_default=dict,
        metadata={"description": "Settings of the plugin. GET /plugins/{name} has their schema."},
    )
    on_error = text(
        32, "The outcome if the plugin fails. GET /plugins/{name} lists the choices. Default: the plugin's."
    )
    timeout = Duration(
        minimum=0.001,
        maximum=MAX_TIMEOUT_SECONDS,
        description='Seconds, or text such as "500ms". Default: the plugin\'s.',
    )
    mode = choice(
        ENFORCE,
        SHADOW,
        default=ENFORCE,
        description="enforce: the plugin's verdict applies. shadow: it is only logged.",
    )


class RequiredPluginInput(PluginConfigInput):
    """One entry of a map of plugin name to entry. Omitted fields get the plugin's defaults."""

    name = text(100, "Name of the plugin. If sent, it must equal its key in the map.")


class PluginConfigOutput(Schema):
    """One complete entry of a chain."""

    name = fields.String(required=True)
    enabled = fields.Boolean(required=True)
    stage = fields.Enum(Stage, by_value=True, required=True)
    priority = fields.Integer(required=True)
    parallel = fields.Boolean(required=True)
    settings = Shown(required=True, metadata={"description": 'Secrets are shown as {"set": true}.'})
    on_error = fields.String(required=True)
    timeout = fields.Float(required=True, metadata={"description": "Seconds."})
    mode = fields.String(required=True)


def chain_input() -> fields.List[Any]:
    """The field `plugin_chain` of a body."""
    return fields.List(Whole(PluginConfigInput), load_default=list, validate=validate.Length(max=MAX_ENTRIES))


class RequiredPlugins(fields.Field[dict[str, Any]]):
    """A map of plugin name to entry, in which an entry may omit its name; or a list of entries."""

    def __init__(self, **kwargs: Any) -> None:
        named = {"$ref": "#/components/schemas/RequiredPluginInput"}
        entry = {"$ref": "#/components/schemas/PluginConfigInput"}
        kind = {
            "anyOf": [
                {"type": "object", "additionalProperties": named, "maxProperties": MAX_ENTRIES},
                {"type": "array", "items": entry, "maxItems": MAX_ENTRIES},
                {"type": "null"},
            ],
            "description": "Plugins for every rule of the tenant: a map of plugin name to entry, or a list.",
        }
        super().__init__(metadata=kind, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> dict[str, Any]:
        if isinstance(value, Mapping):
            named: dict[Any, Any] = {name: _named(name, entry) for name, entry in value.items()}
        elif isinstance(value, list):
            named = dict(enumerate(value))
        else:
            raise ValidationError("Must be a map of plugin name to entry, or a list of entries.")
        if len(named) > MAX_ENTRIES:
            raise ValidationError(f"Must have at most {MAX_ENTRIES} entries.")
        entries: dict[str, Any] = {}
        errors: dict[Any, Any] = {}
        for key, entry in named.items():
            _load_into(entries, errors, key, entry)
        if errors:
            raise ValidationError(errors)
        return entries


def _named(name: str, entry: Any) -> Any:
    return {"name": name, **entry} if isinstance(entry, Mapping) else entry


def _load_into(entries: dict[str, Any], errors: dict[Any, Any], key: Any, entry: Any) -> None:
    try:
        loaded = PluginConfigInput().load(entry)
    except ValidationError as error:
        errors[key] = error.messages
        return
    name = loaded["name"]
    if isinstance(key, str) and name != key:
        errors[key] = {"name": [f"Must equal its key {key}, or be omitted."]}
    elif name in entries:
        errors[key] = {"name": [f"Duplicate plugin {name}."]}
    else:
        entries[name] = loaded


def complete_entry(entry: Mapping[str, Any], catalogue: Mapping[str, type[Plugin]]) -> PluginConfig:
    """The entry with the plugin's defaults for omitted fields; for an unknown plugin, the common defaults."""
    kind = catalogue.get(entry["name"], Plugin)
    defaults = {
        "stage": kind.default_stage,
        "on_error": kind.default_on_error,
        "timeout": kind.default_timeout,
    }
    return PluginConfig(**{**defaults, **entry})
