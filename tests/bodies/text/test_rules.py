"""Whole bodies and their text, put together from parts and masked where they stand."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.body import DecodedBody
from shared.bodies.text import rules as text_rules
from shared.bodies.text.maskable_text import MaskableText, Part
from shared.bodies.text.patterns import Patterns
from shared.bodies.text.rules import TextRules
from shared.http.body_rejected import BodyRejected
from shared.model.messages import Headers
from tests.bodies.streams import cut

JSON = "application/json"


def judge(
    body: bytes, *blocked: str, required: tuple[str, ...] = (), kind: str = JSON, masks: bool = True
) -> bytes | None:
    opened = DecodedBody.of(Headers([("Content-Type", kind)]), body)
    rules = TextRules(Patterns(blocked), Patterns(required), masks=masks)
    return rules.judge_body(opened, opened.document(demanded=False))


def masked(document: Any, *blocked: str) -> Any:
    made = judge(json.dumps(document).encode(), *blocked)
    return made and json.loads(made)


def test_text_in_json_is_masked_character_by_character_and_stays_json() -> None:
    ask = {"model": "secret", "messages": [{"role": "user", "content": 'my "secret" \U0001f600'}]}
    made = masked(ask, "secret", '"')
    assert made == {"model": "secret", "messages": [{"role": "user", "content": "my ******** \U0001f600"}]}
    assert masked(ask, "nothing") is None


def test_a_match_over_two_parts_is_masked_in_both() -> None:
    parts = [{"type": "text", "text": "my sec"}, {"type": "image"}, {"type": "text", "text": "ret is"}]
    made = masked({"messages": [{"content": parts}]}, "secret")
    assert [part.get("text") for part in made["messages"][0]["content"]] == ["my ***", None, "*** is"]


def test_arguments_of_tools_stay_json_and_what_cannot_be_masked_there_is_rejected() -> None:
    def call(arguments: Any) -> dict[str, Any]:
        return {"messages": [{"tool_calls": [{"function": {"arguments": json.dumps(arguments)}}]}]}

    made = masked(call({"a": 'x"secret', "b": 7}), '"?secret')
    assert json.loads(made["messages"][0]["tool_calls"][0]["function"]["arguments"]) == {
        "a": "x*******",
        "b": 7,
    }
    made = masked({"content": [{"type": "tool_use", "input": {"a": ["x secret"]}}]}, "secret")
    assert made["content"][0]["input"] == {"a": ["x ******"]}
    for document in (call({"secret": 1}), {"content": [{"type": "tool_use", "input": {"secret": 1}}]}):
        with pytest.raises(BodyRejected):
            masked(document, "secret")
    with pytest.raises(BodyRejected):
        masked(call({"a": 1234}), r"\d{4}")


def test_the_tokens_of_what_is_masked_go_with_it() -> None:
    response = {"choices": [{"message": {"content": "secret"}, "logprobs": {"content": [{"token": "sec"}]}}]}
    assert "sec" not in json.dumps(masked(response, "secret"))


def test_any_other_json_is_masked_in_its_strings_and_rejected_where_that_is_not_enough() -> None:
    assert masked({"q": ["a secret"], "n": 7}, "secret") == {"q": ["a ******"], "n": 7}
    assert masked("a secret", "secret") == "a ******"
    for document, pattern in (({"secret": 1}, "secret"), ({"n": 1234}, r"\d{4}"), ({"a": True}, '"a": true')):
        with pytest.raises(BodyRejected):
            masked(document, pattern)


def test_plain_text_is_masked_where_it_is_utf8() -> None:
    assert judge("é secret".encode(), "secret", kind="text/plain") == "é ******".encode()
    assert judge(b"\xe9 hello", "secret", kind="text/plain") is None
    with pytest.raises(BodyRejected):
        judge(b"\xe9 secret", "secret", kind="text/plain")


def test_forms_are_masked_unless_the_text_is_hidden_by_its_coding() -> None:
    form = "application/x-www-form-urlencoded"
    assert judge(b"q=secret", "secret", kind=form) == b"q=******"
    assert judge(b"q=hello", "secret", kind=form) is None
    with pytest.raises(BodyRejected):
        judge(b"q=s%65cret", "secret", kind=form)
    assert judge(b"q=%61", required=("^q=a$",), kind=form) is None


def test_a_match_of_nothing_is_nothing_to_mask() -> None:
    assert judge(b'{"q": "x"}', "z*", "$") is None
    with pytest.raises(BodyRejected):
        judge(b'{"q": "x"}', "z*", masks=False)


@pytest.mark.parametrize("masks", [True, False])
@pytest.mark.parametrize(
    ("body", "kind"),
    [(b'{"messages":[{"content":"please"}]}', JSON), (b'{"q":["please"]}', JSON), (b"please", "text/plain")],
)
def test_required_pattern_must_match_the_body_before_masking(body: bytes, kind: str, masks: bool) -> None:
    judge(body, required=("pleas", "ease"), kind=kind, masks=masks)
    if masks:
        assert judge(body, "pl", required=("please",), kind=kind, masks=masks) == body.replace(b"pl", b"**")
    with pytest.raises(BodyRejected, match="lacks"):
        judge(body, required=("please", "thanks"), kind=kind, masks=masks)


def test_more_matches_than_are_masked_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_rules, "MAX_MASKED", 3)
    assert judge(b"abab", "a", kind="text/plain") == b"*b*b"
    assert judge(b"aaa", "a", kind="text/plain") == b"***"
    with pytest.raises(BodyRejected):
        judge(b"aaaa", "a", kind="text/plain")


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


def test_text_without_a_part_of_the_body_cannot_be_masked() -> None:
    made, holder = MaskableText(can_mask=True), ["secret"]
    made.add("key: ", None)
    made.add("secret", Part(holder, 0))
    assert not made.mask(2, 7)
    assert made.mask(5, 11)


@pytest.mark.parametrize("is_json", [False, True])
def test_mask_after_forgotten_text_is_written_at_the_right_offset(is_json: bool) -> None:
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


def test_reach_of_added_text_includes_an_incomplete_escape() -> None:
    made, part = MaskableText(is_json=True, can_mask=True), Part(["x"], 0)
    assert (made.add(r'"ab\u00', part), made.reach) == ('"ab', 4)
    made.forget(3)
    assert (made.add("73", part), made.reach) == ("s", 4)
