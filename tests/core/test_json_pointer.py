"""Places in a JSON document."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.json_pointer import MISSING, escape_step, get_at, overlapping, parse_path, put_at

DOCUMENT: dict[str, Any] = {"messages": [{"content": "hi"}], "a/b": {"~c": 1}, "d.e": 2, "null": None}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("messages.0.content", "hi"),
        ("/messages/0/content", "hi"),
        ("/a~1b/~0c", 1),
        ("/d.e", 2),
        ("null", None),
        ("messages", DOCUMENT["messages"]),
        ("messages.1", MISSING),
        ("messages.-1", MISSING),
        ("messages.00", MISSING),
        ("messages.content", MISSING),
        ("d.e", MISSING),
        ("null.x", MISSING),
        ("/", MISSING),
        ("messages.0.content.0", MISSING),
    ],
)
def test_a_value_is_found_by_pointer_or_dotted_path(path: str, value: Any) -> None:
    assert get_at(DOCUMENT, parse_path(path)) == value


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "/a~", "/a~2b"])
def test_pointer_of_other_text_is_rejected(path: str) -> None:
    with pytest.raises(ValueError, match=r"^Must be a JSON Pointer"):
        parse_path(path)


@given(st.lists(st.text(max_size=5), min_size=1, max_size=5), st.integers())
def test_pointer_finds_what_was_put_there(steps: list[str], value: int) -> None:
    pointer = "".join("/" + escape_step(step) for step in steps)
    path = parse_path(pointer)
    assert path == tuple(steps)
    document: dict[str, Any] = {}
    put_at(document, path, value)
    assert get_at(document, path) == value


PATHS = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple), max_size=5)


@given(PATHS)
def test_paths_that_do_not_overlap_can_all_be_set(paths: list[tuple[str, ...]]) -> None:
    if overlapping(paths):
        return
    document: dict[str, Any] = {}
    for number, path in enumerate(paths):
        put_at(document, path, number)
    assert [get_at(document, path) for path in paths] == list(range(len(paths)))


@given(PATHS)
def test_two_paths_overlap_when_one_begins_with_the_other(paths: list[tuple[str, ...]]) -> None:
    clash = any(a[: len(b)] == b or b[: len(a)] == a for i, a in enumerate(paths) for b in paths[:i])
    assert bool(overlapping(paths)) == clash


def test_missing_value_is_readable_in_messages() -> None:
    assert repr(MISSING) == "MISSING"
