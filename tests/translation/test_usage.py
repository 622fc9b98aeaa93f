"""The same usage in the members of both APIs. Anthropic counts the cache beside the input, OpenAI inside."""

from typing import Any

import pytest

from shared.translation.usage import chat_usage, messages_usage, units_of

MESSAGES = {
    "input_tokens": 100,
    "cache_creation_input_tokens": 30,
    "cache_read_input_tokens": 20,
    "output_tokens": 7,
    "output_tokens_details": {"thinking_tokens": 5},
}
CHAT = {
    "prompt_tokens": 150,
    "completion_tokens": 7,
    "total_tokens": 157,
    "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 30},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


def to_chat(usage: Any) -> Any:
    return chat_usage(units_of("anthropic.messages", "anthropic", {"usage": usage}))


def to_messages(usage: Any, kind: str = "openai") -> Any:
    return messages_usage(units_of("openai.chat", kind, {"usage": usage}))


def test_prompt_of_chat_includes_what_anthropic_counts_as_cache() -> None:
    assert to_chat(MESSAGES) == CHAT


def test_input_of_messages_excludes_the_cache() -> None:
    assert to_messages(CHAT) == MESSAGES


def test_cache_written_for_different_times_adds_up() -> None:
    times = {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}
    assert to_chat({**MESSAGES, "cache_creation": times}) == CHAT


def test_usage_that_the_upstream_does_not_report_is_absent_and_not_0() -> None:
    assert to_chat({"input_tokens": 3, "output_tokens": 2}) == {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
    }
    assert to_messages({"prompt_tokens": 3, "completion_tokens": 2}) == {
        "input_tokens": 3,
        "output_tokens": 2,
    }
    assert to_chat(None) is None


def test_message_has_the_usage_that_its_api_requires() -> None:
    assert to_messages(None) == {"input_tokens": 0, "output_tokens": 0}


def test_more_cached_tokens_than_input_make_no_negative_number() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}}
    assert to_messages(usage)["input_tokens"] == 0


@pytest.mark.parametrize(
    ("kind", "usage", "expected"),
    [
        (
            "deepseek",
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4},
            {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 1},
        ),
        (
            "xai",
            {
                "prompt_tokens": 9,
                "completion_tokens": 1,
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
            {"input_tokens": 9, "output_tokens": 5, "output_tokens_details": {"thinking_tokens": 4}},
        ),
    ],
)
def test_usage_is_read_in_the_way_of_its_provider(kind: str, usage: Any, expected: Any) -> None:
    assert to_messages(usage, kind) == expected
