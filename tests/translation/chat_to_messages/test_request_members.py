"""The members of a request of OpenAI's chat beside its messages."""

from typing import Any

import pytest

from shared.translation.chat_to_messages.request import MEMBERS
from shared.translation.members import DROP as DROPPED
from shared.translation.members import REJECT as REJECTED
from shared.translation.notes import DROP, REJECT, Settings, Untranslatable
from tests.translation.chat_to_messages.requests import USER, translate, translated

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "description": "Tells it.", "parameters": SCHEMA}}
OTHER = {"type": "function", "function": {"name": "clock"}}


def pointer_of(**members: Any) -> str:
    with pytest.raises(Untranslatable) as caught:
        translate(**members)
    assert caught.value.detail.endswith(".")
    return caught.value.pointer


def changed_by(**members: Any) -> tuple[dict[str, Any], list[str], list[str]]:
    made, notes = translate(**members)
    return made, notes.dropped, notes.changed


def test_request_has_the_members_that_the_api_requires() -> None:
    assert translated() == {
        "model": "claude-sonnet-5",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    }


@pytest.mark.parametrize(
    ("members", "caps", "expected"),
    [
        ({"max_completion_tokens": 5, "max_tokens": 6}, {"max_output": 7}, 5),
        ({"max_tokens": 6}, {"max_output": 7}, 6),
        ({}, {"max_output": 7}, 7),
        ({"max_tokens": None}, {}, 4096),
    ],
)
def test_most_tokens_are_those_of_the_client_or_of_the_model(members: Any, caps: Any, expected: int) -> None:
    assert translated(caps=caps, **members)["max_tokens"] == expected


@pytest.mark.parametrize("name", [name for name, one in MEMBERS.items() if one.action == DROPPED])
def test_member_that_the_api_lacks_is_dropped_and_reported(name: str) -> None:
    made, dropped, _ = changed_by(**{name: {"a": 1}})
    assert (dropped, name in made) == ([name], False)
    with pytest.raises(Untranslatable, match=f"/{name}: "):
        translate(settings=Settings(unsupported=REJECT), **{name: {"a": 1}})


@pytest.mark.parametrize("name", [name for name, one in MEMBERS.items() if one.action == REJECTED])
def test_member_that_changes_the_response_is_rejected_with_a_way_out(name: str) -> None:
    assert pointer_of(**{name: [{"a": 1}]}) == f"/{name}"
    made, dropped, _ = changed_by(settings=Settings(unsupported=DROP), **{name: [{"a": 1}]})
    assert (dropped, name in made) == ([name], False)


@pytest.mark.parametrize("name", [name for name, one in MEMBERS.items() for _ in one.harmless])
def test_value_that_asks_for_nothing_passes(name: str) -> None:
    for value in MEMBERS[name].harmless:
        assert name not in translated(**{name: value})


def test_member_that_nobody_knows_is_dropped_and_reported() -> None:
    _, dropped, _ = changed_by(**{"top_k~/x": 3, "guided_json": {}})
    assert dropped == ["top_k~/x", "guided_json"]
    with pytest.raises(Untranslatable) as caught:
        translate(settings=Settings(unsupported=REJECT), **{"top_k~/x": 3})
    assert caught.value.pointer == "/top_k~0~1x"


def test_member_with_null_says_nothing() -> None:
    assert set(
        translated(**dict.fromkeys([name for name in MEMBERS if name not in ("model", "messages")]))
    ) == {
        "model",
        "max_tokens",
        "messages",
    }


def test_key_of_a_cache_is_for_the_gateway() -> None:
    assert "prompt_cache_key" not in translated(prompt_cache_key="a")


def test_temperature_is_at_most_1() -> None:
    assert translated(temperature=0.5)["temperature"] == 0.5
    made, dropped, changed = changed_by(temperature=1.5)
    assert (made["temperature"], dropped, changed) == (1, [], ["temperature"])


def test_top_p_is_dropped_beside_a_temperature() -> None:
    assert translated(top_p=0.5)["top_p"] == 0.5
    made, dropped, _ = changed_by(top_p=0.5, temperature=0)
    assert (made["temperature"], "top_p" in made, dropped) == (0, False, ["top_p"])


