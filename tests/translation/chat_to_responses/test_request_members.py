"""The members of a request of OpenAI's chat for OpenAI's responses."""

from typing import Any

import pytest
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsBase,
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)

from shared.translation.chat_to_responses.request import MEMBERS
from shared.translation.members import DROP as DROPPED
from shared.translation.members import REJECT as REJECTED
from shared.translation.notes import DROP, REJECT, Settings
from tests.translation.chat_to_responses.requests import ITEM, pointer_of, translate, translated

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
NAMED = {"name": "places", "description": "Some.", "schema": SCHEMA, "strict": True}
FORMAT = {"type": "json_schema", "json_schema": NAMED}
FUNCTION = {"name": "weather", "description": "Tells it.", "parameters": SCHEMA, "strict": True}
TOOL = {"type": "function", "function": FUNCTION}
CUSTOM = {"type": "custom", "custom": {"name": "patch", "description": "Changes files."}}


def changed_by(**members: Any) -> tuple[dict[str, Any], list[str], list[str]]:
    made, notes = translate(**members)
    return made, notes.dropped, notes.changed


def test_members_are_those_of_the_sdk_and_none_is_forgotten() -> None:
    kinds = (CompletionCreateParamsBase, CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming)
    assert set(MEMBERS) == {name for kind in kinds for name in kind.__annotations__}


def test_response_is_not_stored_unless_the_client_says_so() -> None:
    assert translated() == {"model": "gpt-6", "input": [ITEM], "store": False}
    assert translated(store=None) == translated(store=False) == translated()
    assert translated(store=True)["store"] is True


@pytest.mark.parametrize("name", [name for name, one in MEMBERS.items() if one.action == DROPPED])
def test_member_that_the_api_lacks_is_dropped_and_reported(name: str) -> None:
    made, dropped, _ = changed_by(**{name: 1})
    assert (dropped, name in made) == ([name], False)
    assert pointer_of(settings=Settings(unsupported=REJECT), **{name: 1}) == f"/{name}"


@pytest.mark.parametrize("name", [name for name, one in MEMBERS.items() if one.action == REJECTED])
def test_member_that_changes_the_response_is_rejected(name: str) -> None:
    assert pointer_of(**{name: 2}) == f"/{name}"
    made, dropped, _ = changed_by(settings=Settings(unsupported=DROP), **{name: 2})
    assert (dropped, name in made) == ([name], False)


def test_values_that_ask_for_nothing_pass() -> None:
    assert translated(n=1, stop=[], modalities=["text"], response_format={"type": "text"}) == translated()


@pytest.mark.parametrize(
    ("given", "most"),
    [
        ({"max_tokens": 19}, 19),
        ({"max_completion_tokens": 18, "max_tokens": 19}, 18),
    ],
)
def test_most_tokens_are_those_of_the_newer_member(given: Any, most: int) -> None:
    assert translated(**given)["max_output_tokens"] == most


def test_most_tokens_are_at_most_those_of_the_model() -> None:
    made, _, changed = changed_by(max_tokens=90, caps={"max_output": 50})
    assert (made["max_output_tokens"], changed) == (50, ["max_tokens"])
    assert pointer_of(max_tokens=True) == "/max_tokens"


@pytest.mark.parametrize(("given", "most"), [(0, 0), (1, 16), (15, 16), (16, 16)])
def test_most_tokens_are_at_least_16_which_the_api_demands(given: int, most: int) -> None:
    made, _, changed = changed_by(max_completion_tokens=given)
    assert (made["max_output_tokens"], changed) == (most, ["max_completion_tokens"] if given < most else [])


def test_sampling_passes_unless_the_model_takes_none() -> None:
    given: Any = {"temperature": 1.5, "top_p": 0.5}
    assert translated(**given) == {**translated(), **given}
    assert changed_by(**given, caps={"sampling": False})[:2] == (translated(), ["temperature", "top_p"])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"response_format": {"type": "json_object"}}, {"format": {"type": "json_object"}}),
        ({"response_format": FORMAT}, {"format": {"type": "json_schema", **NAMED}}),
        ({"verbosity": "low"}, {"verbosity": "low"}),
    ],
)
def test_response_format_is_the_form_of_the_text(given: Any, text: Any) -> None:
    assert translated(**given) == {**translated(), "text": text}


