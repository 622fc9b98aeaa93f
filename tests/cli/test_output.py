"""What is printed for readers: nothing in it controls their terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from shared.cli.output import Output, as_yaml, visible


def test_text_of_others_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table(["NAME"], [["[red]a\x1b[31m\r\n\u202e:smile:"]])
    assert capsys.readouterr().out == "NAME\n[red]a\\x1b[31m\\r\\n\\u202e:smile:\n"


@given(st.text())
def test_visible_text_is_one_line_of_printable_characters(text: str) -> None:
    assert visible(text).isprintable()


def test_null_truth_and_lists_are_words() -> None:
    assert [*map(visible, (None, True, False, [], ["a", None], 0))] == ["-", "yes", "no", "-", "a, -", "0"]


def test_long_line_is_not_wrapped_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table([], [["x" * 500, "y"]])
    assert capsys.readouterr().out == f"{'x' * 500}  y\n"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("abc:#- \n", min_size=1), inner),
    )
)
def test_yaml_is_read_as_the_same_document(document: object) -> None:
    assert YAML(typ="safe", pure=True).load(as_yaml(document)) == document
