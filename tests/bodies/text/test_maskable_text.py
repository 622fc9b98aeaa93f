"""Texts that are put together from parts, and masked where they stand."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.text.maskable_text import MaskableText, Part
from tests.bodies.streams import cut

CUTS = st.lists(st.integers(0, 40), max_size=4)


def text_read(holder: list[str], *, is_json: bool = False) -> tuple[MaskableText, list[Part], str]:
    made, parts = (
        MaskableText(is_json=is_json, can_mask=True),
        [Part(holder, at) for at in range(len(holder))],
    )
    read = "".join([made.add(part.text, part) for part in parts]) + made.end()
    return made, parts, read


@given(st.text(max_size=12), CUTS, st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5)), max_size=4))
def test_each_character_of_a_span_is_masked(text: str, cuts: list[int], spans: list[tuple[int, int]]) -> None:
    holder, masked = cut(text, cuts), list(text)
    made, parts, read = text_read(holder)
    assert (read, made.length) == (text, len(text))
    for start, length in spans:
        end = min(start + length, len(text))
        if start < end:
            assert made.mask(start, end)
            masked[start:end] = "*" * (end - start)
    lengths = [len(piece) for piece in holder]
    assert any([part.write() for part in parts]) is any(min(s + n, len(text)) > s for s, n in spans)
    assert "".join(holder) == "".join(masked)
    assert [len(piece) for piece in holder] == lengths


@given(
    st.dictionaries(st.text(max_size=3), st.text(max_size=6) | st.integers(0, 99), max_size=3),
    CUTS,
    st.integers(0, 40),
    st.integers(1, 9),
)
def test_masked_json_stays_json(document: dict[str, Any], cuts: list[int], start: int, length: int) -> None:
    holder = cut(json.dumps(document), cuts)
    made, parts, read = text_read(holder, is_json=True)
    end = min(start + length, len(read))
    if start >= end:
        return
    can_be = made.mask(start, end)
    for part in parts:
        part.write()
    after = json.loads("".join(holder)) if can_be else document
    assert after.keys() == document.keys()
    changed = sum(
        old != new
        for name in document
        for old, new in zip(str(document[name]), str(after[name]), strict=True)
    )
    assert changed <= end - start
    if can_be and "*" not in read[start:end]:
        assert changed == end - start


@pytest.mark.parametrize("at", range(12))
def test_an_escape_that_goes_over_two_parts_is_masked_as_one_character(at: int) -> None:
    written = r'"a\ud83d\ude00b"'
    holder = [written[: at + 2], written[at + 2 :]]
    made, parts, read = text_read(holder, is_json=True)
    assert read == '"a\U0001f600b"'
    assert made.mask(2, 3)
    assert all([part.write() or True for part in parts])
    assert "".join(holder) == '"a*b"'


@pytest.mark.parametrize(
    ("written", "start", "end"),
    [('{"name": 1}', 2, 4), ('{"a": 123}', 6, 9), ('["a", "b"]', 2, 7), ("true", 0, 2)],
)
def test_names_numbers_and_signs_of_json_cannot_be_masked(written: str, start: int, end: int) -> None:
    assert not text_read([written], is_json=True)[0].mask(start, end)


def test_what_stands_nowhere_cannot_be_masked() -> None:
    made, holder = MaskableText(can_mask=True), ["secret"]
    made.add("key: ", None)
    made.add("secret", Part(holder, 0))
    assert not made.mask(2, 7)
    assert made.mask(5, 11)


@pytest.mark.parametrize("is_json", [False, True])
def test_what_was_forgotten_does_not_move_the_rest(is_json: bool) -> None:
    holder = ['"ab', "c", r"\u0064", "", 'ef"']
    made, parts, _ = text_read(holder, is_json=is_json)
    if not is_json:
        made.forget(5)
        assert made.mask(10, 12)
    else:
        made.forget(4)
        made.forget(4)
        assert made.mask(4, 6)
    for part in parts:
        part.write()
    assert "".join(holder) == (r'"abc*' + '*f"' if is_json else r'"abc\u0064**"')


def test_what_was_added_last_reaches_as_far_as_its_last_escape_will() -> None:
    made, part = MaskableText(is_json=True, can_mask=True), Part(["x"], 0)
    assert (made.add(r'"ab\u00', part), made.reach) == ('"ab', 4)
    made.forget(3)
    assert (made.add("73", part), made.reach) == ("s", 4)
