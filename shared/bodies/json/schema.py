"""JSON Schemas that tenants write, compiled once and bounded."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jsonschema_rs

from shared.bodies.json.parse import children, is_long
from shared.core.json_pointer import MISSING, escape_step, get_at, parse_path

#: Parts of a schema with all its references followed. Two references to one definition, which has two
#: to the next, and so on, would otherwise double the work at every level.
MAX_PARTS = 2000
#: The place of a fault in a document of many members.
UNTOLD = "some place"
# What a schema says times the parts of a document (`shared.bodies.json.size`). In the worst case each is
# asked of each, and nothing else of the process runs meanwhile: 0.3 s then (measured).
_MOST_WORK = 10_000_000
# Bytes that all patterns of a schema may take when compiled: 7 ms, during which nothing else runs (measured).
_PATTERN_BYTES = 2_000_000
# Schemas that stay compiled, so that one that did not change costs nothing when its tenant is read again.
_MOST_RECENT = 64
# Percent signs would be decoded by the validator, and lead elsewhere than here.
_INNER = re.compile(r"#(/[^%]*)?")
# What gives a part another name, so that "#" means something else in it.
_FOREIGN = ("$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor")


class Schema(NamedTuple):
    """A compiled schema. A document that it is asked of must not have more than `json_parts`."""

    validator: "jsonschema_rs.Validator"
    json_parts: int


def compile_schema(schema: Mapping[str, Any]) -> Schema:
    """Patterns in it are matched in linear time.

    Raises ValueError, with a full sentence: the schema is wrong, refers to something outside of
    itself, or is too large.
    """
    return _compiled(json.dumps(schema))


@lru_cache(maxsize=_MOST_RECENT)
def _compiled(text: str) -> Schema:
    schema: dict[str, Any] = json.loads(text)
    # Nothing refers to the schema by its own name, so the name does not matter.
    own = {name: part for name, part in schema.items() if name != "$id"}
    size, patterns = _checked_size(own)
    most = _PATTERN_BYTES // max(1, len(patterns))
    try:
        validator = jsonschema_rs.validator_for(
            own,
            offline=True,
            pattern_options=jsonschema_rs.RegexOptions(size_limit=most),
            mask="it",  # messages would quote the document, however long it is
        )
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        reason = str(error).partition("\n")[0]
        hint = (
            f" Each of its patterns ({len(patterns)}) may take {most} bytes when it is compiled. Where one "
            "takes more, make its counted repeats such as {1,500} shorter."
        )
        raise ValueError(f"Must be a JSON Schema: {reason}.{hint * ('regex' in reason)}") from None
    return Schema(validator, _MOST_WORK // size)


def first_fault(schema: Schema, document: Any) -> str | None:
    """Where `document` breaks the schema (JSON pointer, or `UNTOLD`; empty for the whole); None when not."""
    if is_long(document):
        # To tell where, the validator copies the part that is wrong, and nothing else runs meanwhile.
        return None if schema.validator.is_valid(document) else UNTOLD
    try:
        schema.validator.validate(document)
    except jsonschema_rs.ValidationError as error:
        return "".join(f"/{escape_step(step)}" for step in error.instance_path)
    return None


def _checked_size(schema: dict[str, Any]) -> tuple[int, set[str]]:
    """Its size and its patterns.

    Walks the schema and all that it refers to; a recursive one never ends, and so is too large.
    """
    if "draft-04" in str(schema.get("$schema")):
        raise ValueError("Must be a JSON Schema of draft 6 or later.")
    waiting: list[Any] = [schema]
    size, patterns = 0, set[str]()
    for _ in range(MAX_PARTS):
        if not waiting:
            return size, patterns
        part = waiting.pop()
        size += 1 + len(part)
        if isinstance(part, dict):
            patterns.update(_patterns(part))
            if any(isinstance(part.get(name), str) for name in _FOREIGN):
                raise ValueError(f"Must be a JSON Schema without {', '.join(_FOREIGN)}.")
            if isinstance(reference := part.get("$ref"), str):
                waiting.append(_inner(schema, reference))
        waiting += [child for child in children(part) if isinstance(child, dict | list)]
    raise ValueError(
        f"Must be a JSON Schema of at most {MAX_PARTS} parts with all references followed; "
        "a definition must not refer to itself."
    )


def _patterns(part: dict[str, Any]) -> Iterator[str]:
    if isinstance(pattern := part.get("pattern"), str):
        yield pattern
    if isinstance(named := part.get("patternProperties"), dict):
        yield from named


def _inner(schema: dict[str, Any], reference: str) -> Any:
    if not _INNER.fullmatch(reference):
        raise ValueError("Must be a JSON Schema whose references stay in it (they begin with '#/').")
    found = get_at(schema, parse_path(reference[1:])) if reference != "#" else schema
    if found is MISSING:
        raise ValueError(f"Must be a JSON Schema without the reference {reference}, which leads nowhere.")
    return found
