"""Conditions on a JSON document."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.json.conditions import OPERATORS, CannotCompare, parse_condition, same

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
def test_what_makes_no_condition_is_refused_with_a_sentence(field: str, operator: str, value: Any) -> None:
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
