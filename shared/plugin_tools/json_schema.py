"""The settings of a plugin as JSON Schema, with what a form needs to show them."""

import re
from collections.abc import Iterator
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema

_ACRONYMS = {name.lower(): name for name in ("IP", "IPs", "JSON", "URL")}


def title(name: str) -> str:
    """The name of a setting in words.

    >>> title("blocked_ips"), title("max_json_depth")
    ('Blocked IPs', 'Max JSON depth')
    """
    words = [_ACRONYMS.get(word, word) for word in re.split("[_ ]", name)]
    return " ".join(words)[:1].upper() + " ".join(words)[1:]


def json_schema(schema: type[Schema]) -> dict[str, Any]:
    """A self-contained JSON Schema (2020-12): nested schemas are inlined where they are used.

    Every property has a title. `format` and `unit` say how a value is written: they are for forms, and no
    value is invalid because of them.
    """
    spec = APISpec("", "", "3.1.0", plugins=[])
    converter = OpenAPIConverter("3.1.0", schema_name_resolver=lambda _: None, spec=spec)
    for function in (_portable_pattern, _form):
        converter.add_attribute_function(function)  # type: ignore[no-untyped-call]
    document: dict[str, Any] = converter.schema2jsonschema(schema())  # type: ignore[no-untyped-call]
    for name, described in _properties(document):
        described.setdefault("title", title(name))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", **document}


def _portable_pattern(converter: OpenAPIConverter, field: Any, ret: dict[str, Any]) -> dict[str, str]:
    """Patterns as JSON Schema needs them (ECMA 262): no ``\\Z``, anchored as by marshmallow."""
    if "pattern" not in ret:
        return {}
    pattern: str = ret["pattern"]
    inner = pattern.removesuffix(r"\Z")
    return {"pattern": f"^(?:{inner})" + ("$" if inner != pattern else "")}


def _form(converter: OpenAPIConverter, field: Any, ret: dict[str, Any]) -> dict[str, str]:
    """The format and the unit of fields such as `Duration`."""
    return dict(zip(("format", "unit"), getattr(field, "form", ()), strict=False))


def _properties(schema: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """All properties in a schema, at any depth, with their names."""
    if isinstance(schema, list):
        for one in schema:
            yield from _properties(one)
    if not isinstance(schema, dict):
        return
    properties = schema.get("properties", {})
    yield from properties.items()
    inner = (schema.get(name) for name in ("items", "anyOf", "additionalProperties"))
    for one in (*properties.values(), *inner):
        yield from _properties(one)
