"""The forms in which limits may be written down, and what is said about wrong ones."""

from typing import Any

import jsonschema_rs
import pytest
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError

from shared.core.fields import problems_of
from shared.limits.quotas import LEASE_MS
from shared.limits.settings import ActionsSchema, LevelSchema, LimitsSchema, MatchSchema
from shared.limits.values import EVERY, LimitMatch, LimitSpec, Quota

PER_MINUTE = {"limit": 5, "window": "1m"}


def problems(schema: Schema, spec: Any) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        schema.load(spec)
    return {problem.pointer: problem.detail for problem in problems_of(caught.value.messages)}


def test_a_dimension_takes_one_quota_or_a_list_of_them() -> None:
    spec = {"global": PER_MINUTE, "per_ip": [{"limit": 10, "window": "1s"}, {"limit": 0, "window": 60}]}
    assert LimitsSchema().load(spec) == (
        LimitSpec("global", Quota(5, 60_000)),
        LimitSpec("per_ip", Quota(10, 1_000), by=("ip",)),
        LimitSpec("per_ip", Quota(0, 60_000), by=("ip",)),
    )


def test_each_dimension_counts_by_what_its_name_says() -> None:
    names = ("global", "per_ip", "per_key", "per_method", "per_path")
    loaded = LimitsSchema().load({name: PER_MINUTE for name in names})
    assert [limit.by for limit in loaded] == [(), ("ip",), ("key",), ("method",), ("path",)]
    assert [limit.is_client_chosen for limit in loaded] == [False, False, False, True, True]


def test_headers_have_quotas_by_their_names_and_say_what_holds_without_them() -> None:
    spec = {"per_header": {"X-Team": {**PER_MINUTE, "on_missing": "skip"}, "x-user": [PER_MINUTE]}}
    assert LimitsSchema().load(spec) == (
        LimitSpec("per_header:X-Team", Quota(5, 60_000), by=("header:x-team",), on_missing="skip"),
        LimitSpec("per_header:x-user", Quota(5, 60_000), by=("header:x-user",), on_missing="shared"),
    )


def test_models_have_quotas_by_their_globs_of_which_the_most_precise_comes_first() -> None:
    globs = ("gpt-4o", "gpt-4o*", "*")
    spec = {"per_model": {"*": PER_MINUTE, "gpt-4o*": PER_MINUTE, "gpt-4o": {"limit": 1, "window": 1}}}
    loaded = LimitsSchema().load(spec)
    assert [(limit.name, limit.glob, limit.globs) for limit in loaded] == [
        ("per_model:*", "*", globs),
        ("per_model:gpt-4o*", "gpt-4o*", globs),
        ("per_model:gpt-4o", "gpt-4o", globs),
    ]
    assert {limit.by for limit in loaded} == {("model",)}


@pytest.mark.parametrize(
    ("unit", "limit", "counted"),
    [
        ("tokens", 10**12, 10**12),
        ("input_tokens", 0, 0),
        ("output_tokens", 5, 5),
        ("usd", "2.50", 2_500_000_000),
        ("usd", 3, 3_000_000_000),
    ],
)
def test_a_window_counts_tokens_or_money(unit: str, limit: object, counted: int) -> None:
    spec = {"limit": limit, "unit": unit, "window": "1m"}
    loaded = LimitsSchema().load({"global": spec, "per_model": {"*": spec}, "per_header": {"X-A": spec}})
    assert {one.quota for one in loaded} == {Quota(counted, 60_000)}
    assert {one.unit for one in loaded} == {unit}
    assert all(one.is_metered for one in loaded)


def test_exchanges_at_a_time_are_counted_without_a_window() -> None:
    spec = {"streams": {"limit": 8, "unit": "concurrent", "per": ["key", "ip"]}, "concurrent": {"limit": 20}}
    assert LimitsSchema().load(spec) == (
        LimitSpec("streams", Quota(8, LEASE_MS), by=("ip", "key"), kind="concurrent", unit="concurrent"),
        LimitSpec("concurrent", Quota(20, LEASE_MS), kind="concurrent", unit="concurrent"),
    )


