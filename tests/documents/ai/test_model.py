"""The bodies about models and their pools."""

from typing import Any

import pytest

from shared.documents.ai.model import ModelInput, ModelPatch, model_document
from shared.documents.ai.pool import policy_of
from shared.model.pools import AI_POLICY, AI_RETRY, Affinity, HealthCheck, Hold, PoolPolicy, RetryOn, Strategy
from shared.model.providers import Model, ModelTarget
from tests.documents.bodies import problems

LEAST: dict[str, Any] = {"name": "fast", "targets": [{"provider": "openai-main", "model": "gpt-6-luna"}]}


def policy(**members: Any) -> PoolPolicy:
    return policy_of(ModelInput().load(LEAST | members), AI_POLICY)


def wrong(**members: Any) -> dict[str, str]:
    return problems(ModelInput(), LEAST | members)


def test_name_and_targets_are_enough() -> None:
    found = ModelInput().load(LEAST)
    assert found["targets"] == [ModelTarget(provider="openai-main", model="gpt-6-luna")]
    assert policy_of(found, PoolPolicy()) == AI_POLICY


@pytest.mark.parametrize("name", ["fast", "a:free@preset/b", "accounts/fireworks/models/x", "A.b-c_d"])
def test_names_of_models_may_look_like_those_of_providers(name: str) -> None:
    assert ModelInput().load(LEAST | {"name": name})["name"] == name


@pytest.mark.parametrize("name", ["", "a b", "/a", "a/", "a//b", "a/../b", "gpt-*", "ä", "a" * 129])
def test_names_that_no_url_can_have_are_rejected(name: str) -> None:
    assert set(wrong(name=name)) == {"/name"}


def test_targets_are_needed() -> None:
    assert set(problems(ModelInput(), {"name": "fast"})) == {"/targets"}
    assert set(wrong(targets=[])) == {"/targets"}
    assert set(wrong(targets=[{"provider": "p"}])) == {"/targets/0/model"}


def test_null_switches_affinity_off_and_omission_does_not() -> None:
    assert policy(affinity=None).affinity is None
    assert policy().affinity == Affinity()
    assert policy(affinity={"by": ["header:x-session-id"]}).affinity == Affinity(by=("header:x-session-id",))
    assert "affinity" not in ModelPatch(partial=True).load({})


@pytest.mark.parametrize("source", ["cookie", "header:", "header:a b", ""])
def test_affinity_has_known_sources(source: str) -> None:
    assert set(wrong(affinity={"by": [source]})) == {"/affinity/by/0"}


def test_a_part_of_the_retries_keeps_the_other_defaults_of_models() -> None:
    found = policy(retry={"attempts": 2}).retry
    assert found.attempts == 2
    assert found.on == AI_RETRY.on
    assert policy(retry={"on": ["connect", "connect"]}).retry.on == (RetryOn.CONNECT,)


def test_all_members_of_a_pool_are_read() -> None:
    found = policy(
        strategy="latency",
        stream={"hold": "head", "hold_bytes": "1KB", "hold_time": 5},
        health={"path": "/up", "interval": "30s", "ok": [200, 204]},
        breaker={"open": "1s", "longest": "1m"},
    )
    assert found.strategy is Strategy.LATENCY
    assert found.hold == Hold(until="head", bytes=1024, time=5.0)
    assert found.health == HealthCheck(path="/up", interval=30.0, ok=(200, 204))
    assert (found.breaker.open, found.breaker.longest) == (1.0, 60.0)


@pytest.mark.parametrize(
    ("member", "value", "at"),
    [
        ("strategy", "random", ""),
        ("retry", {"attempts": 0}, "/attempts"),
        ("retry", {"on": ["teapot"]}, "/on/0"),
        ("breaker", {"rate": 2}, "/rate"),
        ("breaker", {"open": "10m", "longest": "5m"}, "/longest"),
        ("stream", {"hold": "all"}, "/hold"),
        ("stream", {"hold_bytes": "2MB"}, "/hold_bytes"),
        ("stream", {"broken": "continue"}, "/broken"),
        ("health", {"interval": "1s"}, "/interval"),
        ("health", {"path": "up"}, "/path"),
    ],
)
def test_wrong_members_of_a_pool_are_rejected(member: str, value: Any, at: str) -> None:
    assert set(wrong(**{member: value})) == {f"/{member}{at}"}


@pytest.mark.parametrize("affinity", [None, {"by": ["prefix"], "spill": 2.0}])
def test_what_is_read_can_be_sent_back(affinity: Any) -> None:
    first = ModelInput().load(LEAST | {"affinity": affinity, "retry": {"attempts": 5}})
    model = Model(first["name"], tuple(first["targets"]), policy=policy_of(first, AI_POLICY))
    shown = model_document(model, is_platforms=False)
    again = ModelPatch().load(shown)
    assert policy_of(again, PoolPolicy()) == model.policy
    assert again["targets"] == list(model.targets)
