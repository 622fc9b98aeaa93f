"""JSON Schemas of tenants, compiled once and bounded."""

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jsonschema_rs

from shared.bodies.json.parse import is_long
from shared.core.json_pointer import MISSING, escape_step, get_at, parse_path

#: The most parts of a schema, with all references followed. A definition with two references to the next one,
#: which has two as well, and so on, would double the work at each level.
MAX_PARTS = 2000
#: Stands for the pointer of an error in a document of many members.
UNKNOWN_PLACE = "some place"
# The most work: the size of a schema times the parts of a document. In the worst case each is checked with
# each. That takes 0.3 s, and nothing else runs in the process (measured).
_MAX_WORK = 10_000_000
# The most bytes of all compiled patterns of a schema. To compile them takes 7 ms, likewise (measured).
_PATTERN_BYTES = 2_000_000
# The validator would decode percent signs, and find another place.
_INNER = re.compile(r"#(/[^%]*)?")
# These give a part another base, so "#" has another meaning in it.
_FOREIGN = ("$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor")


_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")


class SchemaError(ValueError):
    """An error in a JSON Schema: a full sentence, and its place in the schema (JSON pointer)."""

    def __init__(self, message: str, pointer: str = "") -> None:
        self.pointer = pointer
        super().__init__(message)


class Schema(NamedTuple):
    """A compiled schema. It must not validate a document of more than `json_parts` parts."""

    validator: "jsonschema_rs.Validator"
    json_parts: int


def compile_schema(schema: Mapping[str, Any]) -> Schema:
    """Compile a schema. Its patterns match in linear time.

    Raises `SchemaError` when it is invalid, too large, or has an outside reference.
    """
    return _compiled(json.dumps(schema))


@lru_cache(64)  # when a tenant is read again, its schemas cost nothing
def _compiled(text: str) -> Schema:
    schema: dict[str, Any] = json.loads(text)
    # No reference uses the name of the schema itself.
    own = {name: part for name, part in schema.items() if name != "$id"}
    size, patterns = _checked_size(own)
    most = _PATTERN_BYTES // max(1, len(patterns))
    try:
        validator = jsonschema_rs.validator_for(
            own,
            offline=True,
            pattern_options=jsonschema_rs.RegexOptions(size_limit=most),
            mask="it",  # else messages quote the document, however long it is
        )
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        reason = str(error).partition("\n")[0]
        hint = (
            f" Each of its patterns ({len(patterns)}) may take {most} bytes when it is compiled. "
            "Make counted repeats such as {1,500} shorter."
        )
        place = list(getattr(error, "instance_path", ()))
        if place[-1:] == ["type"] and "anyOf" in reason:
            reason = f"type is one of {', '.join(_TYPES)}, or a list of them"
        message = f"Must be a JSON Schema: {reason}.{hint * ('regex' in reason)}"
        raise SchemaError(message, _pointer(place)) from None
    return Schema(validator, _MAX_WORK // size)


def first_error(schema: Schema, document: Any) -> str | None:
    """Return the JSON Pointer of the first error, or `UNKNOWN_PLACE`; None for a valid document."""
    if is_long(document):
        # To find the place, the validator copies the wrong part, and meanwhile nothing else runs.
        return None if schema.validator.is_valid(document) else UNKNOWN_PLACE
    try:
        schema.validator.validate(document)
    except jsonschema_rs.ValidationError as error:
        return _pointer(error.instance_path)
    return None


def _pointer(steps: Iterable[str | int]) -> str:
    return "".join(f"/{escape_step(step)}" for step in steps)


def _checked_size(schema: dict[str, Any]) -> tuple[int, set[str]]:
    """Return the size and the patterns of a schema with all references followed.

    A recursive schema never ends, so it is too large.
    """
    if "draft-04" in str(schema.get("$schema")):
        raise SchemaError("Must be a JSON Schema of draft 6 or later.", "/$schema")
    pending: list[tuple[Any, str]] = [(schema, "")]
    size, patterns = 0, set[str]()
    for _ in range(MAX_PARTS):
        if not pending:
            return size, patterns
        part, at = pending.pop()
        size += 1 + len(part)
        inner = [(child, f"{at}/{escape_step(key)}") for key, child in _members(part)]
        if isinstance(part, dict):
            if isinstance(pattern := part.get("pattern"), str):
                patterns.add(pattern)
            if isinstance(named := part.get("patternProperties"), dict):
                patterns.update(named)
            if foreign := [name for name in _FOREIGN if isinstance(part.get(name), str)]:
                raise SchemaError(
                    f"Must be a JSON Schema without {', '.join(_FOREIGN)}.", f"{at}/{foreign[0]}"
                )
            if isinstance(reference := part.get("$ref"), str):
                inner.append(_inner(schema, reference, f"{at}/$ref"))
        pending += [(child, place) for child, place in inner if isinstance(child, dict | list)]
    raise SchemaError(
        f"Must be a JSON Schema of at most {MAX_PARTS} parts with all references followed; "
        "a definition must not refer to itself."
    )


def _members(part: Any) -> Iterable[tuple[str | int, Any]]:
    return part.items() if isinstance(part, dict) else enumerate(part)


def _inner(schema: dict[str, Any], reference: str, at: str) -> tuple[Any, str]:
    """The part that a reference at the place `at` leads to, and its place."""
    if not _INNER.fullmatch(reference):
        raise SchemaError("References must stay inside the schema: begin with '#/', without '%'.", at)
    found = get_at(schema, parse_path(reference[1:])) if reference != "#" else schema
    if found is MISSING:
        raise SchemaError(f"The reference {reference} does not exist in this schema.", at)
    return found, reference[1:]
