"""The states of targets and keys in a worker change by what it is told, also before they are made."""

from dataclasses import replace
from typing import Any

import pytest

from shared.health.report import CLOSED, OPERATOR, PROBE, Report
from shared.health.states import PoolStates
from shared.model.pools import AI_POLICY, Breaker, HealthCheck
from shared.upstreams.outcome import KeyEffect
from tests.health.test_report import report

EPOCH = 1_800_000_000.0
TARGET = "prv_1/gpt:5/x"


def states(*reports: Report) -> PoolStates:
    made = PoolStates(b"secret", EPOCH)
    for one in reports:
        made.learn(one, EPOCH)
    return made


def ends(made: PoolStates, *tenants: str) -> list[float | None]:
    """When the target is tried again, by the clock of the worker, for each tenant."""
    policy = replace(AI_POLICY, breaker=Breaker(longest=40))
    return [made.target(tenant, TARGET, policy).breaker.until for tenant in tenants]


@pytest.mark.parametrize("first", [True, False])
def test_target_is_open_for_whom_it_was_said(first: bool) -> None:
    told = [report(seconds=30), report("", seconds=20)]
    made = states(*([] if first else told))
    kept = [made.target(tenant, TARGET, AI_POLICY) for tenant in ("ten_1", "ten_2")]
    for one in told if first else ():
        made.learn(one, EPOCH)
    assert [one.breaker.until for one in kept] == [30, 20]


def test_only_probes_and_operators_open_for_longer_than_the_pool_allows_and_close() -> None:
    calls = states(report("", seconds=90))
    assert ends(calls, "ten_1") == [40]
    for cause in (PROBE, OPERATOR):
        made = states(report("", seconds=90, cause=cause))
        held = made.target("ten_1", TARGET, AI_POLICY)
        assert ends(made, "ten_1") == [90]
        made.learn(report("", cause=CLOSED), EPOCH)
        assert held.breaker.until is None
        assert ends(made, "ten_2") == [None]


def test_key_is_rejected_or_cools() -> None:
    named: dict[str, Any] = {"key": "pk_1", "target": "prv_1/m"}
    made = states(
        report(cause=KeyEffect.REJECTED, **named),
        report(cause=KeyEffect.RATE_LIMIT, model="m", seconds=60, **named),
    )
    state = made.key("ten_1", "prv_1", "pk_1")
    assert state.rejected_until == 30
    assert (state.wait("m", 0.0), state.wait("n", 0.0)) == (60, 30)
    made.learn(report("", cause=KeyEffect.QUOTA, seconds=90, **named), EPOCH)
    assert state.wait("n", 0.0) == 90
    assert made.key("ten_2", "prv_1", "pk_1").wait("n", 0.0) == 90


def test_state_knows_whether_its_pool_has_health_checks() -> None:
    made, probed = states(), replace(AI_POLICY, health=HealthCheck(path="/health"))
    state = made.target("ten_1", TARGET, probed)
    assert state.is_probed
    assert not made.target("ten_1", TARGET, AI_POLICY).is_probed