def test_model_without_sampling_gets_none() -> None:
    made, dropped, changed = changed_by(top_p=0.5, temperature=2, caps={"sampling": False})
    assert (set(made) & {"temperature", "top_p"}, dropped, changed) == (set(), ["temperature", "top_p"], [])


@pytest.mark.parametrize(("name", "value"), [("temperature", "1"), ("top_p", True), ("temperature", [])])
def test_sampling_that_is_no_number_is_rejected(name: str, value: Any) -> None:
    assert pointer_of(**{name: value}) == f"/{name}"


@pytest.mark.parametrize(
    ("stop", "expected"), [("END", ["END"]), (["a", " ", "", "b"], ["a", "b"]), ("\n", None), ([], None)]
)
def test_stop_is_a_list_without_blank_ones(stop: Any, expected: Any) -> None:
    assert translated(stop=stop).get("stop_sequences") == expected


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"stop": 7}, "/stop"),
        ({"stop": [7]}, "/stop/0"),
        ({"max_tokens": "7"}, "/max_tokens"),
        ({"max_tokens": True}, "/max_tokens"),
        ({"user": 7}, "/user"),
        ({"tools": {}}, "/tools"),
        ({"tools": [{"type": "function"}]}, "/tools/0/function"),
        ({"tools": [{"type": "function", "function": {}}]}, "/tools/0/function/name"),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": 7}}]},
            "/tools/0/function/parameters",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "description": 7}}]},
            "/tools/0/function/description",
        ),
        ({"tool_choice": "always"}, "/tool_choice"),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{}]}}},
            "/tool_choice/allowed_tools/tools/0/function",
        ),
        ({"response_format": {"type": "grammar"}}, "/response_format"),
        ({"response_format": {"type": "json_schema"}}, "/response_format"),
    ],
)
def test_member_of_a_wrong_type_is_rejected_where_it_is_wrong(members: Any, pointer: str) -> None:
    assert pointer_of(**members) == pointer


def test_stream_is_asked_for_and_the_wish_for_usage_is_remembered() -> None:
    made, notes = translate(stream=True, stream_options={"include_usage": True, "include_obfuscation": False})
    assert (made["stream"], notes.include_usage, notes.dropped) == (True, True, [])
    made, notes = translate(stream=True)
    assert (made["stream"], notes.include_usage) == (True, False)
    assert "stream" not in translated(stream=False)


def test_tool_has_its_name_description_and_schema() -> None:
    strict = {"type": "function", "function": {**TOOL["function"], "strict": True}}
    assert translated(tools=[TOOL, OTHER, strict])["tools"] == [
        {"name": "weather", "description": "Tells it.", "input_schema": SCHEMA},
        {"name": "clock", "input_schema": {"type": "object", "properties": {}}},
        {"name": "weather", "description": "Tells it.", "input_schema": SCHEMA, "strict": True},
    ]


@pytest.mark.parametrize("kind", [None, "string", ["object", "null"]])
def test_schema_of_a_tool_is_one_of_an_object(kind: Any) -> None:
    parameters = {**SCHEMA, "type": kind, "$defs": {}}
    made = translated(tools=[{"type": "function", "function": {"name": "a", "parameters": parameters}}])
    assert made["tools"][0]["input_schema"] == {**SCHEMA, "$defs": {}}


@pytest.mark.parametrize(
    ("tool", "pointer"),
    [
        ({"type": "custom", "custom": {"name": "a"}}, "/tools/0/type"),
        ({"type": "function", "function": {"name": "a.b"}}, "/tools/0/function/name"),
        ({"type": "function", "function": {"name": "a" * 65}}, "/tools/0/function/name"),
        ({"type": "function", "function": {"name": ""}}, "/tools/0/function/name"),
    ],
)
def test_tool_that_the_api_does_not_take_is_rejected(tool: Any, pointer: str) -> None:
    assert pointer_of(tools=[tool]) == pointer
    made, dropped, _ = changed_by(tools=[tool, OTHER], settings=Settings(unsupported=DROP))
    assert ([one["name"] for one in made["tools"]], dropped) == (["clock"], ["tools"])


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"type": "auto"}),
        ("required", {"type": "any"}),
        ("none", {"type": "none"}),
        ({"type": "function", "function": {"name": "clock"}}, {"type": "tool", "name": "clock"}),
    ],
)
def test_choice_of_a_tool_is_the_same(choice: Any, expected: Any) -> None:
    assert translated(tools=[TOOL, OTHER], tool_choice=choice)["tool_choice"] == expected
    made = translated(tools=[TOOL, OTHER], tool_choice=choice, parallel_tool_calls=False)
    flag = {} if choice == "none" else {"disable_parallel_tool_use": True}
    assert made["tool_choice"] == {**expected, **flag}
    assert translated(tools=[TOOL], tool_choice=choice, parallel_tool_calls=True)["tool_choice"] == expected


