"""The members of a request of OpenAI's responses beside its input and its tools."""

from typing import Any

import pytest
from openai.types.responses.response_create_params import (
    ResponseCreateParamsBase,
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)

from shared.translation.members import DROP as DROPPED
from shared.translation.members import REJECT as REJECTED
from shared.translation.notes import DROP, REJECT, Settings
from shared.translation.responses_to_chat.request import MEMBERS, REPEATED
from tests.translation.responses_to_chat.requests import USER, pointer_of, translate, translated

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FORMAT = {"type": "json_schema", "name": "places", "schema": SCHEMA, "strict": True, "description": "Some."}


def changed_by(**members: Any) -> tuple[dict[str, Any], list[str], list[str]]:
    made, notes = translate(**members)
    return made, notes.dropped, notes.changed


def test_members_are_those_of_the_sdk_and_none_is_forgotten() -> None:
    kinds = (ResponseCreateParamsBase, ResponseCreateParamsNonStreaming, ResponseCreateParamsStreaming)
    assert set(MEMBERS) == {name for kind in kinds for name in kind.__annotations__}


def test_request_with_a_text_is_one_message() -> None:
    assert translated() == {"model": "gpt-6", "messages": [USER]}
    assert translated(temperature=None, tools=None, reasoning=None, text=None) == translated()


def test_instructions_are_the_first_message() -> None:
    assert translated(instructions="Be brief.")["messages"] == [
        {"role": "system", "content": "Be brief."},
        USER,
    ]
    assert pointer_of(instructions=["Be brief."]) == "/instructions"


@pytest.mark.parametrize("name", [name for name, one in MEMBERS.items() if one.action == DROPPED])
def test_member_that_chat_lacks_is_dropped_and_reported(name: str) -> None:
    made, dropped, _ = changed_by(**{name: {"a": "1"}})
    assert (dropped, name in made) == ([name], False)
    assert pointer_of(settings=Settings(unsupported=REJECT), **{name: {"a": "1"}}) == f"/{name}"


def test_member_that_nobody_knows_is_dropped_and_reported() -> None:
    assert changed_by(of_next_year=1)[1] == ["of_next_year"]


@pytest.mark.parametrize("name", [name for name, one in MEMBERS.items() if one.action == REJECTED])
def test_member_that_needs_a_server_with_a_memory_is_rejected(name: str) -> None:
    assert pointer_of(**{name: "x"}) == f"/{name}"
    made, dropped, _ = changed_by(settings=Settings(unsupported=DROP), **{name: "x"})
    assert (dropped, name in made) == ([name], False)


def test_values_that_ask_for_nothing_pass() -> None:
    harmless = {"background": False, "store": False, "truncation": "disabled", "context_management": []}
    assert translated(**harmless) == translated()
    assert translated(stream_options={"include_obfuscation": False}) == translated()


@pytest.mark.parametrize(
    ("kind", "caps", "name"),
    [
        ("openai", {}, "max_completion_tokens"),
        ("azure", {}, "max_completion_tokens"),
        ("vllm", {}, "max_tokens"),
        ("openai", {"max_tokens_field": "max_tokens"}, "max_tokens"),
    ],
)
def test_most_tokens_have_the_name_that_the_provider_knows(kind: str, caps: Any, name: str) -> None:
    assert translated(max_output_tokens=9, caps=caps, settings=Settings(kind=kind))[name] == 9


def test_most_tokens_are_at_most_those_of_the_model() -> None:
    made, _, changed = changed_by(max_output_tokens=90, caps={"max_output": 50})
    assert (made["max_tokens"], changed) == (50, ["max_output_tokens"])
    assert pointer_of(max_output_tokens="9") == "/max_output_tokens"


def test_sampling_passes_unless_the_model_takes_none() -> None:
    given: Any = {"temperature": 1.5, "top_p": 0.5}
    assert translated(**given) == {**translated(), **given}
    assert changed_by(**given, caps={"sampling": False})[:2] == (translated(), ["temperature", "top_p"])
    assert pointer_of(top_p="x") == "/top_p"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ({}, {}),
        ({"format": {"type": "text"}}, {}),
        ({"format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
        ({"verbosity": "low"}, {"verbosity": "low"}),
        (
            {"format": FORMAT},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {name: FORMAT[name] for name in FORMAT if name != "type"},
                }
            },
        ),
    ],
)
def test_form_of_the_text_is_the_response_format(text: Any, expected: Any) -> None:
    assert translated(text=text) == {**translated(), **expected}


def test_schema_for_a_model_that_keeps_to_none_is_rejected() -> None:
    assert pointer_of(text={"format": FORMAT}, caps={"structured": False}) == "/text/format"
    settings = Settings(unsupported=DROP)
    _, dropped, _ = changed_by(text={"format": FORMAT}, caps={"structured": False}, settings=settings)
    assert dropped == ["text.format"]


