"""Settings of budgets are read strictly, and shown as they were written."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from marshmallow import Schema, ValidationError

from shared.budgets.settings import (
    AmountField,
    BudgetSettings,
    ScopeField,
    budget_values,
    check_budget,
    has_start,
    timezones,
)
from shared.model.amounts import MAX_AMOUNT, Amount
from shared.model.budgets import Budget, BudgetScope, Increase

PLAIN: dict[str, Any] = {"limit": {"usd": "250.00"}, "period": "month"}
BUDGET = Budget(id="bud_1", name="all", unit="usd", limit=5, period="month")


def loaded(**written: Any) -> dict[str, Any]:
    return budget_values(BudgetSettings().load(PLAIN | written))


def problems(**written: Any) -> Any:
    with pytest.raises(ValidationError) as raised:
        BudgetSettings().load(PLAIN | written)
    return raised.value.messages


def test_budget_with_a_limit_and_a_period_has_defaults() -> None:
    budget = Budget(id="bud_1", name="all", **loaded())
    assert budget == replace(BUDGET, limit=250 * 10**9, at=(50, 80, 95))


def test_changes_of_some_members_leave_out_the_others() -> None:
    assert budget_values(BudgetSettings(partial=True).load({"cap_output": True})) == {"cap_output": True}


@pytest.mark.parametrize("period", ["day", "week", "month", "quarter", "year", "total", "1d", "30d", "999d"])
def test_period_is_a_word_or_a_number_of_days(period: str) -> None:
    assert loaded(period=period)["period"] == period
    assert has_start(period) == (period == "total" or period[0].isdigit())


@pytest.mark.parametrize("period", ["", "days", "0d", "1000d", "1w", "30D", "30d\n"])
def test_other_periods_are_rejected(period: str) -> None:
    [detail] = problems(period=period)["period"]
    assert detail.startswith("Must be one of day, week, month, quarter, year, total, or a number of days")


def test_time_zone_is_one_that_every_machine_with_this_release_has() -> None:
    assert loaded(timezone="Europe/Berlin")["timezone"] == "Europe/Berlin"
    assert problems(timezone="Europe/Berln")["timezone"] == [
        "There is no time zone Europe/Berln. Did you mean Europe/Berlin?"
    ]
    [detail] = problems(timezone="../../etc/passwd")["timezone"]
    assert detail.endswith("Name one as IANA does, such as Europe/Berlin.")
    assert {"UTC", "America/New_York"} < timezones()


@pytest.mark.parametrize("day", ["2026-12-01", date(2026, 12, 1)])
def test_first_day_is_kept_as_text(day: Any) -> None:
    assert loaded(starts=day)["starts"] == "2026-12-01"


@pytest.mark.parametrize("day", ["2026-02-30", "2026-1-1", "20261201", "1999-12-31", "today", ""])
def test_first_day_is_a_day_of_the_calendar(day: str) -> None:
    assert problems(starts=day) == {"starts": ["Must be a day of this calendar, such as 2026-12-01."]}


def test_scope_has_any_of_its_members_and_shows_those() -> None:
    scope = {
        "key": "key_1",
        "user": "ann",
        "model": "gpt-*",
        "provider": "main",
        "rule": "r",
        "tag": {"a": "b"},
    }
    found = loaded(scope=scope)["scope"]
    assert found == BudgetScope(
        key="key_1", user="ann", model="gpt-*", provider="main", rule="r", tags={"a": "b"}
    )
    assert loaded(scope={"key": None, "tag": None})["scope"] == loaded()["scope"] == BudgetScope()
    schema = Schema.from_dict({"scope": ScopeField(), "limit": AmountField("")})()
    assert schema.dump({"scope": found, "limit": Amount("usd", 15 * 10**8)}) == {
        "scope": scope,
        "limit": {"usd": "1.5"},
    }
    assert schema.dump({"scope": None, "limit": None}) == {"scope": {}, "limit": {}}


@pytest.mark.parametrize(
    ("scope", "where"),
    [({"team": "a"}, "team"), ({"tag": {"a": 1}}, "tag"), ({"tag": "a"}, "tag"), ({"model": 5}, "model")],
)
def test_scope_that_is_wrong_says_where(scope: dict[str, Any], where: str) -> None:
    assert [*problems(scope=scope)["scope"]] == [where]


@pytest.mark.parametrize("limit", [None, 5, [], {}, {"usd": "1", "tokens": 1}])
def test_limit_has_exactly_one_unit(limit: Any) -> None:
    assert [*problems(limit=limit)] == ["limit"]


def test_increases_that_have_ended_do_not_count_against_the_bound() -> None:
    ended = Increase(amount=1, until=50.0, by="platform", at=0.0)
    budget = replace(BUDGET, limit=MAX_AMOUNT, increases=(ended,))
    assert [one.pointer for one in check_budget(budget, 49.0)] == ["/limit"]
    assert check_budget(budget, 50.0) == []


def whole(**changes: Any) -> list[tuple[str, str]]:
    return [(one.pointer, one.detail) for one in check_budget(replace(BUDGET, **changes))]


def test_plain_budget_has_no_problem() -> None:
    assert (
        whole()
        == whole(period="30d", starts="2026-12-01")
        == whole(on_spent="downgrade", downgrade_to="m")
        == []
    )


@pytest.mark.parametrize(
    ("changes", "pointer", "detail"),
    [
        ({"starts": "2026-12-01"}, "/starts", "A month begins with the calendar. Remove it."),
        ({"on_spent": "downgrade"}, "/downgrade_to", "It is missing, because on_spent is downgrade. Add it."),
        (
            {"downgrade_to": "m"},
            "/downgrade_to",
            "It is for on_spent downgrade only. Remove it, or set on_spent to downgrade.",
        ),
        ({"at": (80, 50)}, "/at", "Must be in rising order, and each percentage once."),
        ({"at": (50, 50)}, "/at", "Must be in rising order, and each percentage once."),
        (
            {"limit": MAX_AMOUNT, "increases": (Increase(amount=1, by="platform", at=0.0),)},
            "/limit",
            "With its increases it must be at most 9000000 USD.",
        ),
    ],
)
def test_members_that_do_not_fit_each_other_are_told(changes: Any, pointer: str, detail: str) -> None:
    assert whole(**changes) == [(pointer, detail)]
