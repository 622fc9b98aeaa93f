"""A YAML text is read by YAML 1.2's core schema, with places, variables and bounds."""

import doctest
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cli.files import yaml_text
from shared.cli.files.yaml_text import MAX_ALIASED, read_text
from shared.cli.output import as_yaml


def value(text: str, **environ: str) -> Any:
    read = read_text(text, "f.yaml", environ)
    assert read.faults == []
    return read.value


def faults(text: str, **environ: str) -> list[str]:
    return [str(one) for one in read_text(text, "f.yaml", environ).faults]


def test_examples_of_the_module() -> None:
    assert doctest.testmod(yaml_text).failed == 0


@pytest.mark.parametrize(
    "text", ["on", "yes", "No", "2027-01-01", "12:30:45", "1_000", "0b11", "=", "0o8", "."]
)
def test_text_of_yaml_1_1_types_is_text(text: str) -> None:
    assert value(f"a: {text}") == {"a": text}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("~", None),
        ("", None),
        ("TRUE", True),
        ("0x10", 16),
        ("0o17", 15),
        ("-5", -5),
        ("1e3", 1000.0),
        (".5", 0.5),
    ],
)
def test_core_values_have_their_types(text: str, expected: object) -> None:
    assert value(f"a: {text}") == {"a": expected}
    assert value(f'a: "{text}"') == {"a": text}
    assert value(f"a: !!str {text}") == {"a": text}


def test_each_value_has_its_place() -> None:
    read = read_text("a:\n  b:\n    - c: 1\n", "f.yaml", {})
    assert str(read.places["a", "b", "0", "c"]) == "f.yaml:3:7"
    read.fault(("a", "b", "0", "missing"), "It is missing.")
    assert str(read.faults[0]) == "f.yaml:3:7: a.b.0.missing: It is missing."


def test_variables_stand_in_values_and_keep_the_type_of_what_is_not_quoted() -> None:
    text = 'a: ${N}\nb: "${N}"\nc: x-${NONE:-d}\nd: $${N}\n${N}: 1\n'
    assert value(text, N="5") == {"a": 5, "b": "5", "c": "x-d", "d": "${N}", "${N}": 1}


def test_all_problems_are_told_with_their_places() -> None:
    assert faults("a: ${A}\nb:\n  c: 1\n  c: ${B}\n[x]: 1\n") == [
        "f.yaml:1:1: a: the variable A is not set; set it, or write ${A:-default}",
        "f.yaml:4:3: b.c: It is at f.yaml:3:3, too. Remove one.",
        "f.yaml:5:1: A name must be text.",
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [("a: [1", "1:6"), ("a: b: c", "1:5"), ("\ta: 1", "1:1"), ("a: 1\n---\nb: 2\n", "2:1"), ("a: *b", "1:4")],
)
def test_text_that_is_not_yaml_is_told_with_its_place(text: str, place: str) -> None:
    [fault] = faults(text)
    assert fault.startswith(f"f.yaml:{place}: It is not YAML: ")


def test_few_bytes_do_not_become_many_values() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert faults("\n".join(lines)) == [
        f"f.yaml:1:1: Its aliases stand for more than {MAX_ALIASED:,} values. Write some out."
    ]


@pytest.mark.parametrize("text", ["a: &a [*a]", "[" * 500, "{a: " * 500])
def test_endless_nesting_is_told(text: str) -> None:
    assert len(faults(text)) == 1


def test_anchors_repeat_values() -> None:
    assert value("a: &x {b: 1}\nc: *x\n") == {"a": {"b": 1}, "c": {"b": 1}}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text("abc:#- \n1.eon~", max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text("ab1~", min_size=1, max_size=3), inner, max_size=3)
        ),
    )
)
def test_what_is_dumped_is_read_as_the_same(document: object) -> None:
    assert value(as_yaml(document)) == document


@given(st.text("ab:-[]{}&*!|>'\"%@#,?\n ${}~0", max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    read_text(text, "f.yaml", {})
