"""Rows of the ledger as text."""

import json
from types import MappingProxyType

import pytest
from hypothesis import given

from shared.usage.row import INCREASE, Adjustment, LedgerRow
from tests.usage.rows import ROWS, row


@given(ROWS)
def test_a_row_is_read_as_it_was_written(rows: list[LedgerRow]) -> None:
    assert [LedgerRow.parse(one.encoded()) for one in rows] == rows


def test_a_row_with_any_text_and_map_is_read_as_it_was_written() -> None:
    one = row(user="\ud800", tags={"a": "\udfff"})
    assert LedgerRow.parse(one.encoded()) == one
    assert one.encoded().isascii()
    read_only = row(tags=MappingProxyType({"a": "b"}))
    assert LedgerRow.parse(read_only.encoded()) == row(tags={"a": "b"})


def test_the_day_of_a_row_is_that_of_utc() -> None:
    assert row(time=1_796_169_599.0).day == "2026-12-01"
    assert row(time=1_796_169_600.0).day == "2026-12-02"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"usage": 1}', '{"usage": {}}', "\x00"])
def test_another_text_is_no_row(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        LedgerRow.parse(text)


def test_a_row_that_was_written_before_sound_was_counted_is_read() -> None:
    members = json.loads(row().encoded())
    del members["usage"]["seconds"], members["usage"]["characters"]
    assert LedgerRow.of(members) == row()


def test_a_row_that_was_written_before_budgets_were_counted_is_read() -> None:
    members = json.loads(row().encoded())
    del members["budgets"], members["is_unreserved"], members["adjustment"]
    assert LedgerRow.of(members) == row()


def test_a_row_with_budgets_and_an_adjustment_is_read_as_it_was_written() -> None:
    one = row(budgets={"bud_1:1796083200": 7}, is_unreserved=True)
    assert LedgerRow.parse(one.encoded()) == one
    adjusted = row(adjustment=Adjustment(action=INCREASE, amount=5, actor="ops"))
    assert LedgerRow.parse(adjusted.encoded()) == adjusted


def test_a_row_whose_budgets_have_no_numbers_is_damaged() -> None:
    with pytest.raises(ValueError, match="budgets is"):
        LedgerRow.parse(row(budgets={"bud_1:0": "7"}).encoded())