@pytest.mark.parametrize(("mode", "kind"), [("auto", "auto"), ("required", "any")])
def test_allowed_tools_are_the_only_ones_that_are_sent(mode: str, kind: str) -> None:
    allowed = {"mode": mode, "tools": [{"type": "function", "function": {"name": "clock"}}]}
    made = translated(tools=[TOOL, OTHER], tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert ([tool["name"] for tool in made["tools"]], made["tool_choice"]) == (["clock"], {"type": kind})


def test_choice_of_a_custom_tool_is_rejected() -> None:
    custom = {"type": "custom", "custom": {"name": "a"}}
    assert pointer_of(tools=[TOOL], tool_choice=custom) == "/tool_choice/type"
    made, dropped, _ = changed_by(tools=[TOOL], tool_choice=custom, settings=Settings(unsupported=DROP))
    assert ("tool_choice" in made, dropped) == (False, ["tool_choice"])


def test_one_call_at_a_time_needs_no_choice() -> None:
    made = translated(tools=[TOOL], parallel_tool_calls=False)
    assert made["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}


def test_choice_without_tools_is_not_sent() -> None:
    assert not {"tools", "tool_choice"} & set(
        translated(tools=[], tool_choice="auto", parallel_tool_calls=False)
    )


def test_schema_of_the_response_is_sent() -> None:
    named = {"name": "place", "schema": SCHEMA, "strict": True}
    made = translated(response_format={"type": "json_schema", "json_schema": named})
    assert made["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}


def test_schema_of_the_response_is_rejected_if_the_model_keeps_to_none() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
    assert pointer_of(response_format=form, caps={"structured": False}) == "/response_format"
    lenient = Settings(unsupported=DROP)
    _, dropped, _ = changed_by(response_format=form, caps={"structured": False}, settings=lenient)
    assert dropped == ["response_format"]


def test_json_without_a_schema_is_an_instruction_and_reported() -> None:
    made, _, changed = changed_by(response_format={"type": "json_object"})
    assert made["system"] == [{"type": "text", "text": "Answer with a single JSON object."}]
    assert changed == ["response_format"]
    assert "output_config" not in translated(response_format={"type": "text"})


@pytest.mark.parametrize(
    ("effort", "efforts", "expected", "changed"),
    [
        ("minimal", None, "low", []),
        ("low", None, "low", []),
        ("high", None, "high", []),
        ("xhigh", None, "high", ["reasoning_effort"]),
        ("max", ["low", "max"], "max", []),
        ("medium", ["high", "low"], "low", ["reasoning_effort"]),
        ("low", ["high"], "high", ["reasoning_effort"]),
    ],
)
@pytest.mark.parametrize("thinking", ["adaptive", "always", None])
def test_effort_is_the_nearest_that_the_model_knows(
    effort: str, efforts: Any, expected: str, changed: Any, thinking: Any
) -> None:
    caps = {"efforts": efforts or ["low", "medium", "high"], "thinking": thinking or "adaptive"}
    made, _, found = changed_by(reasoning_effort=effort, caps=caps if thinking or efforts else {})
    assert (made["thinking"], made["output_config"], found) == (
        {"type": "adaptive"},
        {"effort": expected},
        changed,
    )


def test_model_without_efforts_thinks_as_it_needs_to() -> None:
    made, _, changed = changed_by(reasoning_effort="low", caps={"efforts": []})
    assert (made["thinking"], "output_config" in made, changed) == (
        {"type": "adaptive"},
        False,
        ["reasoning_effort"],
    )


@pytest.mark.parametrize(
    ("effort", "most", "budget"),
    [
        ("minimal", 64000, 1024),
        ("low", 64000, 1024),
        ("medium", 64000, 4096),
        ("high", 64000, 16384),
        ("xhigh", 64000, 16384),
        ("high", 2000, 1999),
        ("low", 1025, 1024),
    ],
)
def test_budget_is_that_of_the_effort_and_less_than_the_most_tokens(
    effort: str, most: int, budget: int
) -> None:
    made = translated(reasoning_effort=effort, max_tokens=most, caps={"thinking": "budget"})
    assert made["thinking"] == {"type": "enabled", "budget_tokens": budget}


def test_budget_that_is_too_small_is_none() -> None:
    made, _, changed = changed_by(reasoning_effort="high", max_tokens=1024, caps={"thinking": "budget"})
    assert ("thinking" in made, changed) == (False, ["reasoning_effort"])


@pytest.mark.parametrize("thinking", ["budget", "adaptive"])
def test_thinking_takes_no_temperature(thinking: str) -> None:
    made, dropped, _ = changed_by(reasoning_effort="low", temperature=0.5, caps={"thinking": thinking})
    assert ("temperature" in made, dropped) == (False, ["temperature"])


@pytest.mark.parametrize("thinking", ["budget", "adaptive"])
def test_forced_tool_wins_over_thinking(thinking: str) -> None:
    made, _, changed = changed_by(
        reasoning_effort="low", tools=[TOOL], tool_choice="required", caps={"thinking": thinking}
    )
    assert ("thinking" in made, made["tool_choice"], changed) == (
        False,
        {"type": "any"},
        ["reasoning_effort"],
    )


def test_budget_is_left_out_after_calls_whose_thoughts_are_lost() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    signed = {"thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]}
    asked = {"role": "assistant", "content": "Wait.", "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "Sun"}
    caps = {"thinking": "budget"}
    made, notes = translate(USER, asked, result, reasoning_effort="low", caps=caps)
    assert ("thinking" in made, notes.changed) == (False, ["reasoning_effort"])
    assert "thinking" in translated(USER, {**asked, **signed}, result, reasoning_effort="low", caps=caps)
    said = {"role": "assistant", "content": "Sun."}
    assert "thinking" in translated(USER, said, USER, reasoning_effort="low", caps=caps)


@pytest.mark.parametrize(
    ("thinking", "sent", "dropped"),
    [
        ("budget", {"type": "disabled"}, []),
        ("adaptive", {"type": "disabled"}, []),
        (None, {"type": "disabled"}, []),
        ("always", None, ["reasoning_effort"]),
        ("none", None, []),
    ],
)
def test_effort_none_is_no_thinking(thinking: Any, sent: Any, dropped: Any) -> None:
    caps = {"thinking": thinking} if thinking else {}
    made, found, _ = changed_by(reasoning_effort="none", caps=caps)
    assert (made.get("thinking"), found) == (sent, dropped)


@pytest.mark.parametrize(("effort", "caps"), [("low", {"thinking": "none"}), ("huge", {}), (7, {}), ([], {})])
def test_effort_that_means_nothing_to_the_model_is_dropped(effort: Any, caps: Any) -> None:
    made, dropped, _ = changed_by(reasoning_effort=effort, caps=caps)
    assert (set(made) & {"thinking", "output_config"}, dropped) == (set(), ["reasoning_effort"])


def test_user_is_the_one_of_the_metadata() -> None:
    assert translated(user="u1", safety_identifier="s1")["metadata"] == {"user_id": "u1"}
    assert translated(safety_identifier="s1")["metadata"] == {"user_id": "s1"}


@pytest.mark.parametrize("user", ["ann@example.com", "x" * 257])
def test_address_of_a_user_is_hashed_with_the_secret(user: str) -> None:
    first, again, other = [
        translated(user=user, settings=Settings(secret=secret))["metadata"]["user_id"]
        for secret in (b"1", b"1", b"2")
    ]
    assert len(first) == 64
    assert first == again != other


@pytest.mark.parametrize(("tier", "expected"), [("auto", "auto"), ("default", "standard_only")])
def test_tier_is_the_same(tier: str, expected: str) -> None:
    assert translated(service_tier=tier)["service_tier"] == expected


@pytest.mark.parametrize("tier", ["flex", "priority", 7, ["auto"]])
def test_tier_that_the_provider_lacks_is_dropped(tier: Any) -> None:
    made, dropped, _ = changed_by(service_tier=tier)
    assert ("service_tier" in made, dropped) == (False, ["service_tier"])
