"""Patterns that tenants write: how long their matches are, and how they begin."""

import re
import time
from math import inf
from weakref import ref

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.text.pattern_bounds import shape_of
from shared.bodies.text.patterns import PatternError, Patterns, compile_pattern, patterns_of


def test_each_pattern_that_matches_somewhere_is_found() -> None:
    patterns = Patterns(["(?i)ignore previous", r"\bsecret\b", "never"])
    assert patterns.found(["please IGNORE previous rules", "a secret."]) == {0, 1}
    assert patterns.found([]) == set()
    assert patterns.found(["secretary"]) == set()
    assert Patterns(["", "x"]).found(["abc"]) == {0}
    assert not Patterns([])
    assert Patterns([]).found(["text"]) == set()


@given(
    st.text(max_size=20),
    st.text(max_size=20),
    st.text(alphabet="abcä€\N{GRINNING FACE}", min_size=1, max_size=5),
)
def test_pattern_is_found_at_every_position_of_a_text(before: str, after: str, word: str) -> None:
    assert Patterns(["zzz", word]).found([before + word + after]) >= {1}


@pytest.mark.parametrize(
    "pattern", ["(", "(?=a)", "a{2000}", r"\1", "[z-a]", r"\pL{1000}", "a" * 1025, "\ud800"]
)
def test_pattern_that_re2_does_not_support_is_rejected_with_a_sentence(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^Must be .*\.$"):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("sources", "culprit"),
    [
        ([f"[a-z]{number}{{1,500}}x" for number in range(100)], 19),
        (["fine", r"(?i)\pL{1,50}"], 1),
        ([rf"\pL{number}" for number in range(100)], 16),
        (["x" * 1000 for _ in range(100)], 19),
    ],
)
def test_patterns_that_take_long_to_compile_are_rejected(sources: list[str], culprit: int) -> None:
    with pytest.raises(PatternError, match=r"Must be at most 20,000 RE2 .* Shorten counted .*\.$") as caught:
        Patterns(sources)
    assert caught.value.number == culprit


ORDINARY = [
    "(?i)ignore (all )?(previous|prior) instructions",
    r"\b\d{3}-\d{2}-\d{4}\b",
    r"\b(?:\d[ -]*?){13,16}\b",
    r"[\w.+-]{1,64}@[\w-]{1,255}\.[\w.-]{2,24}",
    r"sk-[A-Za-z0-9]{20,64}",
    r"-----BEGIN (RSA |EC )?PRIVATE KEY-----",
    r"eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}",
    "(?is)system prompt.{0,100}(reveal|print)",
]


@pytest.mark.slow
@given(
    st.lists(
        st.sampled_from(ORDINARY) | st.from_regex(r"[a-z]{3,12}( [a-z]{3,12}){0,8}", fullmatch=True),
        max_size=40,
    )
)
def test_ordinary_patterns_are_far_from_the_bound(sources: list[str]) -> None:
    patterns = Patterns(sources + ORDINARY)
    assert patterns.size <= patterns.weight <= 100_000


def test_pattern_list_that_compiles_slowly_has_more_weight_than_its_size() -> None:
    bounded, unbounded = Patterns(["secret" * 50]), Patterns(["secret" * 50, "x+"])
    assert Patterns([]).weight == 0
    assert bounded.weight > bounded.size
    assert unbounded.weight == unbounded.size


def test_patterns_too_large_for_one_set_are_still_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.bodies.text.patterns._SET_MEMORY", 10_000)
    large = Patterns([f"[a-z]{{25}}{number}" for number in range(99)] + ["needle"])
    assert large.found(["hay needle hay"]) == {99}
    assert large.found(["hay"]) == set()


def test_a_wrong_pattern_among_others_is_named_by_its_number() -> None:
    with pytest.raises(PatternError) as caught:
        Patterns(["fine", "("])
    assert caught.value.number == 1


class _Exhausted:
    """Answers as RE2's set does when its memory is used up: with no match, and without an error."""

    def Match(self, text: bytes) -> list[int]:
        return []


