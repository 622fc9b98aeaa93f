"""The headers that tell a client about its limits."""

from collections.abc import Collection
from dataclasses import replace

import pytest

from shared.limits.headers import (
    FAMILIES,
    RateHeaders,
    mode_header,
    rejection_code,
    rejection_details,
    rejection_message,
    retry_headers,
    state_members,
    unpriced_message,
    with_amounts,
)
from shared.limits.values import NEVER, Decision, Limit, LimitState, Quota, decide

RULE = Limit("1", Quota(100, 60_000), "rule", "global", "1m")
GATEWAY = Limit("2", Quota(1_000, 3_600_000), "gateway", "per_ip", "1h")


SLOTS = Limit("3", Quota(8, 30_000), "rule", "streams", "", kind="concurrent", lease="a", unit="concurrent")


def rate_headers(decision: Decision, families: Collection[str]) -> dict[str, str]:
    return dict(RateHeaders((state.limit for state in decision.states), tuple(families)).of(decision))


def admitted(*states: LimitState) -> Decision:
    return Decision(True, states)


def test_an_admitted_request_gets_headers_of_all_limits_the_tightest_first() -> None:
    decision = admitted(LimitState(GATEWAY, 412, 900), LimitState(RULE, 7, 12_400))
    assert rate_headers(decision, FAMILIES) == {
        "RateLimit-Policy": '"rule-global";q=100;w=60, "gw-per_ip";q=1000;w=3600',
        "RateLimit": '"rule-global";r=7;t=13, "gw-per_ip";r=412;t=1',
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "7",
        "x-ratelimit-reset-requests": "12.4s",
        "X-RateLimit-Limit": "100",
        "X-RateLimit-Remaining": "7",
        "X-RateLimit-Reset": "13",
    }


ONE_EACH = [LimitState(RULE, 0, 900), LimitState(GATEWAY, 5, 90_000)]
COSTLY = replace(RULE, quota=Quota(10, 60_000), cost=3)
SLOTS_TWICE = admitted(LimitState(SLOTS, 3, 0), LimitState(SLOTS, 4, 0))


@pytest.mark.parametrize(
    ("decision", "name", "value"),
    [
        (decide([ONE_EACH[0], LimitState(GATEWAY, 0, 90_000)]), "X-RateLimit-Limit", "1000"),
        (decide(ONE_EACH), "RateLimit", '"rule-global";r=0;t=1, "gw-per_ip";r=5'),
        (admitted(LimitState(COSTLY, 2, 900)), "X-RateLimit-Remaining", "0"),
        (admitted(LimitState(COSTLY, 3, 900)), "X-RateLimit-Remaining", "3"),
        (SLOTS_TWICE, "RateLimit", '"rule-streams";r=3, "rule-streams";r=4'),
    ],
    ids=["the longest wait first", "no reset later than the retry", "too little", "enough", "one name twice"],
)
def test_a_header_shows_the_state_of_its_limits(decision: Decision, name: str, value: str) -> None:
    assert rate_headers(decision, FAMILIES)[name] == value


def test_the_headers_of_a_limit_with_a_label_show_it_and_without_limits_there_are_none() -> None:
    labeled = replace(RULE, label="rule-global-1m")
    assert rate_headers(admitted(LimitState(labeled, 9, 1)), ["ietf"]) == {
        "RateLimit-Policy": '"rule-global-1m";q=100;w=60',
        "RateLimit": '"rule-global-1m";r=9;t=1',
    }
    assert rate_headers(admitted(), FAMILIES) == {}


def test_a_limit_that_never_admits_names_no_time() -> None:
    headers = rate_headers(decide([LimitState(RULE, 0, NEVER), LimitState(GATEWAY, 0, 5)]), FAMILIES)
    assert headers["RateLimit"] == '"rule-global";r=0, "gw-per_ip";r=0;t=1'
    assert not any("reset" in name.lower() for name in headers)


@pytest.mark.parametrize(
    ("families", "names"),
    [
        ([], set()),
        (["ietf"], {"RateLimit", "RateLimit-Policy"}),
        (["legacy"], {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}),
    ],
)
def test_families_of_headers_can_be_chosen(families: list[str], names: set[str]) -> None:
    assert set(rate_headers(admitted(LimitState(RULE, 7, 12_400)), families)) == names


