"""Whether budgets admit a request, and what takes its place when they do not."""

from dataclasses import replace
from typing import Any

import pytest

from shared.budgets.admission import AGAIN, BudgetAdmission, ModelRequest
from shared.budgets.reservation import Reservation
from shared.core.errors import Rejection
from shared.limits.values import MAX_UNITS, Limit, Quota
from shared.model.budgets import Budget
from shared.usage.prices import Rates
from tests.budgets.requests import KEY, budget, budget_admission, decided, model_request, not_found
from tests.limits.limits_by_name import Uses, exchange

DEAR = Rates.of({"input": "10", "output": "20"})


def judged(one: BudgetAdmission, *others: Limit, **left: int) -> Any:
    """The outcome where so much is left of the budgets; the last one."""
    if (rejection := one.prepare()) is not None:
        return rejection
    while True:
        found = one.judge(decided([*others, *(hold.limit for hold in one.holds)], left))
        if found is not AGAIN:
            return found


def amounts(one: BudgetAdmission) -> dict[str, int]:
    return {hold.limit.name: hold.limit.cost for hold in one.holds}


def test_each_budget_reserves_in_its_own_unit() -> None:
    one = budget_admission(budget("t"), budget("usd", unit="usd", limit=10**9), budget("n", unit="requests"))
    found = judged(one)
    assert amounts(one) == {"t": 300, "usd": 100 * 1_000 + 200 * 2_000, "n": 1}
    assert isinstance(found, Reservation)
    assert (found.id, found.output, found.model, found.max_output) == ("rid", 200, "", None)
    assert [state.remaining for state in found.states] == [700, 10**9 - 500_000, 999]


def test_a_reservation_may_have_all_that_the_model_writes_at_most() -> None:
    one = budget_admission(budget(reserve="max"))
    assert judged(one).output == 500
    assert amounts(one) == {"bud_1": 600}


def test_the_price_is_that_of_the_dearest_target() -> None:
    one = budget_admission(
        budget(unit="usd", limit=10**9), request=model_request(rates=(Rates.of({"input": "1"}), DEAR))
    )
    judged(one)
    assert amounts(one) == {"bud_1": 100 * 10_000 + 200 * 20_000}


def test_a_guess_is_never_more_than_the_limit() -> None:
    guess = model_request(output=4_096, most=4_096, is_bounded=False)
    one = budget_admission(budget(), request=guess)
    assert judged(one).output == 900
    assert amounts(one) == {"bud_1": 1_000}
    money = budget_admission(budget(unit="usd", limit=1_000_000), request=guess)
    assert judged(money).output == 450
    too_long = budget_admission(budget(), request=model_request(input=2_000, is_bounded=False))
    assert judged(too_long).code == "quota_exceeded"
    assert amounts(too_long) == {"bud_1": 2_000}
    asked = budget_admission(budget(), request=model_request(output=4_096))
    assert judged(asked).code == "quota_exceeded"


def test_a_spent_budget_rejects_with_its_numbers() -> None:
    found = judged(budget_admission(budget(name="team-a monthly", id="bud_1")), **{"team-a monthly": 0})
    assert isinstance(found, Rejection)
    assert (found.status, found.code, found.headers["x-should-retry"]) == (429, "quota_exceeded", "false")
    assert found.message == (
        "The budget 'team-a monthly' is spent: 1000 of 1000 tokens are used or reserved. "
        "It resets at 2027-01-01T00:00:00Z."
    )
    assert found.details["budget"] == {
        "name": "team-a monthly",
        "unit": "tokens",
        "limit": 1_000,
        "used": 1_000,
        "remaining": 0,
        "requested": 300,
        "resets_at": "2027-01-01T00:00:00Z",
    }


def test_a_budget_that_has_too_little_left_says_how_much() -> None:
    money = budget(unit="usd", limit=2 * 10**9, period="total")
    found = judged(budget_admission(money), bud_1=400_000)
    assert found.message == (
        "The budget 'bud_1' has 0.0004 USD left of 2 USD, and this request may use 0.0005 USD. Ask for less "
        "output, or wait. It never resets: its limit must be raised."
    )
    assert found.details["budget"]["resets_at"] is None
    assert found.details["budget"]["used"] == "1.9996"


