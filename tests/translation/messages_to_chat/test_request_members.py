"""The members of a request of Anthropic's messages beside its messages."""

from typing import Any

import pytest

from shared.translation.members import DROP as DROPPED
from shared.translation.members import REJECT as REJECTED
from shared.translation.messages_to_chat.request import MEMBERS
from shared.translation.notes import DROP, REJECT, Settings, Untranslatable
from tests.translation.messages_to_chat.requests import USER, translate, translated

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"name": "weather", "description": "Tells it.", "input_schema": SCHEMA}
LONG = "mcp__a_server__" + "x" * 60


def pointer_of(**members: Any) -> str:
    with pytest.raises(Untranslatable) as caught:
        translate(**members)
    assert caught.value.detail.endswith(".")
    return caught.value.pointer


def changed_by(**members: Any) -> tuple[dict[str, Any], list[str], list[str]]:
    made, notes = translate(**members)
    return made, notes.dropped, notes.changed


def test_request_has_the_model_the_messages_and_the_most_tokens() -> None:
    assert translated() == {"model": "gpt-6", "messages": [USER], "max_tokens": 100}


@pytest.mark.parametrize(
    ("kind", "caps", "name"),
    [
        ("openai", {}, "max_completion_tokens"),
        ("azure", {}, "max_completion_tokens"),
        ("groq", {}, "max_tokens"),
        ("openai", {"max_tokens_field": "max_tokens"}, "max_tokens"),
        ("vllm", {"max_tokens_field": "max_completion_tokens"}, "max_completion_tokens"),
    ],
)
def test_most_tokens_have_the_name_that_the_provider_knows(kind: str, caps: Any, name: str) -> None:
    assert translated(caps=caps, settings=Settings(kind=kind))[name] == 100


def test_most_tokens_are_at_most_those_of_the_model() -> None:
    made, _, changed = changed_by(caps={"max_output": 50})
    assert (made["max_tokens"], changed) == (50, ["max_tokens"])
    assert "max_tokens" not in translated(max_tokens=None)


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


def test_stop_sequences_are_at_most_as_many_as_chat_takes() -> None:
    assert translated(stop_sequences=["a", "b"])["stop"] == ["a", "b"]
    assert "stop" not in translated(stop_sequences=[])
    assert pointer_of(stop_sequences=list("abcde")) == "/stop_sequences"
    made, dropped, _ = changed_by(stop_sequences=list("abcde"), settings=Settings(unsupported=DROP))
    assert (made["stop"], dropped) == (list("abcd"), ["stop_sequences"])


def test_sampling_is_the_same() -> None:
    made, dropped, _ = changed_by(temperature=1, top_p=0.5, top_k=3)
    assert (made["temperature"], made["top_p"], dropped) == (1, 0.5, ["top_k"])
    assert translated(top_k=3, settings=Settings(kind="vllm"))["top_k"] == 3


def test_model_without_sampling_gets_none() -> None:
    made, dropped, _ = changed_by(
        temperature=1, top_k=3, caps={"sampling": False}, settings=Settings(kind="vllm")
    )
    assert (set(made) & {"temperature", "top_k"}, dropped) == (set(), ["temperature", "top_k"])


def test_tool_is_a_function_with_its_schema_as_it_is() -> None:
    given = [TOOL, {"type": "custom", "name": "clock", "input_schema": {"type": "object"}, "strict": False}]
    assert translated(tools=given)["tools"] == [
        {
            "type": "function",
            "function": {"name": "weather", "description": "Tells it.", "parameters": SCHEMA},
        },
        {
            "type": "function",
            "function": {"name": "clock", "parameters": {"type": "object"}, "strict": False},
        },
    ]


def test_members_of_a_tool_that_only_anthropic_reads_are_reported() -> None:
    more = {"cache_control": {"type": "ephemeral"}, "defer_loading": True, "eager_input_streaming": False}
    _, dropped, _ = changed_by(tools=[{**TOOL, **more}], settings=Settings(unsupported=REJECT))
    assert dropped == ["cache_control", "tools.defer_loading"]


def test_long_name_of_a_tool_is_shortened_everywhere_and_remembered() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": LONG, "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}
    turns = [USER, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    made, notes = translate(
        *turns, tools=[{**TOOL, "name": LONG}], tool_choice={"type": "tool", "name": LONG}
    )
    [(short, name)] = notes.tool_names.items()
    assert (name, len(short)) == (LONG, 64)
    names = [
        made["tools"][0]["function"]["name"],
        made["tool_choice"]["function"]["name"],
        made["messages"][1]["tool_calls"][0]["function"]["name"],
    ]
    assert names == [short] * 3


@pytest.mark.parametrize("kind", ["web_search_20260318", "bash_20250124", "computer_toolset_20260801", 7])
def test_tool_of_anthropics_servers_is_rejected(kind: Any) -> None:
    server = {"type": kind, "name": "web_search"}
    assert pointer_of(tools=[TOOL, server]) == "/tools/1/type"
    made, dropped, _ = changed_by(tools=[TOOL, server], settings=Settings(unsupported=DROP))
    assert (len(made["tools"]), dropped) == (1, ["tools"])


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
        ({"type": "tool", "name": "weather"}, {"type": "function", "function": {"name": "weather"}}),
    ],
)
def test_choice_of_a_tool_is_the_same(choice: Any, expected: Any) -> None:
    made = translated(tools=[TOOL], tool_choice=choice)
    assert (made["tool_choice"], "parallel_tool_calls" in made) == (expected, False)
    one = translated(tools=[TOOL], tool_choice={**choice, "disable_parallel_tool_use": True})
    assert (one["tool_choice"], one["parallel_tool_calls"]) == (expected, False)
    assert "tool_choice" not in translated(tool_choice=choice)


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, "low"),
        ({"type": "enabled", "budget_tokens": 2048}, "medium"),
        ({"type": "enabled", "budget_tokens": 8192}, "high"),
        ({"type": "adaptive"}, "high"),
    ],
)
def test_thinking_is_an_effort(thinking: Any, effort: str) -> None:
    assert translated(thinking=thinking)["reasoning_effort"] == effort