@pytest.mark.parametrize(
    ("wait_ms", "headers"),
    [
        (1, {"Retry-After": "1", "retry-after-ms": "1"}),
        (12_400, {"Retry-After": "13", "retry-after-ms": "12400"}),
        (60_000, {"Retry-After": "60", "retry-after-ms": "60000"}),
        (60_001, {"Retry-After": "61", "retry-after-ms": "60001", "x-should-retry": "false"}),
        (NEVER, {"x-should-retry": "false"}),
    ],
)
def test_a_rejected_client_gets_the_time_to_come_back(wait_ms: int, headers: dict[str, str]) -> None:
    assert retry_headers(wait_ms) == headers


@pytest.mark.parametrize(
    ("wait_ms", "ending"),
    [
        (12_400, "Try again in 12.4s."),
        (12_301, "Try again in 12.4s."),
        (3, "Try again in 0.1s."),
        (60_000, "Try again in 60s."),
        (5_399_001, "Try again in 1h30m."),
        (NEVER, "This request can never be admitted."),
    ],
)
def test_the_sentence_names_the_limit_and_the_wait(wait_ms: int, ending: str) -> None:
    sentence = f"Rate limit reached for rule limit 'global': 100 requests per 1m. {ending}"
    assert rejection_message(RULE, wait_ms) == sentence


def test_the_details_hold_the_same_as_data() -> None:
    decision = decide([LimitState(RULE, 0, 12_400), LimitState(GATEWAY, 5, 90_000)])
    assert rejection_details(decision, RULE, 12_400) == {
        "scope": "rule",
        "name": "global",
        "limit": 100,
        "window": "1m",
        "unit": "requests",
        "remaining": 0,
        "retry_after_ms": 12_400,
    }
    assert rejection_details(decision, RULE, NEVER)["retry_after_ms"] is None


def test_slots_are_shown_only_in_the_header_that_has_a_unit() -> None:
    headers = rate_headers(admitted(LimitState(RULE, 7, 12_400), LimitState(SLOTS, 3, 0)), FAMILIES)
    policy = '"rule-streams";q=8;qu="concurrent-requests", "rule-global";q=100;w=60'
    assert headers["RateLimit-Policy"] == policy
    assert headers["RateLimit"] == '"rule-streams";r=3, "rule-global";r=7;t=13'
    assert headers["x-ratelimit-remaining-requests"] == headers["X-RateLimit-Remaining"] == "7"
    fewer = replace(SLOTS, unit="requests")
    assert rate_headers(admitted(LimitState(RULE, 7, 12_400), LimitState(fewer, 3, 0)), FAMILIES) == headers
    alone = rate_headers(admitted(LimitState(SLOTS, 3, 0)), FAMILIES)
    assert set(alone) == {"RateLimit", "RateLimit-Policy"}


def test_a_request_without_a_slot_gets_a_code_and_a_sentence_of_its_own() -> None:
    assert rejection_code(SLOTS) == "too_many_concurrent_requests"
    assert rejection_code(RULE) == "rate_limit_exceeded"
    sentence = "Too many concurrent requests for rule limit 'streams': 8 at a time. Try again in 1s."
    assert rejection_message(SLOTS, 1_000) == sentence
    assert rejection_details(decide([LimitState(SLOTS, 0, 0)]), SLOTS, 1_000) == {
        "scope": "rule",
        "name": "streams",
        "limit": 8,
        "window": None,
        "unit": "concurrent",
        "remaining": 0,
        "retry_after_ms": 1_000,
    }


def test_a_cost_above_the_limit_is_named_as_the_reason() -> None:
    costly = replace(RULE, cost=101)
    assert rejection_message(costly, NEVER).endswith("A cost of 101 can never be admitted.")


def test_a_response_says_when_redis_did_not_decide() -> None:
    local, free = LimitState(RULE, 1, 0), LimitState(replace(RULE, on_error="open"), 1, 0)
    assert mode_header(Decision(True, [local])) == ()
    assert mode_header(Decision(True, [local, free], degraded=True)) == (
        (b"X-Gateway-RateLimit-Mode", b"local"),
    )
    assert mode_header(Decision(True, [free], degraded=True)) == ((b"X-Gateway-RateLimit-Mode", b"open"),)


