"""The dimensions by which the rate limiter tells requests apart; no game with them gains anything."""

import asyncio
import gzip
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.body import model_of
from shared.bodies.json.parse import JsonBounds
from shared.limits.redis.limiter import open_redis_limiter
from shared.limits.resolve import SHARED_COUNTER, LimitResolver
from shared.model.messages import Request
from shared.pipeline.plugin import Continue
from shared.plugins import rate_limiter
from shared.plugins.rate_limiter import RateLimiter
from shared.testing.memory_limiter import MemoryLimiter
from tests.limits.redis.limiter_world import address
from tests.plugins.gate import Gate, Hands, rejected
from tests.support.valkey_server import valkey

TWO = {"limit": 2, "window": "1m"}
GZIP = {"Content-Encoding": "gzip"}


def body(model: str) -> bytes:
    return json.dumps({"model": model, "messages": []}).encode()


LONG = json.dumps({"messages": "x" * 100_000, "model": "gpt-4o"}).encode()
NO_TEAM, TEAMS = {"per_header": {"X-Team": TWO}}, [{"x-team": "red"}, {"X-Team": "blue"}]
# Limits, and how many are admitted of so many requests, one kind after the other.
COUNTED: dict[str, tuple[dict[str, Any], list[tuple[int, dict[str, Any], int]]]] = {
    "each method": ({"per_method": TWO}, [(3, {"method": "GET"}, 2), (3, {"method": "POST"}, 2)]),
    "each path, however it ends": (
        {"per_path": TWO},
        [(1, {"path": "/v1/chat"}, 1), (2, {"path": "/v1/chat/"}, 1), (3, {"path": "/v1/models"}, 2)],
    ),
    "each value of a header": (NO_TEAM, [(3, {"headers": team}, 2) for team in TEAMS]),
    "no header": (NO_TEAM, [(5, {}, 2)]),
    "no header, shared": ({"per_header": {"X-Team": {**TWO, "on_missing": "shared"}}}, [(5, {}, 2)]),
    "no header, skip": ({"per_header": {"X-Team": {**TWO, "on_missing": "skip"}}}, [(5, {}, 5)]),
    "the model of a long and of an encoded body": (
        {"per_model": {"gpt-4o": TWO}},
        [
            (1, {"body": LONG}, 1),
            (1, {"body": gzip.compress(body("gpt-4o")), "headers": GZIP}, 1),
            (1, {"body": body("gpt-4o")}, 0),
        ],
    ),
}


def rule_with(limiter: MemoryLimiter, limits: dict[str, Any], **more: Any) -> Gate:
    return Gate(limiter, [("rule", {"limits": limits, **more})])


@pytest.mark.parametrize(("limits", "asked"), COUNTED.values(), ids=COUNTED)
def test_requests_are_counted_by_what_the_limit_divides(
    limiter: MemoryLimiter, limits: dict[str, Any], asked: list[tuple[int, dict[str, Any], int]]
) -> None:
    gate = rule_with(limiter, limits)
    assert [gate.admitted(times, **request) for times, request, _ in asked] == [most for *_, most in asked]


def test_limit_of_a_header_is_named_as_in_its_settings(limiter: MemoryLimiter) -> None:
    gate = rule_with(limiter, NO_TEAM)
    gate.admitted(2, headers={"x-team": "red"})
    rejection = rejected(gate.ask(headers={"X-TEAM": "red"}))
    assert "rule limit 'per_header:X-Team': 2 requests per 1m" in rejection.message


def test_a_header_can_be_demanded_and_a_request_without_it_costs_nothing(limiter: MemoryLimiter) -> None:
    gate = rule_with(limiter, {"global": TWO, "per_header": {"X-Team": {**TWO, "on_missing": "deny"}}})
    rejection = rejected(gate.ask())
    assert (rejection.status, rejection.code) == (400, "missing_required_header")
    assert "x-team" in rejection.message
    assert gate.admitted(3, headers={"X-Team": "red"}) == 2


