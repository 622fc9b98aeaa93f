"""Events that differ from the one before in one text alone get the same verdict as by themselves."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.json.parse import BOUNDS
from shared.bodies.text import stream_rules
from shared.bodies.text.event_text import EventText
from shared.bodies.text.patterns import Patterns
from shared.bodies.text.repeated_event import RepeatedEvent, around_text, repeated_event
from shared.bodies.text.rules import TextRules
from shared.bodies.text.stream_rules import TextJudge
from shared.http.body_rejected import BodyRejected
from shared.model.event import Event

SHAPES: list[Any] = [
    lambda text: {"id": "i1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]},
    lambda text: {"choices": [{"index": 1, "delta": {"content": text, "id": "x"}}]},
    lambda text: {"choices": [{"index": 0, "delta": {"function_call": {"arguments": text}}}]},
    lambda text: {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": text},
    },
    lambda text: {"type": "response.output_text.delta", "item_id": "m", "content_index": 0, "delta": text},
    lambda text: {"candidates": [{"content": {"parts": [{"text": text}]}}]},
    lambda text: {"done": False, "message": {"content": text}},
    lambda text: {"done": False, "response": "same", "message": {"content": text}},
    lambda text: {"type": text, "choices": []},
    lambda text: {"text": text},
    lambda text: text,
]
WORDS = st.sampled_from(
    [
        "se",
        "cret",
        "secret",
        "s",
        " ",
        "",
        "a",
        '"',
        "\\",
        "\n",
        "é",
        "\x7f",
        '"}',
        ":",
        "any text",
        "type",
        "12",
    ]
)


def event(shape: int, text: str, *, is_ascii: bool = True) -> Event:
    data = json.dumps(SHAPES[shape](text), ensure_ascii=is_ascii)
    return Event(f"data: {data}\n\n".encode(), data)


def around(one: Event) -> Any:
    return around_text(one, EventText(one))


def outcome(judge: TextJudge, one: Event | None) -> object:
    try:
        return judge.end() if one is None else judge.feed(one)
    except BodyRejected as error:
        return str(error)


@given(
    st.lists(st.tuples(st.integers(0, len(SHAPES) - 1), WORDS, st.booleans()), max_size=6),
    st.integers(0, len(SHAPES) - 1),
    st.lists(WORDS, max_size=12),
    st.sampled_from([["secret"], [r"\bs\d{1,3}"], ["(?i)e.{0,4}e$"]]),
    st.sampled_from([[], ["12"]]),
)
def test_repeated_events_get_the_verdict_that_each_gets_by_itself(
    mixed: list[tuple[int, str, bool]], shape: int, words: list[str], blocked: list[str], required: list[str]
) -> None:
    events = [event(shape, word) for word in ["a", "b", *words]]
    events += [event(*one[:2], is_ascii=one[2]) for one in mixed] + events[2:]
    rules = TextRules(Patterns(blocked), Patterns(required))
    quick, slow = TextJudge(rules), TextJudge(rules)
    for one in [*events, event(0, "[DONE]"), None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stream_rules, "around_text", lambda *_: None)
            expected = outcome(slow, one)
        assert outcome(quick, one) == expected
        if isinstance(expected, str):
            return


def repeated(shape: int) -> RepeatedEvent | None:
    return repeated_event(event(shape, "a"), around(event(shape, "a")), BOUNDS)


def test_only_the_text_may_differ_and_only_without_escapes() -> None:
    known = repeated(0)
    assert known is not None
    texts = ["b", "", "é", '"', "\\", "\n", "\x01"]
    found = [known.text_in(event(0, text, is_ascii=False).data or "") for text in texts]
    assert found == ["b", "", "é", None, None, None, None]
    others = [event(1, "b"), event(0, 'b"}}],"id":"'), Event(b"", "data"), Event(b"", '{"id": "a"')]
    assert [known.text_in(one.data or "") for one in others] == [None] * 4


@pytest.mark.parametrize(
    "data",
    [
        '{"choices":[{"delta":{"content":"a","refusal":"b"}}]}',
        '{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}',
        '{"choices":[{"delta":{"role":"a b"}}]}',
        '{"type":"a b"}',
        '{"candidates":[{"content":{"parts":[{"inlineData":{"filename":"a.b","data":"c2VjcmV0"}}]}}]}',
        r'{"choices":[{"delta":{"content":"\u0061"}}]}',
        "[DONE]",
        "a",
    ],
)
def test_events_with_another_text_or_a_text_that_its_value_decides_are_read_each(data: str) -> None:
    assert around(Event(b"", data)) is None


@pytest.mark.parametrize(
    "data",
    [
        r'{"\"":1,"choices":[{"delta":{"content":"a"}}]}',
        '{"any text":1,"choices":[{"delta":{"content":"a"}}]}',
        '{"id":"a","choices":[{"delta":{"content":"a"}}]}',
        '{"choices":[{"delta":{"content":":"}}]}',
    ],
)
def test_a_text_whose_place_is_not_sure_is_read_each_time(data: str) -> None:
    one = Event(b"", data)
    assert repeated_event(one, around(one), BOUNDS) is None


def test_the_search_reads_no_json_once_events_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = TextJudge(TextRules(Patterns(["secret"]), Patterns([])))
    for word in ("a", "b"):
        judge.feed(event(0, word))
    monkeypatch.setattr(stream_rules, "EventText", None)
    assert judge.feed(event(0, " se")) == []
    assert len(judge.feed(event(0, "lf"))) == 2
    with pytest.raises(BodyRejected, match="not allowed"):
        judge.feed(event(0, "a secret."))
