"""A value that is asked for again and again is computed once."""

import doctest

import pytest

from shared.core import memo as remembered
from shared.core.memo import Memo


def test_the_example_in_the_docs_is_true() -> None:
    assert doctest.testmod(remembered).failed == 0


def test_memo_computes_each_key_once() -> None:
    asked: list[str] = []
    lengths = Memo[str, int](lambda key: asked.append(key) or len(key))
    assert [lengths["a"], lengths["a"], lengths["bc"]] == [1, 1, 2]
    assert asked == ["a", "bc"]


def test_memo_is_bounded_for_ever_changing_keys() -> None:
    same = Memo[str, str](lambda key: key)
    for number in range(10_000):
        assert same[f"x-{number}"] == f"x-{number}"
    assert len(same) <= 4096
    same.clear()
    assert same["x" * 30_000] == "x" * 30_000
    assert len(same) == 0


def test_a_fault_is_raised_each_time_and_not_remembered() -> None:
    numbers = Memo[str, int](int)
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            numbers["x"]
    assert len(numbers) == 0
