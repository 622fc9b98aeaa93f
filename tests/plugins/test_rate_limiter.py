"""The rate limiter as a plugin: the seed's settings, levels, answers."""

from typing import Any, cast
from unittest.mock import AsyncMock

import pytest

from shared.core.errors import Invalid
from shared.pipeline.plugin import Continue, Reject, Tools
from shared.plugins.rate_limiter import RateLimiter
from shared.testing.memory_limiter import MemoryLimiter
from tests.plugins.gate import Gate, Hands, rejected

SEED_GATEWAY = {"limits": {"global": {"limit": 5, "window": "1m"}}}
SEED_RULE = {"limits": {"global": {"limit": 3, "window": "10s"}}}
QUOTA = {"limit": 1, "window": 1}
A_NUMBER = {"per_header": {"X-A": {**QUOTA, "on_missing": 1}}}
SEED_BLOCK = {"gateway": {"enabled": True, **SEED_GATEWAY}, "rule": {"enabled": True, **SEED_RULE}}


# Each form that the specification writes down, with quotas where it has an ellipsis.
MINUTE = {"limit": 300, "window": "1m"}
SPECIFIED: list[dict[str, Any]] = [
    {"limit": 100, "window": "1m"},
    SEED_GATEWAY,
    SEED_BLOCK,
    {
        "limits": {
            "global": MINUTE,
            "per_ip": [{"limit": 10, "window": "1s"}, MINUTE],
            "per_key": MINUTE,
            "per_header": {
                "X-Team": {**MINUTE, "on_missing": "skip"},
                "X-User": {**MINUTE, "on_missing": "shared"},
                "X-Project": {**MINUTE, "on_missing": "deny"},
            },
            "per_method": MINUTE,
            "per_path": MINUTE,
            "per_model": {"gpt-4o*": MINUTE, "*": MINUTE},
            "streams": {"limit": 8, "unit": "concurrent", "per": ["key"]},
        },
        "actions": {"type": "reject", "retry_after": "60"},
        "cost": 1,
        "headers": ["ietf", "openai", "legacy"],
        "match": {"methods": ["POST"], "paths": ["/v1"]},
    },
    *({"limit": 1, "window": text} for text in ("500ms", "10s", "1m", "1h30m", "1d", "1w", 60, "60", 0.5)),
]


@pytest.mark.parametrize("settings", SPECIFIED)
@pytest.mark.parametrize("origin", ["tenant", "rule", "required"])
def test_every_specified_form_admits(limiter: MemoryLimiter, settings: dict[str, Any], origin: str) -> None:
    named = {"X-Team": "a", "X-User": "b", "X-Project": "c"}
    assert Gate(limiter, [(origin, settings)]).admitted(1, headers=named, path="/v1/chat") == 1


@pytest.mark.parametrize(
    ("origin", "spec", "limit"),
    [
        ("tenant", {"limit": 5, "window": "1m"}, 5),
        *(("tenant", spec, 5) for spec in (SEED_GATEWAY, {"gateway": SEED_GATEWAY})),
        *(("rule", spec, 3) for spec in ({"limit": 3, "window": "10s"}, SEED_RULE, {"rule": SEED_RULE})),
    ],
)
def test_call_above_the_limit_is_rejected(limiter: MemoryLimiter, origin: str, spec: Any, limit: int) -> None:
    gate = Gate(limiter, [(origin, spec)])
    assert [type(gate.ask()) for _ in range(limit + 1)] == [Continue] * limit + [Reject]


@pytest.mark.parametrize(
    "entries",
    [
        [("tenant", SEED_GATEWAY), ("rule", SEED_RULE)],
        *([(origin, SEED_BLOCK)] for origin in ("tenant", "required", "rule")),
        [("tenant", SEED_BLOCK), ("rule", SEED_BLOCK)],
    ],
)
def test_both_parts_reject_and_rule_comes_first(limiter: MemoryLimiter, clock: Hands, entries: Any) -> None:
    gate = Gate(limiter, entries)
    assert gate.admitted(3) == 3
    assert "rule limit 'global': 3 requests per 10s" in rejected(gate.ask()).message
    clock.seconds += 11
    assert gate.admitted(2) == 2
    assert "gateway limit 'global': 5 requests per 1m" in rejected(gate.ask()).message
    clock.seconds += 50
    assert gate.admitted(3) == 3
    both = rejected(gate.ask())
    assert "rule limit" in both.message
    assert int(both.headers["Retry-After"]) <= 11


