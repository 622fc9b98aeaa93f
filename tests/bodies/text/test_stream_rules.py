"""Streams whose text is judged while it passes, and matches in a text that comes in pieces."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.text import stream_rules as text_judge
from shared.bodies.text.patterns import Match, Patterns
from shared.bodies.text.rules import TextRules
from shared.bodies.text.stream_rules import MAX_HELD, TextJudge
from shared.bodies.text.stream_search import StreamSearch
from shared.http.body_rejected import BodyRejected
from shared.model.event import Event


def judge(*blocked: str, required: Sequence[str] = (), masks: bool = False, **more: Any) -> TextJudge:
    return TextJudge(TextRules(Patterns(blocked), Patterns(required), masks), **more)


def event(document: Any) -> Event:
    data = document if isinstance(document, str) else json.dumps(document)
    return Event(f"data: {data}\n\n".encode(), data)


def chat(text: str, index: int = 0, name: str = "content", finish: str | None = None) -> Event:
    return event({"choices": [{"index": index, "delta": {name: text}, "finish_reason": finish}]})


def texts(events: Sequence[Event]) -> list[str]:
    """The contents of chat events; of others the data."""
    found = []
    for one in events:
        choices = json.loads(one.data or "{}").get("choices") if (one.data or "").startswith("{") else None
        found.append(next(iter(choices[0]["delta"].values()), "") if choices else one.data or "")
    return found


def fed(one: TextJudge, *events: Event) -> list[list[str]]:
    return [texts(one.feed(given)) for given in events]


def test_only_what_may_be_the_beginning_of_a_match_waits() -> None:
    one = judge("secret", r"\d{3,4}")
    sent = fed(one, chat("Hello "), chat("my se"), chat("lf 1"), chat("2"), chat(" "))
    assert sent == [["Hello "], [], ["my se"], [], ["lf 1", "2", " "]]


def test_events_without_text_keep_their_place_behind_what_waits() -> None:
    one = judge("secret")
    assert fed(one, chat("my se"), Event(b": ping\n\n", None), chat("lf")) == [[], [], ["my se", "", "lf"]]


def test_partial_match_is_held_and_never_sent() -> None:
    one = judge("secret")
    assert fed(one, chat("the "), chat("sec"), chat("re")) == [["the "], [], []]
    with pytest.raises(BodyRejected, match="not allowed"):
        one.feed(chat("t is"))


def test_a_match_at_the_very_end_is_found_or_masked_there() -> None:
    one = judge("secret$", masks=True)
    assert fed(one, chat("a secret"), chat("", finish="stop")) == [[], ["a ******", ""]]
    assert one.end() == []
    one = judge("secret$")
    assert fed(one, chat("secret")) == [[]]
    with pytest.raises(BodyRejected):
        one.end()
    one = judge("secret$")
    assert fed(one, chat("secret"), chat("ly")) == [[], ["secret", "ly"]]
    assert one.end() == []


@pytest.mark.parametrize("finish", [chat("", finish="stop"), event("[DONE]")])
def test_held_text_is_judged_and_sent_when_the_stream_ends_the_text(finish: Event) -> None:
    one = judge("secret")
    assert len(fed(one, chat("yes"))[0]) == 0
    assert len(one.feed(finish)) == 2
    one = judge("secret$")
    one.feed(chat("secret"))
    with pytest.raises(BodyRejected):
        one.feed(finish)


def test_a_text_that_goes_on_after_it_was_over_is_judged_all_the_same() -> None:
    for masks in (False, True):
        one = judge("secret", masks=masks)
        assert fed(one, chat("sec"), chat("", finish="stop")) == [[], ["sec", ""]]
        with pytest.raises(BodyRejected):
            one.feed(chat("ret!"))


def test_two_choices_wait_for_themselves_alone_but_keep_their_order() -> None:
    one = judge("secret")
    sent = fed(one, chat("sec"), chat("hello", 1), chat("ond"), chat("s", 1))
    assert sent == [[], [], ["sec", "hello", "ond"], []]
    assert texts(one.end()) == ["s"]


def test_held_bytes_of_a_stream_are_bounded() -> None:
    one = judge("secret")
    assert one.feed(chat("the s")) == []
    long = chat("x" * 1000, name="reasoning")
    sent = [out for _ in range(MAX_HELD // len(long.raw) + 1) for out in one.feed(long)]
    assert len(sent) == MAX_HELD // len(long.raw) + 2
    with pytest.raises(BodyRejected):
        one.feed(chat("ecret!"))


def test_a_long_event_does_not_drive_out_its_own_text() -> None:
    one = judge("secret")
    assert one.feed(chat("x" * MAX_HELD + "secre")) == []
    with pytest.raises(BodyRejected):
        one.feed(chat("t!"))


def test_masked_text_stays_valid_over_events_and_their_escapes() -> None:
    one = judge('ret "x', "é", masks=True)
    sent = [out for text in ("sec", 'ret "', "xé!", "end") for out in one.feed(chat(text))] + one.end()
    assert texts(sent) == ["sec", "*****", "**!", "end"]


def test_match_that_cannot_be_masked_rejects_the_stream() -> None:
    one = judge("1234", masks=True)
    with pytest.raises(BodyRejected):
        one.feed(event({"n": 12345}))
    calls = [{"index": 0, "function": {"arguments": '{"1234"'}}]
    with pytest.raises(BodyRejected):
        [*one.feed(event({"choices": [{"index": 0, "delta": {"tool_calls": calls}}]})), *one.end()]


def test_more_matches_than_are_masked_end_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_judge, "MAX_MASKED", 3)
    one = judge("a", masks=True)
    assert fed(one, chat("aa"), chat("a-")) == [[], ["**", "*-"]]
    with pytest.raises(BodyRejected):
        one.feed(chat("a-"))


def test_the_last_event_waits_while_something_is_required() -> None:
    one = judge(required=["please", "^th(a|e)n"])
    done = event("[DONE]")
    sent = fed(one, chat("then "), chat("ple"), done, Event(b": bye\n\n", None))
    assert sent == [[], ["then "], ["ple"], []]
    with pytest.raises(BodyRejected, match="lacks"):
        one.end()
    one = judge(required=["please"])
    assert fed(one, chat("ple"), chat("ase!")) == [[], ["ple", "ase!"]]
    assert one.end() == []


def test_required_pattern_may_match_at_the_end_or_in_a_separate_text() -> None:
    one = judge(required=["please$"])
    assert one.feed(chat("please")) == []
    assert texts(one.end()) == ["please"]
    one = judge(required=["please"])
    whole = event({"type": "response.output_text.done", "text": "please"})
    assert one.feed(whole) == [whole]


def test_unbounded_pattern_holds_all_events_until_the_end() -> None:
    one = judge("a.*b")
    assert fed(one, chat("x"), chat("y")) == [[], []]
    assert texts(one.end()) == ["x", "y"]


def test_the_size_counts_as_it_comes() -> None:
    for one in (judge(max_size=20), TextJudge(None, max_size=20)):
        first = event("x" * 10)
        assert one.feed(first) == [first]
        with pytest.raises(BodyRejected, match="longer"):
            one.feed(event("yy"))


def test_stream_without_rules_passes_data_that_is_not_readable() -> None:
    one, twice = TextJudge(None), event('{"a":1,"a":2}')
    assert one.feed(twice) == [twice]
    assert one.end() == []


def test_a_stream_has_a_bounded_number_of_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_judge, "MAX_TEXTS", 3)
    one = judge("x")
    for index in (0, 1, 2, 0):
        one.feed(chat("a", index))
    with pytest.raises(BodyRejected, match="more than 3"):
        one.feed(chat("a", 3))


PATTERNS = (
    "secret", "(?i)ab{1,3}", "a{2,5}b", r"\bfoo\b", "foo$", "^foo", "(?m)^b$", "x{0,2}", "", "[ab]{3}", "a|ab|abc",
    r"\Bb", "a.{0,3}b", "(?:ab){1,2}?c", "é{1,3}b", "(?:a|ab)(?:c|bcd)", r"\b", r"b\z", "$", "a+", "a.*b", r"a\Cb",
)  # fmt: skip
TEXTS = st.text(alphabet="abcfo é\nx", max_size=16) | st.lists(
    st.sampled_from(["foo", "secret", "ab", "b", " ", "\n", "sec", "ret"]), max_size=6
).map("".join)


def found(patterns: Patterns, pieces: list[str]) -> list[Match]:
    search, matches = StreamSearch(patterns), []
    for piece in pieces:
        search.add(piece, lambda match: matches.append(match) or True)  # type: ignore[func-returns-value]
        assert search.settled <= search.length
        assert search.length - search.settled <= patterns.longest
    search.end(lambda match: matches.append(match) or True)  # type: ignore[func-returns-value]
    return matches


@given(
    TEXTS,
    st.lists(st.integers(0, 16), max_size=6),
    st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3),
)
def test_a_cut_text_has_the_matches_of_the_whole(text: str, cuts: list[int], sources: list[str]) -> None:
    patterns = Patterns(sources)
    places = sorted(min(cut, len(text)) for cut in cuts)
    pieces = [text[start:end] for start, end in zip([0, *places], [*places, None], strict=True)]
    assert set(found(patterns, pieces)) == set(patterns.matches(text))


def test_only_what_may_be_the_beginning_of_a_match_is_unsettled() -> None:
    search = StreamSearch(Patterns(["secret", r"\d{13,16}"]))
    for piece, settled in [("Hello, my se", 10), ("cond is", 18), ("12", 19), (" ", 22)]:
        search.add(piece, lambda _: True)
        assert search.settled == settled


def test_patterns_too_large_for_their_beginnings_hold_back_as_much_as_they_may_match() -> None:
    large = Patterns([rf"[a-zé]{{25}}{number}" for number in range(99)])
    search = StreamSearch(large)
    search.add("-" * 100, lambda _: True)
    assert search.settled == 100 - large.longest == 73
    assert found(large, ["-" * 20 + "é" * 20, "é" * 10, "7-"]) == [Match(7, 25, 51)]


def test_pattern_with_an_end_anchor_matches_only_where_the_text_ends() -> None:
    search, told = StreamSearch(Patterns(["secret$"])), []
    search.add("the secret", lambda match: told.append(match) or True)  # type: ignore[func-returns-value]
    search.report_if_over(lambda match: told.append(match) or True)  # type: ignore[func-returns-value]
    assert told == [Match(0, 4, 10)]
    search.add("ary", lambda match: told.append(match) or True)  # type: ignore[func-returns-value]
    search.end(lambda match: told.append(match) or True)  # type: ignore[func-returns-value]
    assert told == [Match(0, 4, 10)]


def test_pattern_is_reported_no_more_after_its_callback_returns_false() -> None:
    told: list[Match] = []

    def once(match: Match) -> bool:
        told.append(match)
        return False

    StreamSearch(Patterns(["a", "b"])).add("aabb-", once)
    assert [match.number for match in told] == [0, 1]


@pytest.mark.parametrize("source", ["a.*b", r"a\C", "a{2,}"])
def test_unbounded_pattern_settles_nothing_before_the_end(source: str) -> None:
    search = StreamSearch(Patterns([source]))
    search.add("x" * 100, lambda _: True)
    assert search.settled == 0
    search.end(lambda _: True)
    assert search.settled == 100
