"""Amounts of money are exact: no float comes between their text and the integer."""

import doctest
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model import amounts
from shared.model.amounts import MAX_AMOUNT, amount_text, format_amount, parse_amount, parse_usd


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("250.00", 250 * 10**9),
        ("0.000000001", 1),
        ("0", 0),
        ("9000000", MAX_AMOUNT),
        ("1.10000000000", 11 * 10**8),
    ],
)
def test_amount_in_usd_is_read_exactly(text: str, nano: int) -> None:
    assert parse_usd(text) == nano


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("0.0000000001", "An amount in USD has at most 9 digits after the point."),
        ("9000000.000000001", "Must be at most 9000000 USD."),
        ("999999999", "Must be at most 9000000 USD."),
        *(
            (text, 'Must be a decimal number in USD as text, such as "250.00".')
            for text in (
                "",
                "-1",
                "+1",
                "1e3",
                "1_0",
                ".5",
                "5.",
                "1,5",
                " 1",
                "NaN",
                "٣",
                "1" * 40,
                5,
                2.5,
                None,
            )
        ),
    ],
)
def test_amount_in_usd_that_is_wrong_says_why(text: Any, detail: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        parse_usd(text)
    assert str(raised.value) == detail


@pytest.mark.parametrize("unit", ["tokens", "requests"])
def test_count_is_a_whole_number_within_the_bounds_of_the_counters(unit: str) -> None:
    assert parse_amount({unit: MAX_AMOUNT}) == (unit, MAX_AMOUNT)
    for wrong in (-1, MAX_AMOUNT + 1, 1.0, "5", True):
        with pytest.raises(ValueError, match=f"^Must be a whole number of {unit} from 0 to 9000000000000000"):
            parse_amount({unit: wrong})


@pytest.mark.parametrize("written", [{}, {"eur": "5"}, {"usd": "5", "tokens": 5}])
def test_amount_has_exactly_one_unit(written: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^Must have one of usd, tokens and requests"):
        parse_amount(written)


@given(st.integers(0, MAX_AMOUNT))
def test_amount_is_the_same_after_a_round_trip(value: int) -> None:
    for unit in amounts.UNITS:
        assert parse_amount({unit: format_amount(unit, value)}) == (unit, value)
    assert Decimal(format_amount("usd", value)) * 10**9 == value


def test_amount_in_a_sentence_has_its_unit() -> None:
    assert [amount_text("usd", 25 * 10**8), amount_text("requests", 1), amount_text("tokens", 0)] == [
        "2.5 USD",
        "1 request",
        "0 tokens",
    ]


def test_examples_of_amounts_are_true() -> None:
    assert doctest.testmod(amounts).failed == 0