@pytest.mark.parametrize("form", ["text", {"type": "json_schema"}, {"type": "of_next_year"}])
def test_form_that_is_none_is_rejected(form: Any) -> None:
    assert pointer_of(text={"format": form}) == "/text/format"


@pytest.mark.parametrize(
    ("effort", "caps", "expected"),
    [
        ("minimal", {}, "minimal"),
        ("none", {"efforts": ["none", "low"]}, "none"),
        ("high", {"efforts": ["low", "high"]}, "high"),
        (None, {"thinking": "none"}, None),
    ],
)
def test_effort_that_the_model_knows_passes(effort: Any, caps: Any, expected: Any) -> None:
    made = translated(reasoning={"effort": effort}, caps=caps)
    assert made.get("reasoning_effort") == expected


@pytest.mark.parametrize(
    ("effort", "efforts", "expected"),
    [
        ("xhigh", ["low", "high"], "high"),
        ("minimal", ["low", "high"], "low"),
        ("none", ["low"], None),
        ("?", ["low"], None),
    ],
)
def test_effort_that_the_model_does_not_know_is_the_next_lower_one(
    effort: str, efforts: Any, expected: Any
) -> None:
    made, _, changed = changed_by(reasoning={"effort": effort}, caps={"efforts": efforts})
    assert (made.get("reasoning_effort"), changed) == (expected, ["reasoning.effort"])


def test_effort_for_a_model_that_does_not_think_is_dropped() -> None:
    made, dropped, _ = changed_by(reasoning={"effort": "low"}, caps={"thinking": "none"})
    assert ("reasoning_effort" in made, dropped) == (False, ["reasoning.effort"])
    assert pointer_of(reasoning={"effort": 3}) == "/reasoning/effort"


def test_what_of_reasoning_and_text_chat_lacks_is_reported() -> None:
    assert changed_by(reasoning={"summary": "auto", "mode": None}, text={"other": 1})[1] == [
        "text.other",
        "reasoning.summary",
    ]


def test_probabilities_are_included() -> None:
    name = "message.output_text.logprobs"
    assert translated(include=[name]) == {**translated(), "logprobs": True}
    wanted: Any = {**translated(), "logprobs": True, "top_logprobs": 2}
    assert translated(include=[name], top_logprobs=2) == translated(top_logprobs=2) == wanted
    assert translated(top_logprobs=0) == translated()


def test_what_chat_cannot_include_is_reported() -> None:
    assert changed_by(include=["reasoning.encrypted_content"])[1] == ["include.reasoning.encrypted_content"]
    settings = Settings(unsupported=REJECT)
    assert pointer_of(include=["reasoning.encrypted_content"], settings=settings) == "/include/0"


def test_members_of_both_apis_pass() -> None:
    same: Any = {
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "moderation": {"model": "omni-moderation-latest"},
        "service_tier": "flex",
        "prompt_cache_options": {"mode": "explicit", "ttl": "30m"},
    }
    assert translated(**same) == {**translated(), **same}


def test_tier_and_options_of_the_cache_that_chat_lacks_are_dropped() -> None:
    options = {"mode": "implicit", "ttl": "12h", "comparison_response_id": "resp_1", "prewarm": False}
    made, dropped, _ = changed_by(service_tier="ultrafast", prompt_cache_options=options)
    assert (made["prompt_cache_options"], "service_tier" in made) == ({"mode": "implicit"}, False)
    assert dropped == [
        "service_tier",
        "prompt_cache_options.ttl",
        "prompt_cache_options.comparison_response_id",
    ]


def test_request_that_only_warms_the_cache_is_rejected() -> None:
    assert pointer_of(prompt_cache_options={"prewarm": True}) == "/prompt_cache_options/prewarm"


def test_stream_reports_its_usage_if_the_server_can() -> None:
    assert translated(stream=True)["stream_options"] == {"include_usage": True}
    assert "stream_options" not in translated(stream=True, caps={"stream_usage": False})
    assert "stream" not in translated(stream=False)
    options = {"include_obfuscation": True}
    assert changed_by(stream=True, stream_options=options)[1] == ["stream_options.include_obfuscation"]


def test_notes_have_the_members_that_the_response_repeats() -> None:
    given: Any = {"metadata": {"a": "b"}, "temperature": 0.5, "parallel_tool_calls": False, "user": None}
    _, notes = translate(**given)
    assert notes.repeated == {"metadata": {"a": "b"}, "temperature": 0.5, "parallel_tool_calls": False}
    assert notes.repeated.keys() <= REPEATED.keys()
