"""The page that lists the settings of all built-in plugins, made from their classes."""

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import marshmallow

from shared.pipeline.plugin import Plugin
from shared.plugins._json_schema import json_schema

_HEAD = """\
# Settings of the built-in plugins

This page is made by `python -m shared.plugins docs > docs/plugin-settings.md`. What the plugins do with their
settings is explained in [plugins.md](plugins.md) and [rate-limiting.md](rate-limiting.md). The same as JSON
Schema: `GET /api/v1/plugins/{name}`.
"""
_NOTHING = (marshmallow.missing, None)


def settings_page(plugins: Sequence[type[Plugin]]) -> str:
    """The whole page, as Markdown."""
    return "\n".join([_HEAD, *(line for plugin in plugins for line in _section(plugin))])


def _section(plugin: type[Plugin]) -> Iterator[str]:
    yield f"## {plugin.name}\n"
    yield f"{(inspect.getdoc(plugin) or '').partition('\n')[0]}\n"
    stages = ", ".join(f"`{stage}`" for stage in plugin.stages())
    choices = ", ".join(f"`{choice}`" for choice in plugin.on_error_choices)
    yield f"Stages: {stages}; without one: `{plugin.default_stage}`. `on_error`: {choices}; without one:"
    yield f"`{plugin.default_on_error}`. `timeout`, without one: {plugin.default_timeout:g} s.\n"
    yield "| setting | form | default | meaning |"
    yield "|---|---|---|---|"
    forms = json_schema(plugin.schema)["properties"]
    for own, field in plugin.schema().fields.items():
        name = field.data_key or own
        meaning = field.metadata["description"].replace("|", "\\|")
        yield f"| `{name}` | {_form(forms[name])} | {_default(field)} | {meaning} |"
    yield ""


def _form(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"] if value is not None)
    if "anyOf" in schema:
        return " or ".join(_form(one) for one in schema["anyOf"])
    kinds = schema.get("type", "anything")
    named = [kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null"]
    return " or ".join(_kind(kind, schema) for kind in named)


def _kind(kind: str, schema: Mapping[str, Any]) -> str:
    if kind == "array":
        return f"list of {_form(schema.get('items', {}))}"
    inner = schema.get("additionalProperties")
    if kind == "object" and isinstance(inner, Mapping) and "type" in inner:
        return f"map of {_form(inner)}"
    return {"object": "object", "string": "text"}.get(kind, kind)


def _default(field: marshmallow.fields.Field[Any]) -> str:
    if field.required:
        return "required"
    value = field.load_default() if callable(field.load_default) else field.load_default
    if value in _NOTHING:
        return ""
    try:
        return f"`{json.dumps(value)}`"
    except TypeError:  # what stands for "left out" in the plugin has no form in a document
        return ""
