"""Sizes as people write them."""

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import sizes
from shared.core.sizes import parse_size


def test_the_examples_run() -> None:
    assert doctest.testmod(sizes).failed == 0


@given(st.integers(1, 10**12 - 1), st.sampled_from(["", "B", "kb", "MB", " GB"]))
def test_units_are_binary(amount: int, unit: str) -> None:
    assert parse_size(f"{amount}{unit}") == amount * sizes.UNITS[unit.strip().upper()]


@pytest.mark.parametrize("value", [0, -1, True, "", "MB", "1.5MB", "1TB", "0MB", "1  MB", "٣", 1.5, None, []])
def test_malformed_size_is_rejected(value: object) -> None:
    with pytest.raises(ValueError, match="Must be a size"):
        parse_size(value)  # type: ignore[arg-type]
