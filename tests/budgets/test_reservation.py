"""The amounts that budgets count of a request in the end, and that a longer response reserves."""

from shared.budgets.compiled import Candidate
from shared.budgets.rejections import budget_spent
from shared.budgets.reservation import Reservation
from shared.limits.values import LimitState
from shared.model.budgets import Budget
from shared.usage.prices import Rates
from shared.usage.row import Usage
from tests.budgets.requests import RATES, budget, budget_admission, decided, model_request

GPT, CLAUDE = Candidate("openai", ("openai/gpt-6", "fast")), Candidate("anthropic", ("claude-5", "fast"))


def reserved(*budgets: Budget) -> Reservation:
    one = budget_admission(*budgets, request=model_request(targets=[GPT, CLAUDE]))
    assert one.prepare() is None
    found = one.judge(decided([hold.limit for hold in one.holds], {}))
    assert isinstance(found, Reservation)
    return found


BUDGETS = (
    budget("t"),
    budget("usd", unit="usd", limit=10**9),
    budget("n", unit="requests"),
    budget("claude", scope={"provider": "anthropic"}),
)


def test_each_budget_counts_what_was_used_in_its_unit_and_only_the_target_that_served() -> None:
    one = reserved(*BUDGETS)
    assert [*one.counted_by_key.values()] == [0] * len(one.counted_by_key)  # before the end
    found = one.settle(GPT, Usage(input=10, output=5), 70)
    start = 1796083200
    assert found == {f"t:{start}": 15, f"usd:{start}": 70, f"n:{start}": 1, f"claude:{start}": 0}
    assert one.counted_by_key == {hold.limit.key: found[hold.name] for hold in one.holds}
    assert [limit.key for limit in one.limits] == [*one.counted_by_key]


def test_a_cost_that_turns_out_not_to_be_known_counts_as_it_was_reserved() -> None:
    assert set(reserved(BUDGETS[1]).settle(GPT, Usage(input=10), None).values()) == {500_000}


def test_what_was_counted_is_found_by_the_key_of_the_limit() -> None:
    one = reserved(BUDGETS[0])
    assert one.counted_by_key == {"bud:{t1}:t:1796083200": 0}
    one.settle(GPT, Usage(input=10, output=5), None)
    assert one.counted_by_key == {"bud:{t1}:t:1796083200": 15}


def test_limits_of_a_reservation_are_those_of_its_holds() -> None:
    one = reserved(*BUDGETS)
    assert [(limit.name, limit.lease) for limit in one.limits] == [(x.id, "rid") for x in BUDGETS]


def test_a_request_counts_once_however_many_calls_it_took() -> None:
    assert set(reserved(BUDGETS[2]).settle(GPT, Usage(input=10, requests=3), None).values()) == {1}


def test_more_output_is_reserved_at_the_price_of_the_target_that_serves() -> None:
    one = reserved(*BUDGETS)
    more = {limit.name: limit.cost for limit in one.more(256, RATES)}
    assert more == {"t": 256, "usd": 256 * 2_000, "claude": 256}
    assert {limit.lease for limit in one.more(256, RATES)} == {"rid"}
    assert [limit.name for limit in one.more(256, None)] == ["t", "claude"]
    assert [limit.name for limit in one.more(256, RATES, without=["t:1796083200"])] == ["usd", "claude"]


def test_budgets_that_have_no_more_buy_what_is_left_of_the_smallest() -> None:
    one = reserved(*BUDGETS)
    left = {"t": 60, "usd": 100_000, "claude": -5}

    def affordable(*names: str) -> int:
        limits = [limit for limit in one.more(10**6, RATES) if limit.name in names]
        states = [LimitState(limit, left[limit.name], 0) for limit in limits]
        return one.affordable(one.spent_in(states), RATES)

    assert [affordable("t"), affordable("usd"), affordable("t", "usd"), affordable("claude")] == [
        60,
        50,
        50,
        0,
    ]
    assert affordable() == 0


def test_the_price_of_more_output_is_that_of_the_tier_of_the_input() -> None:
    rates = Rates.of({"input": "1", "output": "2", "above": [{"input_tokens": 50, "output": "4"}]})
    assert [limit.cost for limit in reserved(BUDGETS[1]).more(100, rates)] == [100 * 4_000]


def test_a_request_without_a_budget_of_output_has_no_bound() -> None:
    assert reserved(BUDGETS[2]).output is None
    assert reserved(*BUDGETS).output == 200


def test_the_budgets_that_have_no_more_are_named_in_order() -> None:
    one = reserved(budget("a"), budget("b", overrun="finish"))
    states = [LimitState(limit, 5, 0) for limit in one.more(256, None)]
    assert [hold.limit.name for hold, _ in one.spent_in(states)] == ["a", "b"]
    assert [hold.cuts for hold in one.holds] == [True, False]
    rejection = budget_spent(one.holds[0].compiled.budget, states[0], ends=True)
    assert rejection.message == (
        "The budget 'a' has no more for this response: 995 of 1000 tokens are used or reserved. "
        "It resets at 2027-01-01T00:00:00Z."
    )
    assert one.spent_in([LimitState(limit, 500, 0) for limit in one.more(256, None)]) == []
