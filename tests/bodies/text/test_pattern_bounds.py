"""How long matches are, and how they begin."""

import re
from math import inf

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.text.pattern_bounds import shape_of
from shared.bodies.text.patterns import compile_pattern


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
def test_what_is_not_known_has_no_shape(pattern: str) -> None:
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
def test_whatever_re2_takes_is_read_without_an_error(pattern: str) -> None:
    try:
        compile_pattern(pattern)
    except ValueError:
        return
    shape = shape_of(pattern)
    if shape is not None:
        compile_pattern(shape.whole)
