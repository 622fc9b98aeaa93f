"""A rule with several targets, compiled: where its requests go, with which headers, and how often."""

from typing import Any

import pytest

from shared.model.config import CLIENT, Rule
from shared.model.messages import Headers
from shared.model.pools import Affinity, PoolPolicy, RetryOn, Strategy, UrlTarget
from shared.model.rule_timeouts import RuleTimeouts
from shared.model.sealed import Sealed
from shared.routing.target_pool import TargetExchange, target_id
from shared.routing.upstream import Upstream
from shared.secrets.context import header_context
from shared.upstreams.attempt import Ended
from shared.upstreams.outcome import outcome_of_transport
from tests.routing.test_compile import SEALER, compile_rules, routes

A, B = "http://a.example/base", "http://b.example:8080"
ORDER = PoolPolicy(strategy=Strategy.ORDER)
REFUSED = outcome_of_transport(RetryOn.CONNECT, "refused")


def sealed(name: str, value: str, url: str) -> dict[str, Sealed]:
    return {name: Sealed(SEALER.seal(value, header_context("ten", name, url)))}


def route(*targets: UrlTarget, policy: PoolPolicy = ORDER, **rule: Any) -> Any:
    targets = targets or (UrlTarget(url=A), UrlTarget(url=B))
    return routes(compile_rules(Rule("r", "/r", "", targets=targets, policy=policy, **rule)), "/r")


def begin(pool: Any, body: bytes | None = b"", **headers: str) -> tuple[TargetExchange, list[Upstream]]:
    """A request that was sent to its first target, and the upstreams it was sent to."""
    sent: list[Upstream] = []
    begun = pool.begin(Headers(list(headers.items())), body, random=lambda: 0.5, now=0.0)
    assert isinstance(begun, tuple), begun
    exchange, first = begun
    sent.append(first)
    exchange.send = lambda upstream, body: sent.append(upstream)
    return exchange, sent


def test_a_request_goes_to_the_targets_in_the_order_of_their_priority() -> None:
    pool = route(UrlTarget(url=A, priority=1), UrlTarget(url=B)).pool
    begun, [first] = begin(pool)
    assert first.target.authority == "b.example:8080"
    assert begun.attempts is not None
    following = begun.attempts.after(REFUSED, 1.0)
    assert not isinstance(following, Ended)
    assert pool.upstream(following).target.authority == "a.example"


def test_each_target_gets_its_own_headers_and_timeouts() -> None:
    own = UrlTarget(url=A, headers=sealed("X-Key", "a", A), timeouts=RuleTimeouts(first_byte=2))
    pool = route(own, UrlTarget(url=B), timeouts=RuleTimeouts(connect=1, first_byte=9)).pool
    first, second = [pool._upstreams[target_id("ten", url)] for url in (A, B)]
    assert (b"X-Key", b"a") in first.own.fields
    assert (first.timeouts.connect, first.timeouts.first_byte, second.timeouts.first_byte) == (1, 2, 9)
    assert first.secrets == {"X-Key": "a"}
    assert second.own.fields == ()


def test_headers_of_the_rule_are_sent_to_targets_of_one_origin() -> None:
    one, other = "http://a.example/1", "http://a.example/2"
    common = {**sealed("X-Key", "rule", one), **sealed("X-All", "all", one)}
    targets = UrlTarget(url=one), UrlTarget(url=other, headers=sealed("x-key", "own", other))
    pool = route(*targets, headers=common).pool
    assert pool._upstreams[target_id("ten", one)].secrets == {"X-Key": "rule", "X-All": "all"}
    assert pool._upstreams[target_id("ten", other)].secrets == {"x-key": "own", "X-All": "all"}


@pytest.mark.parametrize(
    "rule",
    [
        {"headers": sealed("X-Key", "s", A)},
        {"targets": (UrlTarget(url=A), UrlTarget(url=A))},
        {"targets": (UrlTarget(url=A, headers=sealed("X-Key", "s", B)),)},
        {"targets": (UrlTarget(url="ftp://x"),)},
    ],
)
def test_a_pool_that_cannot_be_used_closes_its_rule(rule: dict[str, Any]) -> None:
    targets = rule.pop("targets", (UrlTarget(url=A), UrlTarget(url=B)))
    assert route(*targets, **rule).fault


def test_ids_of_targets_are_those_of_one_tenant() -> None:
    assert len(target_id("ten", A)) == 12
    assert target_id("ten", A) != target_id("two", A)


@pytest.mark.parametrize(("credential", "follows"), [("provider", True), (CLIENT, False)])
def test_the_credentials_of_a_client_go_to_one_target(credential: str, follows: bool) -> None:
    begun, _ = begin(route(credential=credential).pool)
    assert begun.attempts is not None
    assert isinstance(begun.attempts.after(REFUSED, 1.0), Ended) is not follows


def test_calls_of_one_session_stay_at_one_target() -> None:
    policy = PoolPolicy(affinity=Affinity(by=("header:x-session-id", "prompt_cache_key")))
    pool = route(policy=policy).pool

    def hosts(body: bytes | None = None, **headers: str) -> set[str]:
        found = [begin(pool, body, **headers) for _ in range(3)]
        for begun, _ in found:
            begun.end()
        return {sent[0].target.host for _, sent in found}

    assert len(hosts(**{"x-session-id": "s"})) == 1
    assert len(hosts(b'{"prompt_cache_key": "k"}')) == 1
    assert len(hosts()) == 2


@pytest.mark.parametrize(
    ("status", "kind"), [(429, "rate_limit"), (503, "overloaded"), (500, "server_error"), (401, None)]
)
def test_a_response_is_judged_by_its_status_alone(status: int, kind: str | None) -> None:
    begun, _ = begin(route().pool)
    assert begun.judge(status, b'{"error":{"code":"insufficient_quota"}}', None).kind == kind