TOKENS = replace(
    RULE, key="4", quota=Quota(10_000, 60_000), unit="tokens", cost=900, label="rule-global-tokens"
)
MONEY = replace(
    GATEWAY, key="5", quota=Quota(2_500_000_000, 3_600_000), unit="usd", cost=10_000, label="gw-usd"
)


def test_tokens_have_headers_of_their_own_and_money_only_those_with_a_unit() -> None:
    states = (
        LimitState(RULE, 7, 12_400),
        LimitState(TOKENS, 800, 30_000),
        LimitState(MONEY, 1_234_567_890, 900),
    )
    headers = rate_headers(admitted(*states), FAMILIES)
    assert headers["RateLimit-Policy"] == (
        '"rule-global";q=100;w=60, "rule-global-tokens";q=10000;qu="tokens";w=60, '
        '"gw-usd";q=2500000;qu="micro-usd";w=3600'
    )
    assert headers["RateLimit"] == (
        '"rule-global";r=7;t=13, "rule-global-tokens";r=800;t=30, "gw-usd";r=1234567;t=1'
    )
    assert headers["x-ratelimit-limit-requests"] == headers["X-RateLimit-Limit"] == "100"
    assert headers["x-ratelimit-limit-tokens"] == "10000"
    assert headers["x-ratelimit-remaining-tokens"] == "800"
    assert headers["x-ratelimit-reset-tokens"] == "30s"


@pytest.mark.parametrize("unit", ["input_tokens", "output_tokens"])
def test_tokens_of_one_direction_are_shown_as_tokens(unit: str) -> None:
    one = LimitState(replace(TOKENS, unit=unit), 800, NEVER)
    headers = rate_headers(admitted(one, LimitState(TOKENS, 900, 5)), FAMILIES)
    assert headers["x-ratelimit-remaining-tokens"] == "800"
    assert f'qu="{unit.replace("_", "-")}"' in headers["RateLimit-Policy"]
    assert "x-ratelimit-reset-tokens" not in headers
    assert not any(name.endswith("requests") or name.startswith("X-Rate") for name in headers)
    assert rate_headers(admitted(one), ["legacy"]) == {}


def test_a_request_for_too_many_tokens_is_told_how_many_are_left_and_when_it_has_room() -> None:
    decision = decide([LimitState(RULE, 7, 12_400), LimitState(TOKENS, 800, 30_000)])
    assert (
        rate_headers(decision, ["ietf"])["RateLimit"] == '"rule-global";r=7, "rule-global-tokens";r=800;t=30'
    )
    sentence = "Rate limit reached for rule limit 'global': 10000 tokens per 1m. Try again in 30s."
    assert rejection_message(TOKENS, 30_000) == sentence
    assert rejection_details(decision, TOKENS, 30_000) == {
        "scope": "rule",
        "name": "global",
        "limit": 10_000,
        "window": "1m",
        "unit": "tokens",
        "remaining": 800,
        "retry_after_ms": 30_000,
        "cost": 900,
    }


def test_money_is_shown_as_decimal_text() -> None:
    details = rejection_details(decide([LimitState(MONEY, 10, 30_000)]), MONEY, NEVER)
    assert (details["limit"], details["remaining"], details["cost"]) == ("2.5", "0.00000001", "0.00001")
    assert rejection_message(MONEY, NEVER) == (
        "Rate limit reached for gateway limit 'per_ip': 2.5 USD per 1h. A request of about 0.00001 USD can never "
        "be admitted: shorten it, or lower the tokens that it asks for."
    )
    members = state_members(LimitState(MONEY, 5, 0))
    assert (members["limit"], members["cost"]) == (2_500_000_000, 10_000)
    shown = with_amounts({**members, "used": None})
    assert (shown["limit"], shown["used"], shown["remaining"]) == ("2.5", None, "0.000000005")


def test_only_a_window_that_frees_has_a_time_in_documents() -> None:
    states = LimitState(RULE, 7, 12_400), LimitState(RULE, 0, NEVER), LimitState(SLOTS, 3, 0)
    assert [state_members(state)["reset_after_ms"] for state in states] == [12_400, None, None]


def test_model_without_a_price_is_named() -> None:
    assert unpriced_message("m-1").startswith("The price of the model m-1 is not known")
