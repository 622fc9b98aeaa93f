"""Whole bodies and their text."""

import json
from typing import Any

import pytest

from shared.bodies.body import DecodedBody
from shared.bodies.text import rules as text_rules
from shared.bodies.text.patterns import Patterns
from shared.bodies.text.rules import TextRules
from shared.http.body_rejected import BodyRejected
from shared.model.messages import Headers

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


def test_arguments_of_tools_stay_json_and_what_cannot_be_masked_there_is_refused() -> None:
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


def test_any_other_json_is_masked_in_its_strings_and_refused_where_that_is_not_enough() -> None:
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
def test_what_is_required_must_be_there_in_what_came(body: bytes, kind: str, masks: bool) -> None:
    judge(body, required=("pleas", "ease"), kind=kind, masks=masks)
    if masks:
        assert judge(body, "pl", required=("please",), kind=kind, masks=masks) == body.replace(b"pl", b"**")
    with pytest.raises(BodyRejected, match="lacks"):
        judge(body, required=("please", "thanks"), kind=kind, masks=masks)


def test_more_matches_than_are_masked_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_rules, "MAX_MASKED", 3)
    assert judge(b"abab", "a", kind="text/plain") == b"*b*b"
    assert judge(b"aaa", "a", kind="text/plain") == b"***"
    with pytest.raises(BodyRejected):
        judge(b"aaaa", "a", kind="text/plain")
