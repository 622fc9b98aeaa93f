"""Globs: of models, and of paths."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.globs import matches_glob, matches_path, precision
from shared.http.paths import normalize_path

few = st.text("ab*/", max_size=8)


@pytest.mark.parametrize(
    ("glob", "text", "does"),
    [
        ("gpt-4o*", "gpt-4o", True),
        ("gpt-4o*", "gpt-4o-mini", True),
        ("gpt-4o*", "gpt-4", False),
        ("gpt-4o", "GPT-4o", False),
        ("*", "", True),
        ("", "", True),
        ("", "x", False),
        ("*-mini", "gpt-4o-mini", True),
        ("gpt-*-mini", "gpt-4o-mini", True),
        ("gpt-*-mini", "gpt-mini", False),
        ("a*a", "a", False),
        ("*a*b*", "xbxa", False),
        ("[ab].?", "[ab].?", True),
        ("[ab]", "a", False),
    ],
)
def test_star_in_a_glob_matches_any_characters_and_the_rest_is_literal(
    glob: str, text: str, does: bool
) -> None:
    assert matches_glob(glob, text) is does


@given(few, few.map(lambda text: text.replace("*", "a")))
def test_a_glob_matches_what_the_same_regular_expression_matches(glob: str, text: str) -> None:
    pattern = ".*".join(re.escape(part) for part in glob.split("*"))
    assert matches_glob(glob, text) is (re.fullmatch(pattern, text, re.DOTALL) is not None)


@given(st.lists(st.text(max_size=4)), st.lists(st.text(max_size=4), min_size=1))
def test_a_glob_matches_every_text_that_its_stars_can_be_filled_to(fill: list[str], parts: list[str]) -> None:
    parts = [part.replace("*", "") for part in parts]
    filled = "".join(part + (fill[i % len(fill)] if fill else "") for i, part in enumerate(parts[:-1]))
    assert matches_glob("*".join(parts), filled + parts[-1])


def test_many_stars_take_no_long_time() -> None:
    assert not matches_glob("*a" * 60 + "b", "a" * 5000)


def test_the_more_a_glob_spells_out_the_more_precise_it_is() -> None:
    globs = ["*", "gpt-*", "gpt-4o*", "*-mini", "gpt-4o", "gpt-4o-mini"]
    assert sorted(globs, key=precision) == ["gpt-4o-mini", "gpt-4o", "gpt-4o*", "*-mini", "gpt-*", "*"]


@given(st.permutations(["*", "a*", "*a", "ab", "a*b"]))
def test_precision_of_globs_is_independent_of_their_order(globs: list[str]) -> None:
    assert sorted(globs, key=precision) == ["ab", "a*b", "*a", "a*", "*"]


@pytest.mark.parametrize(
    ("glob", "path", "does"),
    [
        ("/v1", "/v1", True),
        ("/v1", "/v1/", True),
        ("/v1/", "/v1", True),
        ("/v1", "/v1/chat", True),
        ("/v1", "/v1evil", False),
        ("/v1*", "/v1evil", True),
        ("/", "/anything", True),
        ("/*/chat", "/v1/chat/completions", True),
        ("/*/chat", "/chat", False),
    ],
)
def test_path_pattern_matches_itself_and_the_paths_below_it(glob: str, path: str, does: bool) -> None:
    assert matches_path(glob, path) is does


@given(st.text("/ab", max_size=8), st.text("/ab.%-", max_size=6))
def test_glob_is_escaped_by_no_spelling_of_a_path_below(folder: str, below: str) -> None:
    top = normalize_path(f"/{folder}")
    try:
        path = normalize_path(f"/{folder}/{below}")
    except ValueError:
        return
    if ".." not in below:
        assert matches_path(top, path)