def test_each_model_is_counted_under_the_most_precise_glob(limiter: MemoryLimiter) -> None:
    gate = rule_with(limiter, {"per_model": {"*": {"limit": 4, "window": "1m"}, "gpt-4o*": TWO}})
    assert gate.admitted(5, body=body("gpt-4o")) == 2
    assert gate.admitted(5, body=body("gpt-4o-mini")) == 2
    assert gate.admitted(5, body=body("claude")) == 4
    assert gate.admitted(5) == 4
    assert "'per_model:gpt-4o*'" in rejected(gate.ask(body=body("gpt-4o"))).message
    named = Gate(limiter, [("rule", {"limits": {"per_model": {"gpt-4o*": TWO}}})], "r2")
    assert named.ask(body=body("claude")) == Continue()
    assert named.admitted(5, body=body("gpt-4o")) == 2


def test_long_or_encoded_body_takes_a_thread(limiter: MemoryLimiter, monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[str] = []

    def seen(request: Request, bounds: JsonBounds) -> str:
        readers.append(threading.current_thread().name)
        return model_of(request, bounds)

    monkeypatch.setattr(rate_limiter, "model_of", seen)
    gate = rule_with(limiter, {"per_model": {"gpt-4o": TWO}})
    gate.ask(body=body("gpt-4o"))
    gate.ask(body=b" " * 20_000 + body("gpt-4o"))
    gate.ask(body=gzip.compress(body("gpt-4o")), headers=GZIP)
    assert [name == "MainThread" for name in readers] == [True, False, False]


def test_a_body_that_names_two_models_is_rejected_and_costs_nothing(limiter: MemoryLimiter) -> None:
    gate = rule_with(limiter, {"global": TWO, "per_model": {"gpt-4o": TWO}})
    rejection = rejected(gate.ask(body=b'{"model": "cheap", "model": "gpt-4o"}'))
    assert (rejection.status, rejection.code) == (400, "invalid_json")
    assert gate.admitted(3, body=body("gpt-4o")) == 2


def test_only_limits_of_models_read_the_body(limiter: MemoryLimiter) -> None:
    plain = rule_with(
        limiter, {"global": TWO, "per_header": {"X": TWO}, "per_path": TWO, "streams": {"limit": 1}}
    )
    assert plain.plugin.reads == {"headers"}
    assert plain.admitted(1, body=b'{"model": 1, "model": 2}') == 1
    for limits in ({"per_model": {"*": TWO}}, {"streams": {"limit": 1, "per": ["model"]}}):
        assert RateLimiter.parse({"limits": limits}).reads == {"headers", "body"}
        assert rule_with(limiter, limits).plugin.reads == {"headers", "body"}


def test_only_what_matches_is_counted_in_a_counter_of_its_own(limiter: MemoryLimiter) -> None:
    posts = {"limits": {"global": TWO}, "match": {"methods": ["post"], "paths": ["/v1/chat", "/v2/*"]}}
    gate = Gate(limiter, [("rule", posts), ("rule", {"limit": 5, "window": "1m"})])
    assert gate.admitted(3, method="GET") == 3
    assert gate.admitted(1, path="/v1/chatter") == 1
    assert gate.admitted(3, path="/v1/chat/completions") == 1
    assert "5 requests" in rejected(gate.ask(path="/v2/x")).message


def test_beyond_the_bound_the_further_values_of_a_limit_share_one_counter(limiter: MemoryLimiter) -> None:
    limits = {"limits": {"per_header": {"X-Team": TWO}}}
    gate = Gate(limiter, [("rule", limits)], most_values=3)
    assert [gate.admitted(3, headers={"X-Team": team}) for team in "abc"] == [2, 2, 2]
    assert [gate.admitted(3, headers={"X-Team": team}) for team in "defg"] == [2, 0, 0, 0]
    assert gate.admitted(3, headers={"X-Team": "a"}) == 0


def test_rejected_request_does_not_count_as_a_distinct_value(limiter: MemoryLimiter) -> None:
    limits = {"limits": {"global": TWO, "per_header": {"X-Team": TWO}}}
    gate = Gate(limiter, [("rule", limits)], most_values=3)
    assert sum(gate.admitted(1, headers={"X-Team": str(number)}) for number in range(50)) == 2
    assert [limit.value == SHARED_COUNTER for limit in charged(gate, "new")] == [False, False]


def charged(gate: Gate, team: str) -> Any:
    exchange = gate.exchange(headers={"X-Team": team})
    return LimitResolver(gate.plugin.compiled_limits).of(exchange, ("",), "", gate.plugin._has_counter).each


games = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "POST", "DELETE"]),
        "path": st.sampled_from(["/v1", "/v1/chat", "/v1/chat/", "/v1/%2f"]),
        "key": st.sampled_from([None, "key_1", "key_2"]),
        "headers": st.dictionaries(
            st.sampled_from(
                ["X-Forwarded-For", "X-Real-IP", "X-Team", "X-Request-ID", "X-HTTP-Method-Override"]
            ),
            st.text("ab1.", max_size=4),
        ),
        "body": st.sampled_from([b"", body("gpt-4o"), body("claude"), b"\x00"]),
    }
)
SEVERAL = {
    "global": {"limit": 3, "window": "1m"},
    "per_method": {"limit": 2, "window": "1m"},
    "per_path": {"limit": 2, "window": "1m"},
    "per_header": {"X-Team": {"limit": 2, "window": "1m"}},
    "per_model": {"*": {"limit": 2, "window": "1m"}},
}


