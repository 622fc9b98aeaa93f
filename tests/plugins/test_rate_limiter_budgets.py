"""Budgets in the step of the rate limiter: one call for all of them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from shared.budgets.admission import BudgetAdmission, ModelRequest
from shared.budgets.compiled import RuleBudgets
from shared.budgets.reservation import Reservation
from shared.core.errors import Rejection
from shared.limits.values import BUDGET, Decision, Limit, LimitState
from shared.model.budgets import Budget
from shared.model.messages import Exchange
from shared.pipeline.chain import budget_entry
from shared.pipeline.plugin import CONTINUE, Continue, Reject, Tools
from shared.plugins.rate_limiter import RateLimiter
from shared.testing.memory_limiter import MemoryLimiter
from tests.budgets.requests import NOW, RATES, budget, model_request, not_found
from tests.limits.limits_by_name import Uses
from tests.pipeline.world import entry
from tests.plugins.gate import Gate, rejected

FAST: dict[str, Any] = {"models": ("main/fast", "fast")}


class BudgetGate(Gate):
    """A rule with budgets, and with rate limiters as (origin, settings)."""

    def __init__(
        self,
        limiter: Any,
        *budgets: Budget,
        limits: Sequence[tuple[str, Any]] = (),
        with_model: Callable[[str], ModelRequest | Rejection] = not_found,
        request: ModelRequest | None = None,
    ) -> None:
        super().__init__(limiter, limits)
        rule = RuleBudgets(budgets, self.tenant, self.rule)
        self.made: list[BudgetAdmission] = []
        self.reservations: list[Reservation] = []

        def begin(exchange: Exchange, id: str, now: float) -> BudgetAdmission | None:
            if exchange.metered is None:
                return None
            asked = request or model_request()
            self.made.append(
                BudgetAdmission(
                    rule, exchange.key, asked, with_model, id=id, now=now, admitted=self.reservations.append
                )
            )
            return self.made[-1]

        parsed = [
            entry(RateLimiter.parse(settings), origin=origin, tenant_id=self.tenant, rule_id=self.rule)
            for origin, settings in limits
        ]
        own = budget_entry({"rate_limiter": RateLimiter}, self.tenant, self.rule, begin)
        assert own.priority > 999
        self.plugin = RateLimiter.merge([*parsed, own])
        self.plugin.start(Tools(limiter, cast(Any, None), limiter._clock, redis_time=lambda: NOW))

    def told(self) -> dict[bytes, bytes]:
        """The headers about the request that was admitted last."""
        return dict(self.reservations[-1].headers)

    def ask(self, *given: Any, **request: Any) -> Continue | Reject:
        return super().ask(*given, **{**FAST, "metered": Uses(300), **request})


def states(verdict: Continue | Reject) -> dict[str, int]:
    return {one.limit.name: one.remaining for one in cast(Sequence[LimitState], verdict.notes["budgets"])}


def test_a_request_reserves_in_all_its_budgets_and_windows_in_one_call(limiter: MemoryLimiter) -> None:
    calls: list[Sequence[Limit]] = []

    class Counting(MemoryLimiter):
        async def acquire(self, limits: Sequence[Limit]) -> Decision:
            calls.append(limits)
            return await super().acquire(limits)

    window = ("rule", {"limit": 5, "window": "1m"})
    gate = BudgetGate(
        Counting(limiter._clock), budget("a"), budget("b", unit="usd", limit=10**9), limits=[window]
    )
    verdict = gate.ask()
    assert isinstance(verdict, Continue)
    assert [[limit.kind for limit in limits] for limits in calls] == [["window", BUDGET, BUDGET]]
    assert states(verdict) == {"a": 700, "b": 10**9 - 500_000}
    assert [one.limit.kind for one in cast(Sequence[LimitState], verdict.notes["limits"])] == ["window"]
    assert gate.headers(verdict)["x-ratelimit-remaining-requests"] == "4"
    assert gate.headers(verdict)["RateLimit"].count(";r=") == 1


def test_a_spent_budget_charges_no_window_and_says_why(limiter: MemoryLimiter) -> None:
    gate = BudgetGate(limiter, budget(limit=500), limits=[("rule", {"limit": 5, "window": "1m"})])
    assert isinstance(gate.ask(), Continue)
    verdict = rejected(gate.ask())
    assert (verdict.status, verdict.code) == (429, "quota_exceeded")
    assert verdict.headers["x-should-retry"] == "false"
    assert states(verdict) == {"bud_1": 200}
    assert gate.headers(verdict)["x-ratelimit-remaining-requests"] == "4"


def test_a_full_window_rejects_in_its_own_words_and_reserves_nothing(limiter: MemoryLimiter) -> None:
    gate = BudgetGate(limiter, budget(), limits=[("rule", {"limit": 0, "window": "1m"})])
    verdict = rejected(gate.ask())
    assert verdict.code == "rate_limit_exceeded"
    assert states(verdict) == {"bud_1": 1_000}


def test_what_was_reserved_is_no_longer_renewed_when_the_exchange_is_over(limiter: MemoryLimiter) -> None:
    ended: list[Limit] = []

    class Noting(MemoryLimiter):
        def end(self, limits: Sequence[Limit]) -> None:
            ended.extend(limits)

    gate = BudgetGate(Noting(limiter._clock), budget())
    exchange = gate.exchange().with_notes(gate.ask().notes)
    assert gate.plugin.cleanup(exchange) is None, "it waits for nothing"
    assert [limit.kind for limit in ended] == [BUDGET]


def test_slots_are_released_beside_what_was_reserved(limiter: MemoryLimiter) -> None:
    given_back: list[Limit] = []

    class Noting(MemoryLimiter):
        def end(self, limits: Sequence[Limit]) -> None:
            given_back.extend(limits)

        async def release(self, limits: Sequence[Limit]) -> None:
            given_back.extend(limits)

    streams = ("rule", {"limits": {"streams": {"limit": 5}}})
    gate = BudgetGate(Noting(limiter._clock), budget(), limits=[streams])
    gate.end(gate.ask())
    assert [limit.kind for limit in given_back] == [BUDGET, "concurrent"]


def test_a_request_that_is_cancelled_while_it_waits_releases_what_it_may_have(limiter: MemoryLimiter) -> None:
    released: list[Limit] = []

    class Hanging(MemoryLimiter):
        async def acquire(self, limits: Sequence[Limit]) -> Decision:
            raise asyncio.CancelledError

        async def release(self, limits: Sequence[Limit]) -> None:
            released.extend(limits)

    gate = BudgetGate(Hanging(limiter._clock), budget())
    with pytest.raises(asyncio.CancelledError):
        gate.ask()
    assert [limit.kind for limit in released] == [BUDGET]


def cheap(name: str) -> ModelRequest:
    return model_request("cheap", input=10, output=20)


def test_another_model_takes_the_place_and_its_own_windows_count(limiter: MemoryLimiter) -> None:
    spent = budget(limit=299, on_spent="downgrade", downgrade_to="cheap")
    by_model = {
        "per_model": {"cheap": {"limit": 1, "window": "1m"}},
        "global": {"limit": 100, "window": "1m"},
    }
    tokens = {"global": {"limit": 1_000, "unit": "tokens", "window": "1m"}}
    gate = BudgetGate(
        limiter,
        spent,
        limits=[("rule", {"limits": by_model}), ("tenant", {"limits": tokens})],
        with_model=cheap,
    )
    verdict = gate.ask()
    assert isinstance(verdict, Continue)
    assert gate.told() == {b"X-Gateway-Downgraded-To": b"cheap"}
    assert gate.headers(verdict)["x-ratelimit-remaining-tokens"] == "970"
    assert states(verdict) == {"bud_1": 269}, "it is counted, and was not asked"
    assert rejected(gate.ask()).code == "rate_limit_exceeded"


def test_a_cap_is_told_in_a_header(limiter: MemoryLimiter) -> None:
    gate = BudgetGate(limiter, budget(limit=200, cap_output=True))
    gate.ask()
    assert gate.told() == {b"X-Gateway-Max-Output": b"100"}
    assert not gate.plugin.adds_headers, "it is told with the target"


def test_another_model_that_no_budget_counts_takes_the_place_too(limiter: MemoryLimiter) -> None:
    spent = budget(scope={"model": "fast"}, limit=299, on_spent="downgrade", downgrade_to="cheap")
    gate = BudgetGate(limiter, spent, with_model=cheap)
    assert gate.ask() == CONTINUE
    assert [one.model for one in gate.reservations] == ["cheap"]


def test_the_mode_without_redis_is_that_of_the_budgets_too(limiter: MemoryLimiter) -> None:
    class Alone(MemoryLimiter):
        async def acquire(self, limits: Sequence[Limit]) -> Decision:
            return (await super().acquire(limits))._replace(degraded=True)

    for on_error in ("local", "open"):
        gate = BudgetGate(Alone(limiter._clock), budget(on_error=on_error))
        gate.ask()
        assert gate.told() == {b"X-Gateway-RateLimit-Mode": on_error.encode()}


def test_a_model_without_a_price_meets_no_limiter(limiter: MemoryLimiter) -> None:
    gate = BudgetGate(limiter, budget(unit="usd"), request=model_request(rates=(None,)))
    assert rejected(gate.ask()).code == "unpriced_model"
    allowed = budget(unit="usd", unpriced="allow")
    assert isinstance(BudgetGate(limiter, allowed, request=model_request(rates=(None,))).ask(), Continue)


def test_a_request_that_costs_nothing_reserves_no_money(limiter: MemoryLimiter) -> None:
    gate = BudgetGate(limiter, budget(unit="usd"), request=model_request(rates=()))
    assert gate.ask() == CONTINUE
    assert gate.ask(metered=None) == CONTINUE


def test_a_window_of_money_rejects_a_model_without_a_price(limiter: MemoryLimiter) -> None:
    money = ("rule", {"limit": "1", "unit": "usd", "window": "1m"})
    gate = BudgetGate(limiter, budget(), limits=[money], request=model_request(rates=(RATES,)))
    assert rejected(gate.ask(metered=Uses(None))).code == "unpriced_model"