WRONG_LIMITS = [
    ({}, "", "at least one of global"),
    ([], "", "Must be an object"),
    ({"global": None}, "/global", "not be null"),
    ({"global": "5/m"}, "/global", "Must be an object"),
    ({"global": []}, "/global", "1 to 8"),
    ({"global": [PER_MINUTE] * 9}, "/global", "1 to 8"),
    ({"global": {"limit": 5}}, "/global/window", "missing"),
    ({"global": {"window": 5}}, "/global/limit", "missing"),
    ({"global": {**PER_MINUTE, "burst": 1}}, "/global/burst", "Unknown field. Allowed: limit, window"),
    ({"global": {**PER_MINUTE, "unit": "words"}}, "/global/unit", "requests, tokens, input_tokens"),
    ({"global": {**PER_MINUTE, "unit": "concurrent"}}, "/global/unit", "Must be one of requests"),
    ({"global": {**PER_MINUTE, "unit": "tokens", "limit": "5"}}, "/global/limit", "a whole number"),
    ({"global": {**PER_MINUTE, "unit": "tokens", "limit": 10**13}}, "/global/limit", "at most 1000000000000"),
    ({"global": {**PER_MINUTE, "unit": "usd", "limit": "1e3"}}, "/global/limit", "such as"),
    ({"global": {**PER_MINUTE, "unit": "usd", "limit": 2.5}}, "/global/limit", "USD as text"),
    ({"global": {**PER_MINUTE, "unit": "usd", "limit": "9000001"}}, "/global/limit", "at most 9000000 USD"),
    ({"per_ip": [PER_MINUTE, {**PER_MINUTE, "limit": "5"}]}, "/per_ip/1/limit", "a whole number"),
    ({"global": {**PER_MINUTE, "precision": "auto"}}, "/global/precision", "Unknown field"),
    ({"global": {**PER_MINUTE, "on_missing": "deny"}}, "/global/on_missing", "Unknown field"),
    ({"global": {**PER_MINUTE, "limit": -1}}, "/global/limit", "at least 0"),
    ({"global": {**PER_MINUTE, "limit": 10**10}}, "/global/limit", "at most 1000000000"),
    ({"global": {**PER_MINUTE, "limit": "5"}}, "/global/limit", "Must be a whole number"),
    ({"global": {**PER_MINUTE, "limit": 5.5}}, "/global/limit", "Must be a whole number"),
    ({"global": {**PER_MINUTE, "limit": True}}, "/global/limit", "Must be a whole number"),
    ({"global": {**PER_MINUTE, "window": "month"}}, "/global/window", "such as 500ms"),
    ({"global": {**PER_MINUTE, "window": 0}}, "/global/window", "from 100ms to 52w"),
    ({"global": {**PER_MINUTE, "window": "365d"}}, "/global/window", "from 100ms to 52w"),
    ({"per_ip": [PER_MINUTE, {"limit": 1, "window": "?"}]}, "/per_ip/1/window", "such as 500ms"),
    ({"per_planet": PER_MINUTE}, "/per_planet", "Allowed: global, per_ip, per_key"),
    ({"per_method": {"limit": 5}}, "/per_method/window", "missing"),
    ({"per_path": [PER_MINUTE, {"limit": 5, "window": "x"}]}, "/per_path/1/window", "such as 500ms"),
    ({"per_header": {}}, "/per_header", "from 1 to 32"),
    ({"per_header": []}, "/per_header", "Must be an object"),
    ({"per_header": {"X Team": PER_MINUTE}}, "/per_header/X Team", "Must be a header name"),
    ({"per_header": {"Authorization": PER_MINUTE}}, "/per_header/Authorization", "Use per_key"),
    ({"per_header": {"x_api_key": PER_MINUTE}}, "/per_header/x_api_key", "Use per_key"),
    (
        {"per_header": {"X-A": {**PER_MINUTE, "on_missing": "?"}}},
        "/per_header/X-A/on_missing",
        "shared, skip",
    ),
    ({"per_header": {"X-A": {"limit": 5}}}, "/per_header/X-A/window", "missing"),
    ({"per_header": {"X-A": [PER_MINUTE, {"limit": 5}]}}, "/per_header/X-A/1/window", "missing"),
    ({"per_model": {"a/b~c": {"limit": -1, "window": 1}}}, "/per_model/a~1b~0c/limit", "at least"),
    ({"per_model": {'"': PER_MINUTE}}, '/per_model/"', "printable ASCII"),
    ({"per_model": {f"m{i}": PER_MINUTE for i in range(33)}}, "/per_model", "from 1 to 32"),
    (
        {"streams": {"limit": 8, "window": "1m"}},
        "/streams/window",
        "Unknown field. Allowed: limit, unit, per",
    ),
    ({"streams": {"unit": "concurrent"}}, "/streams/limit", "missing"),
    ({"streams": {"limit": 8, "unit": "requests"}}, "/streams/unit", "Must be concurrent here"),
    ({"streams": {"limit": 8, "per": ["planet"]}}, "/streams/per/0", "ip, key, method, path, model"),
    ({"streams": {"limit": 8, "per": "key"}}, "/streams/per", "Must be a list"),
    ({"concurrent": [{"limit": 1}, {"limit": -1}]}, "/concurrent/1/limit", "at least 0"),
]


def test_invalid_limits_are_reported_with_all_problems() -> None:
    spec = {"global": {"limit": -1, "window": "x"}, "per_ip": [{"limit": 1, "window": 1}, {"window": 1}]}
    assert set(problems(LimitsSchema(), spec)) == {"/global/limit", "/global/window", "/per_ip/1/limit"}


