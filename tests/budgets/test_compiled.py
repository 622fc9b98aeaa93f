"""Which requests a budget counts, and as which limit."""

from typing import Any

import pytest

from shared.budgets.compiled import LEASE_MS, Candidate, CompiledBudget, RuleBudgets
from shared.limits.values import MAX_UNITS
from shared.model.budgets import Increase
from shared.model.config import ApiKey
from tests.budgets.requests import CHAT, JANUARY, KEY, NOW, budget

GPT = Candidate("openai", ("openai/gpt-6", "gpt-6", "fast"))
CLAUDE = Candidate("anthropic", ("anthropic/claude-5", "claude-5", "fast"))


def counts(
    scope: dict[str, Any], *targets: Candidate, key: ApiKey | None = KEY, rule: str = "rule_1"
) -> bool:
    budgets = RuleBudgets([budget(scope=scope)], "t1", rule)
    return bool(budgets.of(key, CHAT, "fast", lambda: targets or (GPT,)))


@pytest.mark.parametrize(
    "scope",
    [
        {},
        {"key": "key_1"},
        {"user": "ann"},
        {"rule": "rule_1"},
        {"tags": {"project": "x"}},
        {"provider": "openai"},
        {"model": "fast"},
        {"model": "GPT-*"},
        {"model": "openai/*"},
        {"key": "key_1", "user": "ann", "provider": "openai", "model": "gpt-6", "tags": {"project": "x"}},
    ],
)
def test_a_budget_counts_the_requests_that_have_all_of_its_scope(scope: dict[str, Any]) -> None:
    assert counts(scope)


@pytest.mark.parametrize(
    "scope",
    [
        {"key": "key_2"},
        {"user": "bob"},
        {"rule": "rule_2"},
        {"tags": {"project": "y"}},
        {"tags": {"project": "x", "team": "a"}},
        {"provider": "anthropic"},
        {"model": "claude*"},
        {"key": "key_1", "model": "claude*"},
        {"provider": "openai", "model": "anthropic/*"},
    ],
)
def test_a_budget_does_not_count_other_requests(scope: dict[str, Any]) -> None:
    assert not counts(scope)


def test_a_request_without_a_key_counts_where_no_key_is_named() -> None:
    assert counts({"provider": "openai"}, key=None)
    assert not any(
        counts(scope, key=None) for scope in ({"key": "key_1"}, {"user": "ann"}, {"tags": {"a": "b"}})
    )


def test_a_budget_of_a_key_counts_those_that_replaced_it() -> None:
    rotated = ApiKey("key_2", "k", "gwk_2", "hash", first="key_1")
    assert counts({"key": "key_1"}, key=rotated)
    assert not counts({"key": "key_2"}, key=rotated)


def test_a_budget_of_a_provider_counts_if_one_target_is_of_that_provider() -> None:
    assert counts({"provider": "anthropic"}, GPT, CLAUDE)
    assert counts({"model": "claude*"}, GPT, CLAUDE)
    assert not counts({"provider": "anthropic", "model": "gpt*"}, GPT, CLAUDE)


def test_the_budgets_of_a_request_are_found_once() -> None:
    budgets = RuleBudgets([budget()], "t1", "rule_1")
    found = budgets.of(KEY, CHAT, "fast", lambda: [GPT])
    assert budgets.of(KEY, CHAT, "fast", lambda: [GPT]) is found
    assert [one.budget.id for one in found] == ["bud_1"]


def test_a_limit_has_the_key_and_the_end_of_the_period() -> None:
    limit = CompiledBudget(budget(unit="usd", on_error="closed"), "t1").limit(70, "rid", NOW)
    assert limit.key == "bud:{t1}:bud_1:1796083200"
    assert (limit.quota.limit, limit.quota.window_ms, limit.cost) == (1_000, LEASE_MS, 70)
    assert (limit.scope, limit.name, limit.kind, limit.unit) == ("budget", "bud_1", "budget", "usd")
    assert (limit.lease, limit.on_error, limit.resets_at) == ("rid", "closed", JANUARY * 1_000)


def test_a_period_ends_and_the_next_one_begins() -> None:
    one = CompiledBudget(budget(), "t1")
    names = [one.at(now).name for now in (NOW, JANUARY - 1, JANUARY, NOW)]
    assert names == [f"bud_1:{start}" for start in (1796083200, 1796083200, JANUARY, 1796083200)]


def test_a_budget_for_ever_has_no_end() -> None:
    one = CompiledBudget(budget(period="total", starts="2026-01-01"), "t1")
    assert one.limit(1, "rid", NOW).resets_at == 0
    assert one.at(NOW).name == one.at(NOW + 10**9).name


def test_an_increase_raises_the_limit_while_it_lasts() -> None:
    increase = Increase(amount=500, until=NOW + 10, by="ann", at=NOW)
    one = CompiledBudget(budget(increases=(increase,)), "t1")
    assert [one.limit(1, "rid", now).quota.limit for now in (NOW, NOW + 10)] == [1_500, 1_000]


def test_a_budget_that_only_counts_never_rejects() -> None:
    alert = CompiledBudget(budget(on_spent="alert"), "t1")
    assert not alert.asks
    assert alert.limit(1, "rid", NOW).quota.limit == MAX_UNITS
    assert CompiledBudget(budget(), "t1").limit(1, "rid", NOW, asks=False).quota.limit == MAX_UNITS