def test_a_debt_is_shown_as_used() -> None:
    found = judged(budget_admission(budget()), bud_1=-50)
    assert "1050 of 1000 tokens" in found.message
    assert found.details["budget"]["remaining"] == 0


def test_another_limit_that_is_full_rejects_in_its_own_words() -> None:
    window = Limit("rl:1", Quota(1, 60_000), "rule", "global", "1m")
    assert judged(budget_admission(budget()), window, **{"global": 0, "bud_1": 0}) is None


def test_a_budget_that_only_counts_admits_everything() -> None:
    one = budget_admission(budget(on_spent="alert"))
    assert isinstance(judged(one), Reservation)
    assert one.holds[0].limit.quota.limit == MAX_UNITS
    assert not one.holds[0].cuts
    [state] = judged(one).states
    assert (state.limit.quota.limit, state.remaining) == (1_000, 700)


@pytest.mark.parametrize(("given", "is_rejected"), [({}, True), ({"unpriced": "allow"}, False)])
def test_a_model_without_a_price_is_rejected_where_money_counts(
    given: dict[str, Any], is_rejected: bool
) -> None:
    unpriced = model_request(rates=(None,))
    found = judged(budget_admission(budget(unit="usd", **given), request=unpriced))
    assert isinstance(found, Rejection) == is_rejected
    if is_rejected:
        assert found.code == "unpriced_model"
        assert (
            "The price of the model fast is not known, and the budget 'bud_1' counts money." in found.message
        )
    assert isinstance(judged(budget_admission(budget(), request=unpriced)), Reservation)
    assert isinstance(
        judged(budget_admission(budget(unit="usd", on_spent="alert"), request=unpriced)), Reservation
    )


# Downgrades.

CHEAP = model_request("cheap", rates=(Rates.of({"input": "0.1", "output": "0.2"}),))


def cheap(name: str) -> ModelRequest | Rejection:
    return CHEAP if name == "cheap" else not_found(name)


def downgrading(id: str, **given: Any) -> Budget:
    return budget(id, on_spent="downgrade", downgrade_to="cheap", **given)


def test_a_spent_budget_lets_another_model_take_the_place_and_counts_it() -> None:
    one = budget_admission(downgrading("a", unit="usd", limit=10**9), budget("b"), with_model=cheap)
    found = judged(one, a=0)
    assert isinstance(found, Reservation)
    assert (found.model, one.request.asked) == ("cheap", "cheap")
    assert found.headers == ((b"X-Gateway-Downgraded-To", b"cheap"),)
    assert amounts(one) == {"a": 50_000, "b": 300}
    assert [hold.limit.quota.limit for hold in one.holds] == [MAX_UNITS, 1_000]
    assert [hold.cuts for hold in one.holds] == [False, True]


def test_a_request_for_the_model_of_a_downgrade_goes_on_as_it_is() -> None:
    found = judged(budget_admission(downgrading("a"), request=CHEAP, with_model=cheap), a=0)
    assert isinstance(found, Reservation)
    assert found.headers == ()


def test_all_other_budgets_are_asked_for_the_other_model() -> None:
    one = budget_admission(downgrading("a"), budget("b", scope={"model": "cheap"}), with_model=cheap)
    found = judged(one, a=0, b=0)
    assert isinstance(found, Rejection)
    assert found.details["budget"] == {**found.details["budget"], "name": "b"}  # type: ignore[dict-item]


def test_two_spent_budgets_with_the_same_other_model_let_it_take_the_place() -> None:
    one = budget_admission(downgrading("a"), downgrading("b"), with_model=cheap)
    assert isinstance(judged(one, a=0, b=0), Reservation)


def test_there_is_one_downgrade_only() -> None:
    other = budget("b", on_spent="downgrade", downgrade_to="cheaper")
    found = judged(budget_admission(downgrading("a"), other, with_model=cheap), a=0, b=0)
    assert isinstance(found, Rejection)
    assert "'b'" in found.message


def test_a_downgrade_to_a_model_that_may_not_be_used_is_a_rejection() -> None:
    missing = budget(on_spent="downgrade", downgrade_to="gone")
    found = judged(budget_admission(missing, with_model=cheap), bud_1=0)
    assert found.code == "quota_exceeded"
    assert "There is no model gone here. It resets at" in found.message