def test_effort_of_the_output_is_the_effort() -> None:
    low = {"effort": "low"}
    assert translated(output_config=low)["reasoning_effort"] == "low"
    assert translated(thinking={"type": "adaptive"}, output_config=low)["reasoning_effort"] == "low"
    made, _, changed = changed_by(output_config={"effort": "max"})
    assert (made["reasoning_effort"], changed) == ("high", ["output_config.effort"])


def test_model_that_cannot_think_gets_no_effort() -> None:
    made, dropped, _ = changed_by(thinking={"type": "adaptive"}, caps={"thinking": "none"})
    assert ("reasoning_effort" in made, dropped) == (False, ["thinking"])
    _, dropped, _ = changed_by(output_config={"effort": "low"}, caps={"efforts": []})
    assert dropped == ["output_config.effort"]


def test_no_thinking_is_the_effort_none_where_there_is_one() -> None:
    off = {"type": "disabled"}
    assert translated(thinking=off, caps={"efforts": ["none", "low"]})["reasoning_effort"] == "none"
    assert "reasoning_effort" not in translated(thinking=off, caps={"thinking": "none"})
    made, _, changed = changed_by(thinking=off)
    assert ("reasoning_effort" in made, changed) == (False, ["thinking"])


def test_schema_of_the_response_is_sent() -> None:
    made = translated(output_config={"format": {"type": "json_schema", "schema": SCHEMA}})
    named = {"name": "output", "schema": SCHEMA, "strict": True}
    assert made["response_format"] == {"type": "json_schema", "json_schema": named}


def test_schema_of_the_response_is_rejected_if_the_model_keeps_to_none() -> None:
    config = {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert pointer_of(output_config=config, caps={"structured": False}) == "/output_config/format"
    lenient = Settings(unsupported=DROP)
    _, dropped, _ = changed_by(output_config=config, caps={"structured": False}, settings=lenient)
    assert dropped == ["output_config.format"]


def test_member_of_the_output_that_nobody_knows_is_dropped_and_reported() -> None:
    assert changed_by(output_config={"task_budget": 7})[1] == ["output_config.task_budget"]


def test_user_is_a_key_of_the_cache_that_names_nobody() -> None:
    first, again, other = [
        translated(metadata={"user_id": "ann"}, settings=Settings(secret=secret))["prompt_cache_key"]
        for secret in (b"1", b"1", b"2")
    ]
    assert len(first) == 32
    assert first == again != other
    assert "prompt_cache_key" not in translated(metadata={})


def test_stream_asks_for_its_usage_unless_the_server_cannot() -> None:
    made = translated(stream=True)
    assert (made["stream"], made["stream_options"]) == (True, {"include_usage": True})
    assert "stream_options" in translated(stream=True, caps={"stream_usage": "auto"})
    assert "stream_options" not in translated(stream=True, caps={"stream_usage": False})
    assert "stream" not in translated(stream=False)


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"max_tokens": "7"}, "/max_tokens"),
        ({"temperature": "7"}, "/temperature"),
        ({"stop_sequences": "a"}, "/stop_sequences"),
        ({"system": 7}, "/system"),
        ({"tools": {}}, "/tools"),
        ({"tools": [{}]}, "/tools/0/name"),
        ({"tools": [{"name": "a"}]}, "/tools/0/input_schema"),
        ({"tools": [{**TOOL, "description": 7}]}, "/tools/0/description"),
        ({"tools": [TOOL], "tool_choice": "auto"}, "/tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "/tool_choice"),
        ({"thinking": {"type": "of_next_year"}}, "/thinking"),
        ({"output_config": 7}, "/output_config"),
        ({"output_config": {"effort": "huge"}}, "/output_config/effort"),
        ({"output_config": {"effort": ["low"]}}, "/output_config/effort"),
        ({"output_config": {"format": {"type": "grammar"}}}, "/output_config/format"),
        ({"metadata": 7}, "/metadata"),
        ({"metadata": {"user_id": 7}}, "/metadata/user_id"),
    ],
)
def test_member_of_a_wrong_type_is_rejected_where_it_is_wrong(members: Any, pointer: str) -> None:
    assert pointer_of(**members) == pointer