def test_retry_after_of_two_exhausted_limits_is_the_longer_one(limiter: MemoryLimiter) -> None:
    gate = Gate(limiter, [("tenant", {"limit": 3, "window": "1m"}), ("rule", SEED_RULE)])
    gate.admitted(3)
    both = rejected(gate.ask())
    assert "rule limit" in both.message
    assert 60 <= int(both.headers["Retry-After"]) <= 61


def test_rules_share_the_gateways_counter_and_have_their_own(limiter: MemoryLimiter) -> None:
    one, two = (Gate(limiter, [("tenant", SEED_BLOCK)], rule) for rule in ("r1", "r2"))
    assert one.admitted(4) == 3
    assert two.admitted(4) == 2
    assert "gateway limit" in rejected(two.ask()).message


def test_a_gateway_part_on_a_rule_counts_with_that_of_the_tenant(limiter: MemoryLimiter) -> None:
    strict = Gate(limiter, [("rule", {"gateway": {"limits": {"global": {"limit": 2, "window": "1m"}}}})])
    free = Gate(limiter, [("tenant", SEED_GATEWAY)], "r2")
    assert free.admitted(2) == 2
    assert strict.admitted(1) == 0
    assert free.admitted(9) == 3


def test_a_part_that_is_switched_off_is_none(limiter: MemoryLimiter) -> None:
    off = {"gateway": {"enabled": False, **SEED_GATEWAY}}
    verdict = Gate(limiter, [("tenant", off)]).ask()
    assert verdict == Continue()
    assert Gate(limiter, [("tenant", off), ("rule", SEED_RULE)]).admitted(9) == 3


def test_a_tier_is_a_ceiling_that_a_tenants_own_limit_cannot_lift(limiter: MemoryLimiter) -> None:
    tier = {"limits": {"global": {"limit": 4, "window": "1m"}}}
    assert Gate(limiter, [("tier", tier), ("tenant", {"limit": 900, "window": "1m"})]).admitted(9) == 4


def test_addresses_and_keys_count_for_themselves(limiter: MemoryLimiter) -> None:
    limits = {"per_ip": {"limit": 2, "window": "1m"}, "per_key": [{"limit": 3, "window": "1m"}]}
    gate = Gate(limiter, [("rule", {"limits": limits})])
    assert gate.admitted(5, client="192.0.2.1", key="k1") == 2
    assert gate.admitted(5, client="192.0.2.2", key="k1") == 1
    assert gate.admitted(5, client="192.0.2.3", key="k2") == 2
    assert "'per_key'" in rejected(gate.ask(client="192.0.2.4", key="k1")).message


def test_a_cost_counts_as_that_many_requests(limiter: MemoryLimiter) -> None:
    gate = Gate(limiter, [("rule", {"limit": 10, "window": "1m", "cost": 3})])
    last = [gate.ask() for _ in range(4)]
    assert [type(verdict) for verdict in last] == [Continue] * 3 + [Reject]
    assert gate.headers(last[1])["X-RateLimit-Remaining"] == "4"
    assert gate.headers(last[2])["X-RateLimit-Remaining"] == "0"


def test_a_rejection_says_everything(limiter: MemoryLimiter) -> None:
    gate = Gate(limiter, [("rule", SEED_RULE)])
    gate.admitted(3)
    rejection = rejected(gate.ask())
    assert (rejection.status, rejection.code) == (429, "rate_limit_exceeded")
    assert set(rejection.headers) == {"Retry-After", "retry-after-ms"}
    told = cast(dict[str, Any], rejection.details["rate_limit"])
    assert told["retry_after_ms"] == int(rejection.headers["retry-after-ms"])
    assert (told["scope"], told["name"], told["limit"], told["window"]) == ("rule", "global", 3, "10s")
    assert gate.headers(rejection)["RateLimit"].startswith('"rule-global";r=0;t=1')


def test_retry_after_of_the_settings_is_sent_when_it_is_longer(limiter: MemoryLimiter) -> None:
    patient = {**SEED_RULE, "actions": {"type": "reject", "retry_after": "60"}}
    gate = Gate(limiter, [("rule", patient), ("tenant", SEED_GATEWAY)])
    gate.admitted(3)
    rejection = rejected(gate.ask())
    assert rejection.headers["Retry-After"] == "60"
    assert rejection.message.endswith("Try again in 60s.")
    other = Gate(limiter, [("rule", {**patient, "limit": 2, "window": "10m"})], "r2")
    other.admitted(2)
    assert int(rejected(other.ask()).headers["Retry-After"]) >= 600
    never = {"limit": 0, "window": "1m", "actions": {"retry_after": "60"}}
    rejection = rejected(Gate(limiter, [("rule", never)], "r3").ask())
    assert dict(rejection.headers) == {"x-should-retry": "false"}