@given(st.lists(games, min_size=8, max_size=12), st.booleans())
def test_limit_admits_no_more_requests_for_values_the_client_chooses(
    played: list[Any], at_gateway: bool
) -> None:
    gate = Gate(MemoryLimiter(Hands()), [("tenant" if at_gateway else "rule", {"limits": SEVERAL})])
    assert sum(isinstance(gate.ask(**request), Continue) for request in played) <= 3


@given(st.lists(games, min_size=8, max_size=12))
def test_limit_per_ip_ignores_all_values_the_client_chooses(played: list[Any]) -> None:
    gate = Gate(MemoryLimiter(Hands()), [("rule", {"limits": {"per_ip": {"limit": 3, "window": "1m"}}})])
    assert sum(isinstance(gate.ask(**request), Continue) for request in played) == 3


MOST = 10_000  # values of one limit that have a counter of their own, as the specification has it
FLOOD = 10_300
ROOMY = {"limit": 1_000_000, "window": "10m"}


@pytest.fixture(scope="module")
def socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with valkey(tmp_path_factory.mktemp("flood")) as socket:
        yield socket


def flooded(socket: str, limits: Any, name: str) -> tuple[int, int]:
    """How many requests passed of a flood in which each sends another value, and how many keys it made."""

    async def flood() -> int:
        limiter = open_redis_limiter(address(socket), deadline=20)
        gate = Gate(limiter, [("rule", {"limits": limits})])
        verdicts = []
        for number in range(FLOOD):
            request = {"headers": {"X-Team": str(number)}, "path": f"/{number}"}
            verdicts.append(await gate.plugin.pre_request(gate.exchange(**request)))
        await limiter.close()
        return sum(isinstance(verdict, Continue) for verdict in verdicts)

    with redis.Redis(**address(socket)) as store:
        store.flushdb()
        passed = asyncio.run(flood())
        keys = store.dbsize()
    print(f"\n{name}: {FLOOD} values, {passed} requests passed, {keys} counters")
    return passed, keys


@pytest.mark.slow
@pytest.mark.parametrize("limits", [{"per_header": {"X-Team": ROOMY}}, {"per_path": ROOMY}])
def test_a_flood_of_values_makes_ten_thousand_counters_and_a_shared_one(socket: str, limits: Any) -> None:
    assert flooded(socket, limits, next(iter(limits))) == (FLOOD, MOST + 1)


@pytest.mark.slow
def test_flood_of_headers_beside_a_global_limit_adds_counters_if_admitted_only(socket: str) -> None:
    limits = {"global": {"limit": 50, "window": "10m"}, "per_header": {"X-Team": ROOMY}, "per_path": ROOMY}
    assert flooded(socket, limits, "beside global") == (50, 1 + 2 * 50)
