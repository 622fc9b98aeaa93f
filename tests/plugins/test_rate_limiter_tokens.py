"""Limits of tokens and money: what is expected is charged first, and what was used in the end."""

from typing import Any
from unittest.mock import AsyncMock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import Invalid
from shared.limits.values import LimitState, decide
from shared.pipeline.plugin import Continue, Reject
from shared.plugins.rate_limiter import RateLimiter
from shared.testing.memory_limiter import MemoryLimiter
from tests.limits.limits_by_name import Uses
from tests.plugins.gate import Gate, Hands, rejected

TOKENS = {"limit": 1_000, "unit": "tokens", "window": "1m"}
FAST: dict[str, Any] = {"models": ("fast",)}


def left(gate: Gate, verdict: Continue | Reject) -> str:
    return gate.headers(verdict)["x-ratelimit-remaining-tokens"]


def test_a_request_is_charged_what_it_is_expected_to_use(limiter: MemoryLimiter) -> None:
    gate = Gate(limiter, [("rule", TOKENS)])
    assert left(gate, gate.ask(**FAST, metered=Uses(300))) == "700"
    assert left(gate, gate.ask(**FAST, metered=Uses(700))) == "0"
    message = rejected(gate.ask(**FAST, metered=Uses(5))).message
    assert message.startswith("Rate limit reached for rule limit 'global': 1000 tokens per 1m. Try again")


@pytest.mark.parametrize(("used", "remaining"), [(100, 890), (0, 990), (450, 540), (None, 690)])
def test_what_was_used_takes_the_place_of_what_was_expected(
    limiter: MemoryLimiter, used: int | None, remaining: int
) -> None:
    gate = Gate(limiter, [("rule", TOKENS)])
    request = Uses(300, used=used)
    gate.end(gate.ask(**FAST, metered=request), request)
    assert left(gate, gate.ask(**FAST, metered=Uses(10))) == str(remaining)


def test_a_rejected_request_is_neither_charged_nor_corrected(limiter: MemoryLimiter) -> None:
    gate = Gate(limiter, [("rule", TOKENS)])
    too_long = Uses(2_000, used=5)
    verdict = rejected(gate.ask(**FAST, metered=too_long))
    assert verdict.message.endswith(
        "A request of about 2000 tokens can never be admitted: shorten it, or lower the tokens that it asks for."
    )
    assert verdict.headers == {"x-should-retry": "false"}
    gate.end(verdict, too_long)
    assert left(gate, gate.ask(**FAST, metered=Uses(1))) == "999"


def test_a_request_whose_price_is_not_known_is_rejected_where_money_is_limited(
    limiter: MemoryLimiter,
) -> None:
    gate = Gate(limiter, [("rule", {"limit": "2.50", "unit": "usd", "window": "1d"})])
    verdict = rejected(gate.ask(**FAST, metered=Uses(None)))
    assert (verdict.status, verdict.code) == (400, "unpriced_model")
    assert "fast" in verdict.message


def test_on_a_rule_without_models_only_requests_are_limited_and_no_body_is_read(
    limiter: MemoryLimiter,
) -> None:
    both = {"limits": {"global": [TOKENS, {"limit": 2, "window": "1m"}]}}
    gate = Gate(limiter, [("tenant", both)], serves_models=False)
    assert gate.plugin.reads == {"headers"}
    assert not gate.plugin.has_cleanup
    assert gate.admitted(3) == 2
    assert Gate(limiter, [("tenant", both)]).plugin.reads == {"headers", "body"}


def test_each_model_can_have_its_own_tokens(limiter: MemoryLimiter) -> None:
    gate = Gate(limiter, [("rule", {"limits": {"per_model": {"fast": TOKENS}}})])
    assert left(gate, gate.ask(**FAST, metered=Uses(900))) == "100"
    assert gate.headers(gate.ask(models=("slow",), metered=Uses(5_000))) == {}


def test_a_long_request_is_estimated_before_it_is_charged(limiter: MemoryLimiter) -> None:
    gate = Gate(limiter, [("rule", TOKENS)])
    assert left(gate, gate.ask(**FAST, metered=Uses(300), body=b"x" * 40_000)) == "700"
    assert left(gate, gate.ask(**FAST, metered=Uses(100), headers={"Content-Encoding": "gzip"})) == "600"
    assert gate.headers(gate.ask(body=b"x" * 40_000)) == {}


def test_a_client_waits_for_one_call_and_the_correction_comes_after_it() -> None:
    calls = AsyncMock()
    calls.acquire.side_effect = lambda limits: decide([LimitState(limit, 900, 0) for limit in limits])
    gate = Gate(calls, [("rule", {"limits": {"global": [TOKENS, {"limit": 9, "window": "1m"}]}})])
    request = Uses(300, used=120)
    verdict = gate.ask(**FAST, metered=request)
    assert [call[0] for call in calls.method_calls] == ["acquire"]
    gate.end(verdict, request)
    (name, (limits, decision, units), _) = calls.method_calls[1]
    assert (name, [one.unit for one in limits], units) == ("correct", ["tokens"], [-180])
    assert decision.allowed


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        ({"limit": "5", "window": "1m"}, "/limit"),
        ({"limit": "x", "unit": "usd", "window": "1m"}, "/limit"),
        ({"limit": 10**10, "window": "1m"}, "/limit"),
        ({"limit": 5, "unit": "words", "window": "1m"}, "/unit"),
    ],
)
def test_a_limit_that_does_not_fit_its_unit_is_named(settings: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid) as caught:
        RateLimiter.parse(settings)
    assert [problem.pointer for problem in caught.value.problems] == [pointer]


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 900), st.booleans()), max_size=20))
def test_after_all_corrections_the_sum_is_that_of_what_was_used(asked: list[tuple[int, int, bool]]) -> None:
    clock = Hands()
    gate, most = Gate(MemoryLimiter(clock), [("rule", {**TOKENS, "limit": 10**9})]), 10**9
    running, total = [], 0
    for expected, used, ends_later in asked:
        clock.seconds += 1
        request = Uses(expected, used=used)
        verdict = gate.ask(**FAST, metered=request)
        if expected:
            total += used
        if ends_later:
            running.append((verdict, request))
        else:
            gate.end(verdict, request)
    for verdict, request in running:
        gate.end(verdict, request)
    assert left(gate, gate.ask(**FAST, metered=Uses(1))) == str(most - total - 1)
