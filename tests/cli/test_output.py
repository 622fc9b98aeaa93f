"""Text for readers: nothing in it controls their terminal."""

import json
from contextlib import redirect_stdout
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from shared.cli.output import FORMATS, Output, as_yaml, visible


def test_text_of_others_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table(["NAME"], [["[red]a\x1b[31m\r\n\u202e:smile:"]])
    assert capsys.readouterr().out == "NAME\n[red]a\\x1b[31m\\r\\n\\u202e:smile:\n"


@given(st.text())
def test_visible_text_is_one_line_of_printable_characters(text: str) -> None:
    assert visible(text).isprintable()


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_yaml_and_names_have_printable_characters_only(text: str) -> None:
    for format in FORMATS[1:]:
        with redirect_stdout(StringIO()) as printed:
            Output(format).whole({"member": text}, name=text)
        assert printed.getvalue().replace("\n", "").isprintable()
    with redirect_stdout(StringIO()) as printed:
        Output("json").document({"member": text})
    assert json.loads(printed.getvalue()) == {"member": text}


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
