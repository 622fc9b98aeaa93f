"""Budgets, requests to models, and decisions of a limiter, as tests write them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.budgets.admission import BudgetAdmission, ModelRequest
from shared.budgets.compiled import Candidate, RuleBudgets
from shared.budgets.demand import Demand
from shared.core.errors import Rejection, make_rejection
from shared.limits.values import MAX_UNITS, Decision, Limit, LimitState, decide
from shared.model.budgets import Budget, BudgetScope
from shared.model.config import ApiKey
from shared.usage.prices import Rates
from shared.usage.row import Usage

#: 2026-12-01, noon in UTC, and the end of that month.
NOW = 1_796_126_400.0
JANUARY = 1_798_761_600
RATES = Rates.of({"input": "1", "output": "2"})
KEY = ApiKey("key_1", "k", "gw_", "h", user="ann", metadata={"project": "x"})
CHAT = "openai.chat"


def budget(id: str = "bud_1", **given: Any) -> Budget:
    scope = BudgetScope(**given.pop("scope", {}))
    members = {"id": id, "name": id, "unit": "tokens", "limit": 1_000, "period": "month", **given}
    return Budget(**members, scope=scope)


def model_request(
    asked: str = "fast",
    *,
    input: int = 100,
    output: int = 200,
    most: int = 500,
    rates: Sequence[Rates | None] = (RATES,),
    **given: Any,
) -> ModelRequest:
    demand = Demand(
        usual=Usage(input=input, output=output),
        most=Usage(input=input, output=max(most, output)),
        is_bounded=given.pop("is_bounded", True),
        rates=rates,
    )
    names = (f"main/{asked}", asked)
    targets = given.pop("targets", [Candidate("main", names)])
    return ModelRequest(
        api=CHAT, asked=asked, names=lambda: names, targets=lambda: targets, demand=demand, **given
    )


def not_found(name: str) -> Rejection:
    return make_rejection("model_not_found", f"There is no model {name} here.")


def budget_admission(
    *budgets: Budget,
    request: ModelRequest | None = None,
    with_model: Callable[[str], ModelRequest | Rejection] = not_found,
    key: ApiKey | None = KEY,
) -> BudgetAdmission:
    rule = RuleBudgets(budgets, "t1", "rule_1")
    return BudgetAdmission(rule, key, request or model_request(), with_model, id="rid", now=NOW)


def decided(limits: Sequence[Limit], left: Mapping[str, int]) -> Decision:
    """The decision where so much is left of the budgets of these names; of others all.

    One that only counts has more than enough.
    """
    states = [
        LimitState(
            one, one.quota.limit if one.quota.limit == MAX_UNITS else left.get(one.name, one.quota.limit), 9
        )
        for one in limits
    ]
    decision = decide(states)
    if decision.allowed:
        charged = [state._replace(remaining=state.remaining - state.limit.cost) for state in states]
        return Decision(True, charged, charged_at=1)
    return decision
