"""Sums of usage per day."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.usage.aggregates import (
    COUNTERS,
    DIMENSIONS,
    OTHER,
    Combination,
    CombinationCap,
    RowTemplate,
    Totals,
    WaitingRow,
    grouped,
    sums_of,
)
from shared.usage.check.sums import check_cost, check_sums
from shared.usage.row import AbandonedCall, LedgerRow, Source, Usage
from tests.usage.rows import NOON, ROWS, row


@given(ROWS, st.lists(st.sampled_from(("day", *DIMENSIONS)), unique=True))
def test_every_grouping_has_the_same_sum_as_the_rows(rows: list[LedgerRow], by: list[str]) -> None:
    groups = grouped(sums_of(rows), by)
    assert sum(totals.calls for _, totals in groups) == len(rows)
    assert sum(totals.input for _, totals in groups) == sum(one.usage.input for one in rows)
    assert sum(totals.cost_nano for _, totals in groups) == sum(one.cost_nano or 0 for one in rows)
    assert sum(totals.unpriced for _, totals in groups) == sum(one.cost_nano is None for one in rows)
    assert [name for name, _ in groups] == sorted({name for name, _ in groups})


def test_a_report_by_day_and_model_has_a_line_for_each() -> None:
    rows = [row(1), row(2, model="b", cost_nano=None), row(3, time=NOON + 86_400)]
    groups = grouped(sums_of(rows), ("day", "model"))
    one = Totals(calls=1, input=10, output=5, cost_nano=70_000)
    assert groups == [
        (("2026-12-01", "b"), Totals(calls=1, input=10, output=5, unpriced=1)),
        (("2026-12-01", "gpt-6-luna"), one),
        (("2026-12-02", "gpt-6-luna"), one),
    ]


def test_a_row_that_was_written_twice_counts_once() -> None:
    ((_, totals),) = grouped(sums_of([row(1), row(1), row(2)]), ())
    assert totals.calls == 2


def test_two_requests_with_an_id_that_the_client_chose_count_as_two() -> None:
    ((_, totals),) = grouped(sums_of([row(1, request_id="same"), row(2, request_id="same")]), ())
    assert totals.calls == 2


@given(st.lists(st.text(max_size=10), min_size=5, max_size=5))
def test_a_combination_is_read_as_it_was_written(parts: list[str]) -> None:
    one = Combination(*parts)
    assert Combination.parse(one.field) == one


@pytest.mark.parametrize("field", ["1", '["a", 1, "", "", ""]', '["a"]', "x"])
def test_another_text_is_no_combination(field: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Combination.parse(field)


def test_a_worker_counts_a_bounded_number_of_combinations_and_the_rest_as_other() -> None:
    cap = CombinationCap(most=2)
    names = [Combination(f"key_{number}", "", "", "", "") for number in range(4)]
    counted = [cap.apply("acme", "2026-12-01", name) for name in (*names, names[0])]
    assert counted == [names[0], names[1], Combination(*[OTHER] * 5), Combination(*[OTHER] * 5), names[0]]
    assert cap.apply("other-tenant", "2026-12-01", names[3]) == names[3]
    assert cap.apply("acme", "2026-12-02", names[3]) == names[3]


@given(ROWS)
def test_the_check_finds_nothing_where_the_sums_are_those_of_the_rows(rows: list[LedgerRow]) -> None:
    sums = sums_of(rows)
    assert not list(check_sums(sums_of(rows), sums, days=sums))


def test_the_check_finds_a_sum_that_lacks_a_call_and_one_that_no_row_explains() -> None:
    rows = [row(1), row(2, model="b")]
    sums = sums_of(rows[:1])
    sums["2026-12-01"][Combination("x", "", "", "", "")] = Totals(calls=1)
    found = [drift.place for drift in check_sums(sums_of(rows), sums, days=["2026-12-01"])]
    assert len(found) == 2
    assert not list(check_sums(sums_of(rows), sums, days=["2026-12-02"]))


def test_the_check_adds_up_what_was_counted_as_other() -> None:
    rows = [row(1), row(2, model="b")]
    whole = Totals(calls=2, input=20, output=10, cost_nano=140_000)
    other = Combination(*[OTHER] * 5)
    assert not list(check_sums(sums_of(rows), {"2026-12-01": {other: whole}}, days=["2026-12-01"]))
    assert list(check_sums(sums_of(rows), {"2026-12-01": {other: Totals(calls=1)}}, days=["2026-12-01"]))


def test_the_check_finds_a_row_with_a_wrong_cost() -> None:
    rows = [row(1), row(2, cost_nano=1), row(3, rates={}, cost_nano=None), row(4, usage=Usage(), rates={})]
    assert [drift.place for one in rows if (drift := check_cost(one))] == [
        "row row-2, cost_nano",
        "row row-4, cost_nano",
    ]


def test_the_check_counts_the_cost_of_abandoned_calls_at_their_own_prices() -> None:
    own, left = Usage(input=10, output=5), Usage(input=7, output=1, source=Source.MIXED)
    call = AbandonedCall(provider="a", model="b", usage=left, cost_nano=700, rates={"input": 100_000})
    free = AbandonedCall(provider="a", model="c", usage=left, cost_nano=None)
    both = own.plus(left).plus(left)
    one = row(usage=both, abandoned=(call, free), cost_nano=70_000 + 700)
    assert check_cost(one) is None
    assert check_cost(replace(one, cost_nano=70_000)) is not None
    assert check_cost(replace(one, rates={}, cost_nano=None)) is None
    failed = row(usage=left, abandoned=(call,), rates={}, cost_nano=700)
    assert check_cost(failed) is None


def test_sums_are_shown_with_their_cost_in_usd() -> None:
    shown = Totals(calls=2, input=20, output=10, cached=3, cost_nano=140_000, unpriced=1).as_json()
    assert shown == {"calls": 2, "input": 20, "output": 10, "cached": 3, "cost": "0.00014", "unpriced": 1}


@given(ROWS)
def test_row_that_waits_says_the_same_as_the_row(rows: list[LedgerRow]) -> None:
    for one in rows:
        waiting = WaitingRow.of(one)
        assert LedgerRow.parse(waiting.text) == one
        assert _names(waiting) == sorted(vars(one))
        assert (waiting.tenant, waiting.combination) == (one.tenant, Combination.of(one))
        assert Totals(**dict(zip(COUNTERS, waiting.numbers, strict=True))) == Totals.of(one)


def _names(row: WaitingRow) -> list[str]:
    """The names of the members in its text, each as often as it is there."""
    return sorted(name for name, _ in json.loads(row.text, object_pairs_hook=list))


def test_rows_of_a_template_have_their_own_members() -> None:
    first = row(1, tags={"a": "b"})
    second = row(2, tags={"a": "b"}, status=500, cost_nano=None, time=NOON + 86_400)
    names = ("id", "time", "request_id", "status", "stream", "usage", "cost_nano", "rates", "attempts")
    names += ("abandoned", "duration_ms", "first_ms", "budgets", "is_unreserved")
    waiting = RowTemplate(first).row({name: vars(second)[name] for name in names})
    assert _names(waiting) == sorted(vars(second))
    assert LedgerRow.parse(waiting.text) == second
    assert waiting.day == WaitingRow.of(first).day + 1
    assert waiting.numbers == (1, 10, 5, 0, 0, 1)


def test_row_settles_each_budget_that_counts_it_under_its_own_id() -> None:
    counted = row(1, budgets={"bud_1:0": 7, "bud_2:0": 0}, is_unreserved=True)
    assert WaitingRow.of(counted).settled == [("bud_1:0", "row-1", 7, 1), ("bud_2:0", "row-1", 0, 1)]
    assert WaitingRow.of(row(2)).settled == ()


def test_text_with_half_a_surrogate_pair_is_written_escaped() -> None:
    for one in (row(model_asked="\ud800"), row(request_id="\ud800")):
        waiting = WaitingRow.of(one)
        assert waiting.text.isascii()
        assert LedgerRow.parse(waiting.text) == one
