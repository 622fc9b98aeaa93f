"""Conditions on a JSON document, and the JSON Schemas that tenants write."""

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.json.conditions import OPERATORS, CannotCompare, parse_condition, same
from shared.bodies.json.schema import UNKNOWN_PLACE, compile_schema, first_error

DOCUMENT = {
    "score": 0.8,
    "ok": True,
    "label": "spam mail",
    "tags": ["a", 1, None],
    "nothing": None,
    "deep": {"x": [1]},
}


@pytest.mark.parametrize(
    ("field", "operator", "value", "holds"),
    [
        ("score", "eq", 0.8, True),
        ("score", "ne", 0.8, False),
        ("ok", "eq", True, True),
        ("ok", "eq", 1, False),
        ("deep.x.0", "eq", 1, True),
        ("deep", "eq", {"x": [1]}, True),
        ("deep", "eq", {"x": [True]}, False),
        ("missing", "eq", None, False),
        ("nothing", "eq", None, True),
        ("missing", "ne", 1, True),
        ("score", "gt", 0.5, True),
        ("score", "gt", 0.8, False),
        ("score", "gte", 0.8, True),
        ("score", "lt", 1, True),
        ("score", "lte", 0.7, False),
        ("label", "gt", "a", True),
        ("label", "contains", "spam", True),
        ("label", "contains", "ham", False),
        ("tags", "contains", 1, True),
        ("tags", "contains", True, False),
        ("tags", "not_contains", "a", False),
        ("tags", "not_contains", "z", True),
        ("missing", "contains", "a", False),
        ("missing", "not_contains", "a", True),
        ("nothing", "exists", None, True),
        ("missing", "exists", None, False),
        ("missing", "not_exists", None, True),
        ("label", "matches", "^spam", True),
        ("label", "matches", "^mail", False),
        ("missing", "matches", "x", False),
    ],
)
def test_conditions_are_read_as_they_are_written(field: str, operator: str, value: Any, holds: bool) -> None:
    assert parse_condition(field, operator, value).holds(DOCUMENT) is holds


@pytest.mark.parametrize(
    ("field", "operator", "value"),
    [
        ("missing", "gt", 1),
        ("label", "gt", 1),
        ("ok", "gt", 0),
        ("nothing", "lte", 1),
        ("score", "contains", "0"),
        ("label", "contains", 1),
        ("deep", "contains", "x"),
        ("score", "matches", "0"),
        ("nothing", "matches", "x"),
    ],
)
def test_a_condition_that_cannot_be_asked_is_not_passed_over(field: str, operator: str, value: Any) -> None:
    with pytest.raises(CannotCompare):
        parse_condition(field, operator, value).holds(DOCUMENT)


@pytest.mark.parametrize(
    ("field", "operator", "value"),
    [
        ("a", "like", 1),
        ("a", "gt", None),
        ("a", "lt", True),
        ("a", "gte", []),
        ("a", "matches", 1),
        ("a", "matches", "("),
        ("", "eq", 1),
    ],
)
def test_invalid_condition_is_rejected_with_a_sentence(field: str, operator: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"^Must .*\.$"):
        parse_condition(field, operator, value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
)
OPPOSITES = [
    ("eq", "ne"),
    ("contains", "not_contains"),
    ("exists", "not_exists"),
    ("gt", "lte"),
    ("gte", "lt"),
]


@given(JSON, JSON, st.sampled_from(OPPOSITES))
def test_an_operator_and_its_opposite_never_agree(found: Any, value: Any, pair: tuple[str, str]) -> None:
    def ask(name: str) -> bool | None:
        try:
            return OPERATORS[name](found, value)
        except CannotCompare:
            return None

    one, other = map(ask, pair)
    assert other == (None if one is None else not one)


@given(JSON)
def test_every_value_is_the_same_as_itself(value: Any) -> None:
    assert same(value, value)


def test_first_schema_error_is_returned_as_a_pointer_without_a_value() -> None:
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
        {"$ref": "#/a", "a": 5},
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
def test_schemas_that_are_wrong_reach_out_or_grow_are_rejected(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^Must be a JSON Schema.*\.$"):
        compile_schema(schema)


@pytest.mark.parametrize(
    "reference", ["http://127.0.0.1:9/schema", "file:///etc/passwd", "other.json", "#/%24defs"]
)
def test_references_to_other_documents_and_encoded_ones_are_rejected(reference: str) -> None:
    with pytest.raises(ValueError, match=r"^References must stay inside the schema: begin with '#/', .*\.$"):
        compile_schema({"$ref": reference})


def test_a_reference_to_a_missing_part_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"^The reference #/\$defs/missing does not exist in this schema\.$"):
        compile_schema({"$ref": "#/$defs/missing"})


def test_a_schema_whose_patterns_take_long_to_compile_is_rejected_with_the_way_out() -> None:
    schema = {"properties": {f"p{i}": {"pattern": f"[a-z]{{1,500}}{i}"} for i in range(100)}}
    with pytest.raises(ValueError, match=r"\(100\) may take 20000 bytes .* counted repeats .* shorter\.$"):
        compile_schema(schema)


def test_ordinary_patterns_of_a_schema_are_far_from_the_bound() -> None:
    patterns = [r"^\d{4}-\d\d-\d\d$", "^[a-z]{1,100}$", r"^[\w.+-]+@[\w-]+\.[\w.-]+$", "^(a|b|c)$"]
    own = {f"p{i}": {"pattern": f"^{i}[a-z_]+$"} for i in range(60)}
    schema = compile_schema({"properties": {**own, "q": {"allOf": [{"pattern": one} for one in patterns]}}})
    assert schema.validator.is_valid({"p1": "1a"})
    assert not schema.validator.is_valid({"p1": "2a"})


def test_a_schema_that_did_not_change_is_not_compiled_again() -> None:
    assert compile_schema({"minimum": 1}) is compile_schema({"minimum": 1})
    assert compile_schema({"minimum": 1}) is not compile_schema({"minimum": 1.0})


def test_a_property_may_be_called_like_a_keyword() -> None:
    schema = compile_schema({"properties": {"$ref": {"type": "string"}, "$id": {"type": "string"}}})
    assert schema.validator.is_valid({"$ref": "a", "$id": "b"})
    assert not schema.validator.is_valid({"$ref": 1})


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


def test_schema_error_in_a_document_of_many_members_has_no_pointer() -> None:
    schema = compile_schema({"items": {"type": "number"}})
    assert first_error(schema, [1] * 30_000) is None
    assert first_error(schema, [*[1] * 30_000, "a"]) == UNKNOWN_PLACE
