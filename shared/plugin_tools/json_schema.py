"""The settings of a plugin as JSON Schema."""

from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from marshmallow import Schema


def json_schema(schema: type[Schema]) -> dict[str, Any]:
    """A self-contained JSON Schema (2020-12): nested schemas are inlined where they are used."""
    spec = APISpec("", "", "3.1.0", plugins=[])
    converter = OpenAPIConverter("3.1.0", schema_name_resolver=lambda _: None, spec=spec)
    converter.add_attribute_function(_portable_pattern)  # type: ignore[no-untyped-call]
    document: dict[str, Any] = converter.schema2jsonschema(schema())  # type: ignore[no-untyped-call]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", **document}


def _portable_pattern(converter: OpenAPIConverter, field: Any, ret: dict[str, Any]) -> dict[str, str]:
    """Patterns as JSON Schema needs them (ECMA 262): no ``\\Z``, anchored as by marshmallow."""
    if "pattern" not in ret:
        return {}
    pattern: str = ret["pattern"]
    inner = pattern.removesuffix(r"\Z")
    return {"pattern": f"^(?:{inner})" + ("$" if inner != pattern else "")}
