"""JSON Schemas that tenants write."""

from typing import Any

import jsonschema_rs
import pytest

from shared.bodies.json.schema import UNKNOWN_PLACE, compile_schema, first_error


def test_the_place_of_the_first_error_is_told_and_no_value() -> None:
    schema = compile_schema({"properties": {"a/b": {"items": {"type": "string"}}}, "required": ["x"]})
    assert first_error(schema, {"x": 1, "a/b": ["ok", 2]}) == "/a~1b/1"
    assert first_error(schema, {}) == ""
    assert first_error(schema, {"x": 1}) is None


def test_references_inside_the_schema_are_followed() -> None:
    schema = compile_schema(
        {"$id": "https://example.com/s", "$defs": {"n": {"minimum": 1}}, "items": {"$ref": "#/$defs/n"}}
    )
    assert first_error(schema, [1, 0]) == "/1"
    assert first_error(compile_schema({"$ref": "#/a", "a": False}), 1) == ""
    assert first_error(compile_schema({"$ref": "#/a", "a": True}), 1) is None


def _doubling(levels: int) -> dict[str, Any]:
    parts = {
        f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}, {"$ref": f"#/$defs/a{i + 1}"}]}
        for i in range(levels)
    }
    return {"$ref": "#/$defs/a0", "$defs": {**parts, f"a{levels}": {"minimum": 0}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objec"},
        {"$ref": "http://127.0.0.1:9/schema"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "other.json"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#/a", "a": 5},
        {"$ref": "#/%24defs"},
        {"properties": {"a": {"$id": "https://example.com/x", "$ref": "#/b"}}},
        {"properties": {"a": {"$dynamicRef": "#x"}}},
        {"properties": {"a": {"$ref": "#"}}},
        {"$schema": "https://example.com/my-own"},
        {"$schema": "http://json-schema.org/draft-04/schema#"},
        {"pattern": "(?=a)"},
        {"pattern": "("},
        {"enum": list(map(list, [[]] * 2001))},
        _doubling(20),
        {"properties": {f"p{i}": {"pattern": rf"\\pL{{1,60}}{i}"} for i in range(600)}},
        {"patternProperties": {f"[a-z]{{1,500}}{i}": {} for i in range(600)}},
    ],
)
def test_schemas_that_are_wrong_reach_out_or_grow_are_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^Must be a JSON Schema.*\.$"):
        compile_schema(schema)


def test_a_schema_whose_patterns_take_long_to_compile_is_refused_with_the_way_out() -> None:
    schema = {"properties": {f"p{i}": {"pattern": f"[a-z]{{1,500}}{i}"} for i in range(100)}}
    with pytest.raises(ValueError, match=r"\(100\) may take 20000 bytes .* counted repeats .* shorter\.$"):
        compile_schema(schema)


def test_ordinary_patterns_of_a_schema_are_far_from_the_bound() -> None:
    patterns = [r"^\d{4}-\d\d-\d\d$", "^[a-z]{1,100}$", r"^[\w.+-]+@[\w-]+\.[\w.-]+$", "^(a|b|c)$"]
    own = {f"p{i}": {"pattern": f"^{i}[a-z_]+$"} for i in range(60)}
    compile_schema({"properties": {**own, "q": {"allOf": [{"pattern": pattern} for pattern in patterns]}}})


def test_a_schema_that_did_not_change_is_not_compiled_again() -> None:
    assert compile_schema({"minimum": 1}) is compile_schema({"minimum": 1})
    assert compile_schema({"minimum": 1}) is not compile_schema({"minimum": 1.0})


def test_a_property_may_be_called_like_a_keyword() -> None:
    compile_schema({"properties": {"$ref": {"type": "string"}, "$id": {"type": "string"}}})


def test_the_more_a_schema_says_the_fewer_parts_a_document_may_have() -> None:
    small = compile_schema({"type": "object", "properties": {"a": {"type": "integer"}}})
    large = compile_schema({"enum": [str(number) for number in range(10_000)]})
    assert small.json_parts > 100_000
    assert 900 < large.json_parts < 1000


def test_a_long_document_that_breaks_its_schema_is_not_quoted() -> None:
    schema = compile_schema({"items": {"type": "number"}})
    with pytest.raises(jsonschema_rs.ValidationError) as caught:
        schema.validator.validate(["a" * 1000])
    assert "aaa" not in str(caught.value)
    assert first_error(schema, [1, "a"]) == "/1"


def test_where_a_document_of_many_members_is_wrong_is_not_told() -> None:
    schema = compile_schema({"items": {"type": "number"}})
    assert first_error(schema, [1] * 30_000) is None
    assert first_error(schema, [*[1] * 30_000, "a"]) == UNKNOWN_PLACE
