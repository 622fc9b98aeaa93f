"""JSON inside a string, read as its reader does."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.json.strings import JsonStringReader, Run, unescape
from tests.bodies.streams import cut

DOCUMENTS: Any = st.recursive(
    st.text(max_size=6) | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def read(*pieces: str) -> list[Run]:
    reader = JsonStringReader(marks_values=True)
    return [run for piece in pieces for run in reader.read(piece)] + list(reader.end())


def text(*pieces: str) -> str:
    return "".join(run.text for run in read(*pieces))


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        (r'{"q": "a"}', '{"q": "a"}'),
        (r"\u0073ecret", "secret"),
        (r"\n\t\"\\\/\b\f\r", '\n\t"\\/\b\f\r'),
        (r"\ud83d\ude00!", "\U0001f600!"),
        (r"\ud83d!", "?!"),
        (r"\ude00!", "?!"),
        (r"\ud83d\u0041", "?A"),
        (r"\ud83d\n", "?\n"),
        (r"\ud83d", r"\ud83d"),
        ("\\", "\\"),
        (r"\u12", r"\u12"),
        (r"\u12zz\x", "u12zzx"),
    ],
)
def test_escapes_are_undone_wherever_they_are_cut(written: str, seen: str) -> None:
    assert text(written) == seen
    assert text(*written) == seen
    for place in range(len(written)):
        assert text(written[:place], written[place:]) == seen


@given(
    st.lists(
        st.sampled_from([*'abud0\\"\n', r"\\", r"\"", r"\n", r"\ud83d", r"\ude00", r"\u00e9", r"\x"]),
        max_size=12,
    ),
    st.lists(st.integers(0, 40), max_size=5),
)
def test_text_is_read_the_same_with_its_places_and_without(letters: list[str], cuts: list[int]) -> None:
    pieces = cut("".join(letters), cuts)
    reader = JsonStringReader(marks_values=False)
    assert "".join([*map(reader.text, pieces), reader.held]) == text(*pieces)
    assert unescape("".join(letters)) == text("".join(letters))


@given(DOCUMENTS, st.lists(st.integers(0, 60), max_size=5), st.booleans())
def test_string_values_are_distinguished_from_all_other_text(
    document: Any, cuts: list[int], ascii: bool
) -> None:
    written = json.dumps(document, ensure_ascii=ascii)
    runs = read(*cut(written, cuts))
    told = "".join(
        char for run in runs for char, is_value in zip(run.text, run.is_value, strict=True) if is_value
    )
    assert told == "".join(_values(document))
    assert "".join(written[run.start : run.end] for run in runs) == written


def _values(node: Any) -> list[str]:
    if isinstance(node, str):
        return [node]
    nodes = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [value for child in nodes for value in _values(child)]


def test_text_that_is_not_json_is_read_unchanged() -> None:
    assert text('}]" {a: b, "c') == '}]" {a: b, "c'
