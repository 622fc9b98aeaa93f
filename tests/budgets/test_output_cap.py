"""The output that a request asks for is lowered where its API has it."""

import json
from typing import Any

import pytest

from shared.budgets.output_cap import least_output, with_most_output


@pytest.mark.parametrize(
    ("api", "kind", "document", "changed"),
    [
        ("openai.chat", "openai", {}, {"max_completion_tokens": 100}),
        ("openai.chat", "groq", {}, {"max_tokens": 100}),
        ("openai.chat", "openai", {"max_tokens": 500}, {"max_tokens": 100}),
        ("openai.chat", "groq", {"max_completion_tokens": 500}, {"max_completion_tokens": 100}),
        (
            "openai.chat",
            "openai",
            {"max_completion_tokens": 500, "max_tokens": 600},
            {"max_completion_tokens": 100, "max_tokens": 100},
        ),
        ("openai.chat", "openai", {"max_tokens": 50}, {}),
        ("openai.chat", "openai", {"max_tokens": None}, {"max_completion_tokens": 100}),
        ("openai.chat", "openai", {"max_tokens": "many"}, {"max_tokens": 100}),
        ("openai.completions", "openai", {}, {"max_tokens": 100}),
        ("openai.responses", "openai", {}, {"max_output_tokens": 100}),
        ("anthropic.messages", "anthropic", {"max_tokens": 500}, {"max_tokens": 100}),
    ],
)
def test_the_member_that_bounds_the_output_is_lowered(
    api: str, kind: str, document: dict[str, Any], changed: dict[str, Any]
) -> None:
    body = json.dumps({"model": "m", **document}).encode()
    assert json.loads(with_most_output(body, document, 100, api=api, kind=kind)) == {
        "model": "m",
        **document,
        **changed,
    }


@pytest.mark.parametrize(
    ("api", "document", "least"),
    [
        ("openai.chat", {}, 1),
        ("openai.responses", {}, 16),
        ("anthropic.messages", {"thinking": {"budget_tokens": 1_024}}, 1_025),
        ("anthropic.messages", {"thinking": {"type": "disabled"}}, 1),
        ("anthropic.messages", {"thinking": 1}, 1),
        ("openai.embeddings", {}, None),
        ("openai.chat", None, None),
    ],
)
def test_some_requests_cannot_ask_for_less(api: str, document: Any, least: int | None) -> None:
    assert least_output(api, document) == least


@pytest.mark.parametrize(
    ("most", "thinking"),
    [
        (5_000, {"type": "enabled", "budget_tokens": 4_096}),
        (2_000, {"type": "enabled", "budget_tokens": 1_999}),
        (1_024, {"type": "disabled"}),
    ],
)
def test_reasoning_that_a_translation_asked_for_keeps_room_for_the_output(
    most: int, thinking: dict[str, Any]
) -> None:
    document = {"max_tokens": 8_000, "thinking": {"type": "enabled", "budget_tokens": 4_096}}
    body = json.dumps(document).encode()
    sent = with_most_output(body, document, most, api="anthropic.messages", kind="anthropic")
    assert json.loads(sent) == {"max_tokens": most, "thinking": thinking}