def test_schema_for_a_model_that_keeps_to_none_is_rejected() -> None:
    caps = {"structured": False}
    assert pointer_of(response_format=FORMAT, caps=caps) == "/response_format"
    settings = Settings(unsupported=DROP)
    assert changed_by(response_format=FORMAT, caps=caps, settings=settings)[1] == ["response_format"]
    assert pointer_of(response_format={"type": "json_schema"}) == "/response_format"


def test_effort_is_one_that_the_model_knows() -> None:
    assert translated(reasoning_effort="max")["reasoning"] == {"effort": "max"}
    made, _, changed = changed_by(reasoning_effort="max", caps={"efforts": ["low", "high"]})
    assert (made["reasoning"], changed) == ({"effort": "high"}, ["reasoning_effort"])
    assert "reasoning" not in changed_by(reasoning_effort="max", caps={"thinking": "none"})[0]


def test_probabilities_are_included() -> None:
    made = translated(logprobs=True, top_logprobs=2)
    assert (made["include"], made["top_logprobs"]) == (["message.output_text.logprobs"], 2)
    assert translated(logprobs=False) == translated()


def test_members_of_both_apis_pass() -> None:
    same: Any = {
        "user": "u",
        "safety_identifier": "s",
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "prompt_cache_options": {"mode": "explicit", "ttl": "30m"},
        "moderation": {"model": "omni-moderation-latest"},
        "service_tier": "flex",
    }
    assert translated(**same) == {**translated(), **same}


@pytest.mark.parametrize(("options", "asked"), [({"include_usage": True}, True), ({}, False), (None, False)])
def test_usage_of_a_stream_is_remembered(options: Any, asked: bool) -> None:
    made, notes = translate(stream=True, stream_options=options)
    assert (made["stream"], "stream_options" in made, notes.include_usage) == (True, False, asked)


def test_function_is_flat_and_strict_only_if_the_client_says_so() -> None:
    assert translated(tools=[TOOL])["tools"] == [{"type": "function", **FUNCTION}]
    bare = {"type": "function", "function": {"name": "now"}}
    empty = {"type": "object", "properties": {}}
    assert translated(tools=[bare])["tools"] == [
        {"type": "function", "name": "now", "parameters": empty, "strict": False}
    ]


def test_custom_tool_keeps_its_grammar() -> None:
    grammar = {"syntax": "lark", "definition": "start: WORD"}
    form = {"type": "grammar", "grammar": grammar}
    plain = {"type": "custom", "name": "patch", "description": "Changes files."}
    assert translated(tools=[CUSTOM])["tools"] == [plain]
    made = translated(tools=[{**CUSTOM, "custom": {**CUSTOM["custom"], "format": form}}])
    assert made["tools"] == [{**plain, "format": {"type": "grammar", **grammar}}]
    text = translated(tools=[{"type": "custom", "custom": {"name": "x", "format": {"type": "text"}}}])
    assert text["tools"] == [{"type": "custom", "name": "x", "format": {"type": "text"}}]
    bad = {"type": "custom", "custom": {"name": "x", "format": {"type": "grammar"}}}
    assert pointer_of(tools=[bad]) == "/tools/0/custom/format"


def test_tool_of_another_kind_is_rejected() -> None:
    assert pointer_of(tools=[{"type": "web_search"}]) == "/tools/0/type"
    made, dropped, _ = changed_by(tools=[{"type": "x"}], settings=Settings(unsupported=DROP))
    assert (made, dropped) == (translated(), ["tools"])


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", "required"),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "function", "name": "weather"}),
        ({"type": "custom", "custom": {"name": "patch"}}, {"type": "custom", "name": "patch"}),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOL]}},
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "weather"}]},
        ),
    ],
)
def test_choice_of_a_tool_is_flat(choice: Any, expected: Any) -> None:
    made = translated(tools=[TOOL, CUSTOM], tool_choice=choice, parallel_tool_calls=False)
    assert (made["tool_choice"], made["parallel_tool_calls"]) == (expected, False)


@pytest.mark.parametrize("choice", ["sometimes", {"type": "function"}, {"type": "mcp"}, 7])
def test_choice_that_is_none_is_rejected(choice: Any) -> None:
    assert pointer_of(tools=[TOOL], tool_choice=choice) == "/tool_choice"


def test_without_tools_there_is_nothing_to_choose() -> None:
    assert translated(tools=[], tool_choice="auto", parallel_tool_calls=True) == translated()