def test_other_limits_count_the_other_model() -> None:
    one = budget_admission(downgrading("a"), with_model=cheap)
    assert isinstance(judged(one, a=0), Reservation)
    before = exchange()._replace(metered=Uses(300, used=7), models=("main/fast", "fast"))
    changed = one.changed(before)
    assert changed.models == ("main/cheap", "cheap")
    assert changed.metered is not None
    assert changed.metered.expected("tokens") == (300, 300)
    assert changed.metered.used("tokens") == 7
    unpriced = replace(CHEAP, demand=replace(CHEAP.demand, rates=(None,)))
    one = budget_admission(downgrading("a"), with_model=lambda _: unpriced)
    assert isinstance(judged(one, a=0), Reservation)
    metered = one.changed(before).metered
    assert metered is not None
    assert metered.expected("usd") is None


def test_a_request_that_costs_nothing_asks_no_budget_of_money() -> None:
    one = budget_admission(budget(unit="usd"), request=model_request(rates=()))
    assert judged(one).holds == []


def test_a_downgrade_to_a_model_without_a_price_is_a_rejection() -> None:
    unpriced = replace(CHEAP, demand=replace(CHEAP.demand, rates=(None,)))
    one = budget_admission(downgrading("a"), budget("b", unit="usd"), with_model=lambda _: unpriced)
    assert judged(one, a=0).code == "unpriced_model"


# Caps.


def test_a_budget_lowers_the_output_to_what_it_still_buys() -> None:
    one = budget_admission(budget(cap_output=True))
    found = judged(one, bud_1=150)
    assert (found.output, found.max_output) == (50, 50)
    assert found.headers == ((b"X-Gateway-Max-Output", b"50"),)
    assert amounts(one) == {"bud_1": 150}
    money = budget_admission(budget(unit="usd", limit=10**9, cap_output=True))
    assert judged(money, bud_1=200_000).max_output == 50


def test_a_request_that_cannot_be_lowered_has_no_cap() -> None:
    one = budget_admission(budget(cap_output=True), request=model_request(least_output=None))
    assert judged(one, bud_1=400).max_output is None


def test_a_cap_holds_for_all_choices_together() -> None:
    one = budget_admission(budget(cap_output=True), request=model_request(choices=2))
    assert judged(one, bud_1=151).max_output == 25


def test_a_reservation_that_is_smaller_than_the_output_caps_it_at_what_is_left() -> None:
    assert judged(budget_admission(budget(cap_output=True)), bud_1=400).max_output == 300
    assert judged(budget_admission(budget(cap_output=True)), bud_1=600).max_output is None


@pytest.mark.parametrize(
    ("budgets", "request_", "left"),
    [
        ([budget("a", cap_output=True)], model_request(least_output=None), {"a": 150}),
        ([budget("a")], model_request(), {"a": 150}),
        ([budget("a", cap_output=True), budget("b")], model_request(), {"a": 150, "b": 150}),
        ([budget("a", cap_output=True)], model_request(), {"a": 100}),
        ([budget("a", cap_output=True)], model_request(least_output=51), {"a": 150}),
        ([budget("a", cap_output=True, unit="requests")], model_request(), {"a": 0}),
        ([budget("a", cap_output=True)], model_request(output=0, most=0), {"a": 50}),
    ],
)
def test_a_request_that_no_cap_helps_is_rejected(
    budgets: list[Budget], request_: ModelRequest, left: dict[str, int]
) -> None:
    assert judged(budget_admission(*budgets, request=request_), **left).code == "quota_exceeded"


def test_a_cap_does_not_help_where_output_is_free() -> None:
    free = model_request(rates=(Rates.of({"input": "1", "output": "0"}),))
    one = budget_admission(budget(unit="usd", limit=10**6, cap_output=True), request=free)
    assert judged(one).max_output is None
    assert judged(one, bud_1=50_000).code == "quota_exceeded"


def test_a_cap_and_a_price_that_is_not_known_do_not_meet() -> None:
    # The rates of a request do not change with its output, so this cannot reject.
    one = budget_admission(budget("a", cap_output=True), budget("b", unit="usd", limit=10**9))
    assert isinstance(judged(one, a=150), Reservation)


def test_a_request_that_no_budget_counts_reserves_nothing() -> None:
    found = judged(budget_admission(budget(scope={"key": "key_2"}), key=KEY))
    assert (found.holds, found.output) == ([], None)
