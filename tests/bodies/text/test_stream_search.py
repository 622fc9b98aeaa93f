"""Matches in a text that comes in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.text.patterns import Match, Patterns
from shared.bodies.text.stream_search import StreamSearch

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


def test_what_ends_a_text_matters_only_where_it_ends() -> None:
    search, told = StreamSearch(Patterns(["secret$"])), []
    search.add("the secret", lambda match: told.append(match) or True)  # type: ignore[func-returns-value]
    search.report_if_over(lambda match: told.append(match) or True)  # type: ignore[func-returns-value]
    assert told == [Match(0, 4, 10)]
    search.add("ary", lambda match: told.append(match) or True)  # type: ignore[func-returns-value]
    search.end(lambda match: told.append(match) or True)  # type: ignore[func-returns-value]
    assert told == [Match(0, 4, 10)]


def test_who_has_seen_enough_of_a_pattern_is_told_no_more() -> None:
    told: list[Match] = []

    def once(match: Match) -> bool:
        told.append(match)
        return False

    StreamSearch(Patterns(["a", "b"])).add("aabb-", once)
    assert [match.number for match in told] == [0, 1]


@pytest.mark.parametrize("source", ["a.*b", r"a\C", "a{2,}"])
def test_without_a_bound_nothing_is_settled_before_the_end(source: str) -> None:
    search = StreamSearch(Patterns([source]))
    search.add("x" * 100, lambda _: True)
    assert search.settled == 0
    search.end(lambda _: True)
    assert search.settled == 100
