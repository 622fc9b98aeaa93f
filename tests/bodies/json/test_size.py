"""How much there is in JSON to be read."""

import json
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies import slices
from shared.bodies.json.parse import has_more_parts
from tests.bodies.json.test_parse import VALUES

COMMA = 0.2


def parts(document: Any) -> float:
    """The same counted on the document, by who reads all of it."""
    if isinstance(document, str):
        return 1
    if not isinstance(document, dict | list):
        return 0
    inner = [*document, *document.values()] if isinstance(document, dict) else document
    return 1 + sum(map(parts, inner)) + COMMA * max(len(document) - 1, 0)


@given(VALUES, st.booleans())
def test_texts_names_arrays_and_objects_count_as_one_and_five_numbers_too(value: Any, spaced: bool) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1 if spaced else None)
    count = parts(value)
    assert not has_more_parts(text, ceil(count))
    assert has_more_parts(text, max(floor(count) - 1, 0)) or count < 1


@pytest.mark.parametrize("size", range(1, 40))
def test_the_content_of_cut_texts_does_not_count(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE", size)
    inner = ['[{"a": 1, "b": [2]}],' * 3, "\\", "\\\\", '\\"', '"\\', "[", "\\\\\\["]
    text = json.dumps([inner, {"k[": "\\"}])
    assert not has_more_parts(text, ceil(parts([inner, {"k[": "\\"}])))
    assert has_more_parts(text, floor(parts([inner, {"k[": "\\"}])) - 1)


def test_prose_and_code_of_any_length_are_one_part() -> None:
    text = json.dumps({"messages": [{"content": 'Well, "yes", [he] said, {x}. ' * 50_000}]})
    assert not has_more_parts(text, 100)