def test_limit_admits_as_many_requests_as_its_remaining_header_shows(limiter: MemoryLimiter) -> None:
    gate = Gate(limiter, [("rule", {"limit": 4, "window": "1m"}), ("tenant", SEED_GATEWAY)])
    remaining = [gate.headers(gate.ask())["x-ratelimit-remaining-requests"] for _ in range(5)]
    assert remaining == ["3", "2", "1", "0", "0"]


def test_families_that_one_entry_chooses_hold_for_all(limiter: MemoryLimiter) -> None:
    gate = Gate(limiter, [("tier", SEED_GATEWAY), ("rule", {**SEED_RULE, "headers": ["legacy"]})])
    names = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
    assert set(gate.headers(gate.ask())) == names
    none = Gate(limiter, [("tier", SEED_GATEWAY), ("rule", {**SEED_RULE, "headers": []})])
    assert none.headers(none.ask()) == {}


def test_all_limits_of_a_request_are_one_call(limiter: MemoryLimiter) -> None:
    limiter.acquire = acquire = AsyncMock(wraps=limiter.acquire)  # type: ignore[method-assign]
    Gate(limiter, [("tier", SEED_GATEWAY), ("tenant", SEED_BLOCK), ("rule", SEED_RULE)]).ask()
    [call] = acquire.call_args_list
    assert [limit.scope for limit in call.args[0]] == ["rule", "gateway"]


@pytest.mark.parametrize(
    ("spec", "pointer", "words"),
    [
        ({}, "/limit", "Required"),
        ({"limit": 5}, "/window", "Required together with limit"),
        ({"window": 5}, "/limit", "Required together with window"),
        ({"limit": -5, "window": "1m"}, "/limit", "at least 0"),
        ({"limit": 5, "window": "1 minute"}, "/window", "such as 500ms"),
        ({"limits": {}}, "/limits", "at least one"),
        ({"limits": {"per_ip": [QUOTA, {**QUOTA, "window": "x"}]}}, "/limits/per_ip/1/window", "such as"),
        ({"limits": {"per_header": {}}}, "/limits/per_header", "from 1 to 32"),
        ({"limits": A_NUMBER}, "/limits/per_header/X-A/on_missing", "Must be text"),
        ({"rule": {"limits": {"streams": {}}}}, "/rule/limits/streams/limit", "missing"),
        ({"gateway": {"limits": {"tokens": {}}}}, "/gateway/limits/tokens", "Unknown field"),
        ({"rule": {}}, "/rule/limits", "Required unless enabled is false"),
        ({**SEED_RULE, "cost": 0}, "/cost", "at least 1"),
        ({**SEED_RULE, "headers": ["x"]}, "/headers/0", "Must be one of: ietf, openai, legacy"),
        ({**SEED_RULE, "actions": {"type": "queue"}}, "/actions/type", "Must be one of: reject"),
        ({**SEED_RULE, "match": {"paths": ["v1"]}}, "/match/paths/0", "begin with a slash"),
        ({**SEED_RULE, "precision": "auto"}, "/precision", "Unknown field"),
        ({**SEED_RULE, "on_error": "open"}, "/on_error", "Unknown field"),
    ],
)
def test_wrong_settings_are_rejected_where_they_are_wrong(spec: Any, pointer: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        RateLimiter.parse(spec)
    (problem,) = caught.value.problems
    assert problem.pointer == pointer
    assert words in problem.detail


def test_limit_in_shadow_mode_reads_the_enforced_counter_without_a_charge() -> None:
    """A stricter number can be tried out on the traffic that there is."""
    settings = [{"limit": number, "window": "1m"} for number in (100, 2)]
    limiter = MemoryLimiter(Hands())
    acting, trial = Gate(limiter, [("rule", settings[0])]), Gate(limiter, [("rule", settings[1])])
    trial.plugin.start(Tools(limiter, cast(Any, None), Hands()).dry())
    assert trial.admitted(10) == 10
    assert acting.admitted(1) == 1
    assert trial.admitted(10) == 10
    assert acting.admitted(1) == 1
    assert rejected(trial.ask()).code == "rate_limit_exceeded"
    assert acting.admitted(99) == 98
