"""The JSON Schema of a file, for editors. It is made of the schemas that read a file."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from marshmallow import Schema

from shared.documents.ai.provider_model import PlatformPrices
from shared.documents.fields import SET
from shared.documents.file.parse import (
    FORMAT,
    MOVED,
    PLATFORM_MOVED,
    PLATFORM_SECTIONS,
    TENANT,
    TENANT_MOVED,
    TENANT_SECTIONS,
    VERSION,
)
from shared.documents.plugin_config import MAX_ENTRIES, PluginConfigInput, RequiredPluginInput
from shared.pipeline.plugin import Plugin
from shared.plugin_tools.json_schema import json_schema

# Members that have entries of plugins.
_CHAIN: Final = "plugin_chain"
_REQUIRED: Final = "required_plugins"
_KEEP: Final = {"const": SET, "description": "Keeps the stored secret."}

type Json = dict[str, Any]


def file_schema(catalogue: Mapping[str, type[Plugin]]) -> Json:
    """The schema of a file for the plugins of a catalogue."""
    tenant = _object(TENANT)
    tenant["properties"][_REQUIRED] = _required(catalogue)
    tenant["properties"] |= {kind: _map(_ref(f"tenant_{kind}")) for kind in TENANT_SECTIONS}
    tenant["properties"][MOVED] = _moved(TENANT_MOVED)
    prices = _object(PlatformPrices())["properties"]
    platform = {kind: _map(_ref(f"platform_{kind}")) for kind in PLATFORM_SECTIONS} | prices
    platform[MOVED] = _moved(PLATFORM_MOVED)
    members = {FORMAT: {"const": VERSION}, "platform": _ref("platform"), "tenants": _map(_ref("tenant"))}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The configuration of AI Gateway",
        **_closed(members),
        "required": [FORMAT],
        "$defs": {
            "platform": {**_closed(platform), "type": ["object", "null"]},
            "tenant": tenant,
            **{f"tenant_{kind}": _object(schema) for kind, schema in TENANT_SECTIONS.items()},
            **{f"platform_{kind}": _object(schema) for kind, schema in PLATFORM_SECTIONS.items()},
            "entry": _entry(catalogue),
            **{f"settings_{name}": _settings(kind) for name, kind in sorted(catalogue.items())},
        },
    }


def _object(schema: Schema) -> Json:
    """The schema of an object. An entry of a chain is that of its plugin."""
    document = json_schema(type(schema))
    del document["$schema"]
    if _CHAIN in document["properties"]:
        chain = document["properties"][_CHAIN]
        document["properties"][_CHAIN] = {**chain, "items": _ref("entry")}
    return document


def _entry(catalogue: Mapping[str, type[Plugin]]) -> Json:
    """An entry of a chain: its name decides what its settings are."""
    return {
        **_object(PluginConfigInput()),
        "oneOf": [
            {"properties": {"name": {"const": name}, "settings": _ref(f"settings_{name}")}}
            for name in sorted(catalogue)
        ],
    }


def _required(catalogue: Mapping[str, type[Plugin]]) -> Json:
    """The entries for every rule of a tenant, by their plugins, or as a list."""
    entry = _object(RequiredPluginInput())
    named = {
        name: {**entry, "properties": {**entry["properties"], "settings": _ref(f"settings_{name}")}}
        for name in sorted(catalogue)
    }
    listed = {"type": "array", "items": _ref("entry"), "maxItems": MAX_ENTRIES}
    return {"anyOf": [{**_closed(named), "maxProperties": MAX_ENTRIES}, listed, {"type": "null"}]}


def _settings(kind: type[Plugin]) -> Json:
    """The settings of a plugin, in which the stored secrets may stay."""
    document = json_schema(kind.schema)
    del document["$schema"]
    for name in kind.secrets:
        secret = document["properties"][name]
        secret["additionalProperties"] = {"anyOf": [secret.get("additionalProperties", True), _KEEP]}
    return document


def _moved(kinds: Iterable[str]) -> Json:
    """The other names of stored things."""
    names = {kind: _map({"type": "string", "description": "The new name."}) for kind in kinds}
    description = "Stored things that get other names, and keep their ids: by section, old: new."
    return {**_closed(names), "type": ["object", "null"], "description": description}


def _map(items: Json) -> Json:
    return {"type": ["object", "null"], "additionalProperties": items}


def _closed(properties: Mapping[str, Any]) -> Json:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def _ref(name: str) -> Json:
    return {"$ref": f"#/$defs/{name}"}