def test_a_level_can_be_switched_off_and_is_then_none() -> None:
    assert LevelSchema().load({"enabled": True, "limits": {"global": PER_MINUTE}}) == (
        LimitSpec("global", Quota(5, 60_000)),
    )
    assert LevelSchema().load({"limits": {"global": PER_MINUTE}}) != ()
    assert LevelSchema().load({"enabled": False, "limits": {"global": PER_MINUTE}}) == ()
    assert LevelSchema().load({"enabled": False}) == ()


def test_the_least_wait_is_a_duration_and_rejecting_the_only_action() -> None:
    assert ActionsSchema().load({"type": "reject", "retry_after": "60"})["retry_after"] == 60_000
    assert ActionsSchema().load({}) == {"type": "reject", "retry_after": 0}


def test_a_match_is_kept_in_the_form_in_which_requests_come() -> None:
    assert MatchSchema().load({}) == EVERY
    spec = {"methods": ["post"], "paths": ["/v1/%78//y", "/v2/*"]}
    assert MatchSchema().load(spec) == LimitMatch(("POST",), ("/v1/x/y", "/v2/*"))


MATCH, LEVEL = MatchSchema(), LevelSchema()


@pytest.mark.parametrize(
    ("schema", "spec", "pointer", "words"),
    [
        (MATCH, {"methods": ["GE T"]}, "/methods/0", "Must be one of: GET"),
        (MATCH, {"methods": ["GET", "TRACE"]}, "/methods/1", "Must be one of: GET"),
        (MATCH, {"methods": "GET"}, "/methods", "Must be a list"),
        (MATCH, {"paths": ["v1"]}, "/paths/0", "begin with a slash"),
        (MATCH, {"paths": ["/v1", "/v1?x"]}, "/paths/1", "must not contain"),
        (MATCH, {"paths": ["/v1/..;/x"]}, "/paths/0", "dot segment"),
        (MATCH, {"paths": ["/"] * 33}, "/paths", "at most 32"),
        (MATCH, {"models": []}, "/models", "Unknown field"),
        (LEVEL, {}, "/limits", ""),
        (LEVEL, {"enabled": True}, "/limits", ""),
        (LEVEL, {"enabled": "yes", "limits": {"global": PER_MINUTE}}, "/enabled", ""),
        (LEVEL, {"limits": {"global": PER_MINUTE}, "mode": "shadow"}, "/mode", ""),
        (ActionsSchema(), {"type": "queue"}, "/type", ""),
        (ActionsSchema(), {"retry_after": "soon"}, "/retry_after", ""),
        *((LimitsSchema(), *row) for row in WRONG_LIMITS),
    ],
)
def test_wrong_limits_match_level_or_action_are_rejected_in_place(
    schema: Schema, spec: Any, pointer: str, words: str
) -> None:
    found = problems(schema, spec)
    assert list(found) == [pointer]
    assert words in found[pointer]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["limit", "window", "unit", "per", "X-A", "*"]) | st.text(max_size=3), inner
        )
    ),
    max_leaves=6,
)
NAMES = [*LimitsSchema().fields]


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), anything, max_size=3))
def test_any_limits_document_loads_or_is_rejected_at_its_errors(spec: dict[str, Any]) -> None:
    try:
        loaded = LimitsSchema().load(spec)
    except ValidationError as error:
        for problem in problems_of(error.messages):
            assert problem.detail
            assert_leads_into(problem.pointer, spec)
    else:
        assert loaded
        assert all(isinstance(limit, LimitSpec) for limit in loaded)


def assert_leads_into(pointer: str, spec: Any) -> None:
    """All steps of a pointer but the last are there; the last may be what is missing."""
    *steps, _ = ["", *pointer.split("/")[1:]]
    for step in steps[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        spec = spec[int(name)] if isinstance(spec, list) else spec[name]


def test_openapi_describes_both_forms_of_a_dimension() -> None:
    spec = APISpec("x", "1", "3.1.0", plugins=[MarshmallowPlugin()])
    spec.components.schema("Limits", schema=LimitsSchema)
    properties = spec.to_dict()["components"]["schemas"]["Limits"]["properties"]
    assert set(properties) == set(NAMES)
    assert [form["type"] for form in properties["global"]["anyOf"]] == ["object", "array"]
    header = properties["per_header"]["additionalProperties"]["anyOf"][0]
    assert set(header["properties"]) == {"limit", "window", "unit", "on_missing"}
    assert set(properties["streams"]["anyOf"][0]["properties"]) == {"limit", "unit", "per"}


@given(st.fixed_dictionaries({}, optional={name: anything for name in NAMES}))
def test_json_schema_accepts_all_settings_that_load(spec: dict[str, Any]) -> None:
    try:
        LimitsSchema().load(spec)
    except ValidationError:
        return
    spec = APISpec("", "", "3.1.0", plugins=[])
    converter = OpenAPIConverter("3.1.0", schema_name_resolver=lambda _: None, spec=spec)
    jsonschema_rs.validator_for(converter.schema2jsonschema(LimitsSchema())).validate(spec)
