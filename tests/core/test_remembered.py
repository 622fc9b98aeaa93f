"""What is asked for again and again is worked out once."""

import doctest

import pytest

from shared.core import remembered
from shared.core.remembered import Remembered


def test_the_example_in_the_docs_is_true() -> None:
    assert doctest.testmod(remembered).failed == 0


def test_each_key_is_worked_out_once() -> None:
    asked: list[int] = []
    squares = Remembered[int, int](lambda key: asked.append(key) or key * key)
    assert [squares[3], squares[3], squares[4]] == [9, 9, 16]
    assert asked == [3, 4]


def test_clients_that_ask_for_ever_new_keys_do_not_fill_the_memory() -> None:
    same = Remembered[int, int](lambda key: key)
    for key in range(10_000):
        assert same[key] == key
    assert len(same) <= 4096


def test_a_fault_is_raised_each_time_and_not_remembered() -> None:
    numbers = Remembered[str, int](int)
    for _ in range(2):
        with pytest.raises(ValueError, match="invalid literal"):
            numbers["x"]
    assert len(numbers) == 0
