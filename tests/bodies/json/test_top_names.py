"""Names at the top of a document, which every reader has to take for the same member."""

from typing import Any

import pytest

from shared.bodies.json.top_names import ANY_NAMES, TopNames

NAMES = TopNames(["model", "Stream", "stream"])


@pytest.mark.parametrize(
    "document",
    [
        {"model": 1, "other": 2},
        {"stream": 1},
        {"Stream": 1},
        {"x" * 600: 1},
        {"Other": {"MODEL": 1}},
        [],
        "x",
    ],
)
def test_names_as_they_are_written_pass_each_time(document: Any) -> None:
    for _ in range(2):
        NAMES.check(document)
        ANY_NAMES.check(document)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"Model": 1}, "The body has the key 'Model' at its top level. Write it as: model."),
        ({"STREAM": 1}, "The body has the key 'STREAM' at its top level. Write it as: Stream, stream."),
        ({"a": 1, "A": 2}, "The body has two keys at its top level that differ in case alone."),
        (
            {"stra\u00dfe": 1, "STRASSE": 2},
            "The body has two keys at its top level that differ in case alone.",
        ),
    ],
)
def test_another_case_is_rejected_each_time(document: Any, message: str) -> None:
    NAMES.check({name.casefold() * 2: 1 for name in document})
    for _ in range(2):
        with pytest.raises(ValueError, match="at its top level") as raised:
            NAMES.check(document)
        assert str(raised.value) == message


def test_names_that_clients_choose_take_a_bounded_place() -> None:
    names = TopNames()
    for number in range(1000):
        names.check({str(number): 1})
    names.check({"x" * 600: 1})
    assert len(names._good) <= 64
    assert all(len(name) < 600 for name, *_ in names._good)
