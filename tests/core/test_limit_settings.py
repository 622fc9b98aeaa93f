"""The forms in which limits may be written down, and what is said about wrong ones."""

from typing import Any

import pytest
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema, ValidationError

from shared.core.limit_settings import ActionsSchema, LevelSchema, LimitsSchema
from shared.core.limits import Quota
from shared.core.plugin import problems_of

PER_MINUTE = {"limit": 5, "window": "1m"}


def problems(schema: Schema, written: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        schema.load(written)
    return {problem.pointer: problem.detail for problem in problems_of(caught.value.messages)}


def test_a_dimension_takes_one_quota_or_a_list_of_them() -> None:
    written = {"global": PER_MINUTE, "per_ip": [{"limit": 10, "window": "1s"}, {"limit": 0, "window": 60}]}
    assert LimitsSchema().load(written) == (
        ("global", Quota(5, 60_000)),
        ("per_ip", Quota(10, 1_000)),
        ("per_ip", Quota(0, 60_000)),
    )


@pytest.mark.parametrize(
    ("written", "pointer", "words"),
    [
        ({}, "", "at least one of global"),
        ([], "", "Invalid input type"),
        ({"global": None}, "/global", "not be null"),
        ({"global": "5/m"}, "/global", "Invalid input type"),
        ({"global": []}, "/global", "1 to 8"),
        ({"global": [PER_MINUTE] * 9}, "/global", "1 to 8"),
        ({"global": {"limit": 5}}, "/global/window", "Missing"),
        ({"global": {"window": 5}}, "/global/limit", "Missing"),
        ({"global": {**PER_MINUTE, "burst": 1}}, "/global/burst", "Unknown field. Allowed: limit, window"),
        ({"global": {**PER_MINUTE, "unit": "tokens"}}, "/global/unit", "Not available yet"),
        ({"global": {**PER_MINUTE, "limit": -1}}, "/global/limit", "greater than or equal to 0"),
        ({"global": {**PER_MINUTE, "limit": 10**10}}, "/global/limit", "less than or equal to 1000000000"),
        ({"global": {**PER_MINUTE, "limit": "5"}}, "/global/limit", "Not a valid integer"),
        ({"global": {**PER_MINUTE, "limit": 5.5}}, "/global/limit", "Not a valid integer"),
        ({"global": {**PER_MINUTE, "limit": True}}, "/global/limit", "Not a valid integer"),
        ({"global": {**PER_MINUTE, "window": "month"}}, "/global/window", "such as 500ms"),
        ({"global": {**PER_MINUTE, "window": 0}}, "/global/window", "from 100ms to 52w"),
        ({"global": {**PER_MINUTE, "window": "365d"}}, "/global/window", "from 100ms to 52w"),
        ({"per_ip": [PER_MINUTE, {"limit": 1, "window": "?"}]}, "/per_ip/1/window", "such as 500ms"),
        ({"per_model": {"*": PER_MINUTE}}, "/per_model", "Not available yet"),
        ({"per_planet": PER_MINUTE}, "/per_planet", "Allowed: global, per_ip, per_key"),
    ],
)
def test_wrong_limits_are_refused_where_they_are_wrong(written: Any, pointer: str, words: str) -> None:
    found = problems(LimitsSchema(), written)
    assert list(found) == [pointer]
    assert words in found[pointer]


def test_all_problems_are_told_at_once() -> None:
    written = {"global": {"limit": -1, "window": "x"}, "per_ip": [{"limit": 1, "window": 1}, {"window": 1}]}
    assert set(problems(LimitsSchema(), written)) == {"/global/limit", "/global/window", "/per_ip/1/limit"}


def test_a_level_can_be_switched_off_and_is_then_none() -> None:
    assert LevelSchema().load({"enabled": True, "limits": {"global": PER_MINUTE}}) == (
        ("global", Quota(5, 60_000)),
    )
    assert LevelSchema().load({"limits": {"global": PER_MINUTE}}) != ()
    assert LevelSchema().load({"enabled": False, "limits": {"global": PER_MINUTE}}) == ()
    assert LevelSchema().load({"enabled": False}) == ()


@pytest.mark.parametrize(
    ("written", "pointer"),
    [
        ({}, "/limits"),
        ({"enabled": True}, "/limits"),
        ({"enabled": "yes", "limits": {"global": PER_MINUTE}}, "/enabled"),
        ({"limits": {"global": PER_MINUTE}, "mode": "shadow"}, "/mode"),
    ],
)
def test_a_wrong_level_is_refused(written: Any, pointer: str) -> None:
    assert list(problems(LevelSchema(), written)) == [pointer]


def test_the_least_wait_is_a_duration_and_rejecting_the_only_action() -> None:
    assert ActionsSchema().load({"type": "reject", "retry_after": "60"})["retry_after"] == 60_000
    assert ActionsSchema().load({}) == {"type": "reject", "retry_after": 0}
    assert list(problems(ActionsSchema(), {"type": "queue"})) == ["/type"]
    assert list(problems(ActionsSchema(), {"retry_after": "soon"})) == ["/retry_after"]


def test_openapi_describes_both_forms_of_a_dimension() -> None:
    spec = APISpec("x", "1", "3.1.0", plugins=[MarshmallowPlugin()])
    spec.components.schema("Limits", schema=LimitsSchema)
    properties = spec.to_dict()["components"]["schemas"]["Limits"]["properties"]
    assert set(properties) == {"global", "per_ip", "per_key"}
    assert [form["type"] for form in properties["global"]["anyOf"]] == ["object", "array"]