def test_a_set_that_runs_out_of_memory_does_not_pass_for_no_match(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns = Patterns(["hay", "needle"])
    monkeypatch.setattr(patterns, "_set", _Exhausted())
    assert patterns.found(["a needle"]) == {1}


def test_a_pattern_that_explodes_elsewhere_is_quick() -> None:
    started = time.perf_counter()
    assert Patterns(["(a+)+$"]).found(["a" * 50_000 + "b"]) == set()
    assert time.perf_counter() - started < 1


def test_pattern_list_is_compiled_once_while_it_is_referenced(monkeypatch: pytest.MonkeyPatch) -> None:
    held = patterns_of(("kept", "by somebody"))
    for number in range(200):
        patterns_of((f"another {number}",))
    monkeypatch.setattr("shared.bodies.text.patterns.Patterns", None)
    assert patterns_of(("kept", "by somebody")) is held
    assert patterns_of(("another 199",)) is patterns_of(("another 199",))


def test_unused_pattern_list_is_dropped_from_the_cache_after_some_others() -> None:
    forgotten = ref(patterns_of(("held by nobody",)))
    for number in range(200):
        patterns_of((f"one more {number}",))
    assert forgotten() is None


def test_patterns_of_a_window_can_be_prepared_before_the_first_search() -> None:
    for sources in (["secret"], ["a.*b"], []):
        Patterns(sources).make_ready()
    assert Patterns(["secret"]).look("my se", 0)[0] == 3


def test_beginnings_that_do_not_fit_hold_back_the_longest_match(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.bodies.text.patterns._SET_MEMORY", 100)
    assert Patterns(["secret"]).look("-" * 100, 0)[0] == 94


def test_patterns_with_too_many_prefixes_to_compile_hold_the_longest_match() -> None:
    many = Patterns([f"(?i)word{number}" + "abcdefgh" * 8 for number in range(100)])
    assert many.look("-" * 100, 0)[0] == 100 - many.longest


@pytest.mark.parametrize(
    ("pattern", "longest"),
    [
        ("secret", 6),
        ("", 0),
        ("a.{0,20}b", 22),
        ("a.*b", inf),
        ("a+", inf),
        ("(a+)+$", inf),
        ("a{2,}", inf),
        ("a{2}", 2),
        ("a{0}", 0),
        ("a?b??", 2),
        ("a{2,5}?b", 6),
        ("(?:ab){2,3}", 6),
        ("((a|bcd)x){2}", 8),
        ("a|bcd||e", 3),
        ("()", 0),
        ("(?P<name>ab)(?<other>c)", 3),
        (r"^\Aa\b\B$\z", 1),
        ("(?:^|$)*a", 1),
        (r"\Qa.b\Ec", 4),
        (r"\Qa*", 2),
        (r"\Qab\E{3}", 4),
        ("[]a]b", 2),
        ("[^]a]{3}", 3),
        (r"[a\]b][[:alpha:]][[:^alpha:]x][\d\pL\p{Greek}\x{41}]", 4),
        (r"\d\pL\PN\p{Greek}\p{^Greek}\x41\x{10FFFF}\123\n\.\_", 11),
        ("a{,3}", 5),
        ("a{3", 3),
        ("x{", 2),
        ("]}", 2),
        ("(?i)ab(?-i)c", 3),
        ("(?i:ab)(?ims-U:c)d", 4),
        ("a(?i)b|c", 2),
        ("äé\U0001f600", 3),
    ],
)
def test_the_longest_match_is_known(pattern: str, longest: float) -> None:
    compile_pattern(pattern)
    shape = shape_of(pattern)
    assert shape is not None
    assert shape.longest == longest
    compile_pattern(shape.whole)
    compile_pattern(shape.partial)


@pytest.mark.parametrize("pattern", [r"a\C", "(" * 900 + ")" * 900, "a)", "(a", "[a"])
def test_pattern_that_cannot_be_analyzed_has_no_shape(pattern: str) -> None:
    assert shape_of(pattern) is None


ATOMS = st.sampled_from(
    ["a", "b", ".", r"\w", "[ab]", "[^a]", r"\b", "^", "$", "(?i)", "(?s)", "é", r"\Qa.\E", r"\x41"]
)
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=4).map("".join)
        | st.lists(inner, min_size=1, max_size=3).map("|".join)
        | st.tuples(inner, st.sampled_from(["?", "{2}", "{0,3}", "{1,2}?", "*", "+?", ""])).map(
            lambda both: f"(?:{both[0]}){both[1]}"
        )
    ),
    max_leaves=8,
)


@given(PATTERNS, st.text(alphabet="abA. é\n", max_size=12))
def test_every_match_is_within_its_length_and_its_parts_begin_like_it(pattern: str, text: str) -> None:
    try:
        found = list(compile_pattern(pattern).finditer(text))
    except ValueError:
        return
    shape = shape_of(pattern)
    assert shape is not None
    partial = re2.compile(f"(?:{shape.partial})")
    for match in found:
        assert len(match.group()) <= shape.longest
        for end in range(len(match.group()) + 1):
            assert partial.fullmatch(match.group()[:end]), (shape.partial, match.group()[:end])


@given(st.from_regex(re.compile(r"[a-c?*+{}()|\\\[\]^$.,1-3Qpb-]{0,12}")))
def test_pattern_that_re2_accepts_is_analyzed_without_an_error(pattern: str) -> None:
    try:
        compile_pattern(pattern)
    except ValueError:
        return
    shape = shape_of(pattern)
    if shape is not None:
        compile_pattern(shape.whole)


@given(PATTERNS, st.lists(st.text(alphabet="abA. é\n", max_size=12), max_size=4), st.integers(1, 20))
def test_what_is_found_in_many_texts_is_what_is_found_in_each(
    pattern: str, texts: list[str], long: int
) -> None:
    try:
        patterns = Patterns([pattern])
    except PatternError:
        return
    expected = {0} if any(compile_pattern(pattern).search(text) for text in texts) else set()
    with pytest.MonkeyPatch.context() as patch:
        # Long and short texts, and lists of them that are searched together, are all short here.
        patch.setattr("shared.bodies.text.patterns.SLICE", long)
        patch.setattr("shared.bodies.text.patterns._LONG", long)
        assert patterns.found(texts) == expected
