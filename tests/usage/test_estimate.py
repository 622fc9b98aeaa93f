"""Tokens without a vocabulary."""

import base64
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.usage.estimate import estimate_request, estimate_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The quick brown fox jumps over the lazy dog. ", 201),
        ("Der schnelle braune Fuchs springt über den faulen Hund. ", 281),
        ("敏捷的棕色狐狸跳过了懒狗。", 280),
        ('{"id": 12, "name": "Ada", "tags": ["a", "b"]} ', 441),
        ("def add(a, b):\n    return a + b\n", 240),
        ("0123456789", 67),
        ("deadbeef01", 80),
    ],
)
def test_the_estimate_is_within_a_factor_of_two_of_the_vocabulary(text: str, tokens: int) -> None:
    """`tokens` is the count of the vocabulary o200k for the text twenty times."""
    assert tokens / 2 <= estimate_tokens(text.encode() * 20) <= tokens * 2


@given(st.text())
def test_no_text_is_free_and_none_costs_more_than_its_bytes(text: str) -> None:
    tokens = estimate_tokens(text.encode(errors="replace"))
    assert bool(tokens) == bool(text)
    assert tokens <= len(text.encode(errors="replace"))


def test_a_picture_in_a_request_counts_as_one_and_not_as_text() -> None:
    picture = base64.b64encode(os.urandom(300_000)).decode()
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}
    text = {"type": "text", "text": "Describe it."}
    estimate = estimate_request({"model": "m", "messages": [{"role": "user", "content": [text, part]}]})
    assert 1_105 < estimate < 1_200


def test_messages_and_tools_add_to_the_estimate() -> None:
    plain = estimate_request({"messages": [{"role": "user", "content": "Hello"}]})
    two = estimate_request({"messages": [{"role": "user", "content": "Hello"}] * 2, "tools": [{}]})
    assert two >= plain + 12


@pytest.mark.parametrize(
    "document", [None, [], "x", {}, {"messages": 1, "tools": 2}, {"messages": [1, {"content": [1]}]}]
)
def test_any_json_has_an_estimate(document: object) -> None:
    assert estimate_request(document) >= 1


def test_words_that_are_almost_a_long_run_take_little_time() -> None:
    text = (b"a" * 63 + b" ") * 64_000
    started = time.process_time()
    estimate_tokens(text)
    assert time.process_time() - started < 0.6


def test_a_request_that_is_no_json_is_estimated_from_its_size() -> None:
    assert [estimate_request(None, size) for size in (0, 1, 16_000)] == [1, 1, 10]
