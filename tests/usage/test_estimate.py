"""Tokens without a vocabulary."""

import base64
import os
import struct
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


def png(width: int, height: int) -> str:
    head = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height)
    return base64.b64encode(head + os.urandom(300_000)).decode()


def of_part(part: dict[str, object], api: str = "openai.chat") -> int:
    """The tokens of a part, without those of a message."""
    message = {"role": "user", "content": [part]}
    return estimate_request({"messages": [message]}, api=api) - estimate_request(
        {"messages": [{"role": "user"}]}
    )


def shown(data: str, **members: str) -> dict[str, object]:
    return {"type": "image_url", "image_url": {"url": data, **members}}


def given_picture(data: str) -> dict[str, object]:
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        (shown("data:image/png;base64," + png(512, 512)), 85 + 170),
        (shown("data:image/png;base64," + png(1024, 1024)), 85 + 4 * 170),
        (shown("data:image/png;base64," + png(2048, 4096)), 85 + 6 * 170),
        (shown("data:image/png;base64," + png(1024, 1024), detail="low"), 85),
        ({"type": "input_image", "image_url": "data:image/png;base64," + png(8, 8)}, 85 + 170),
        ({"type": "input_image", "image_url": "https://example.test/cat.png", "detail": "low"}, 85),
        (shown("https://example.test/cat.png"), 1_105),
        (shown("data:image/png;base64,AAA!"), 1_105),
        (shown("data:image/png;base64,!\N{SNOWMAN}"), 1_105),
        ({"type": "image_url"}, 1_105),
    ],
)
def test_a_picture_counts_by_its_tiles_and_not_as_text(part: dict[str, object], tokens: int) -> None:
    assert abs(of_part(part) - tokens) <= 20  # an address is text


@pytest.mark.parametrize(
    ("size", "tokens"), [((750, 10), 10), ((1_000, 1_000), 1_334), ((4_000, 4_000), 1_600)]
)
def test_a_picture_for_anthropic_counts_by_its_pixels(size: tuple[int, int], tokens: int) -> None:
    assert of_part(given_picture(png(*size)), "anthropic.messages") == tokens


def test_a_picture_for_anthropic_of_unknown_size_counts_as_the_largest() -> None:
    assert of_part({"type": "image", "source": {"type": "url"}}, "anthropic.messages") == 1_600


def test_a_picture_in_the_result_of_a_tool_counts() -> None:
    result = {"type": "tool_result", "content": [given_picture(png(750, 10))]}
    assert of_part(result, "anthropic.messages") == 10


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        ({"type": "document", "source": {"type": "base64", "data": "A" * 4 * 50_000}}, 3 * 1_500),
        ({"type": "document", "source": {"type": "text", "data": "word " * 100}}, 128),
        ({"type": "file", "file": {"file_data": "data:application/pdf;base64," + "A" * 4_000}}, 1_500),
        ({"type": "input_file", "file_id": "file-1"}, 1_500),
        ({"type": "input_audio", "input_audio": {"data": "A" * 64_000, "format": "mp3"}}, 30),
        ({"inlineData": {"mimeType": "image/png", "data": png(512, 512)}}, 85 + 170),
        ({"inlineData": {"mimeType": "audio/mp3", "data": "A" * 64_000}}, 30),
        ({"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}}, 1_500),
    ],
)
def test_documents_and_sound_count_by_their_size(part: dict[str, object], tokens: int) -> None:
    plain = estimate_request({"contents": [{"role": "user"}]})
    name = "contents" if "inlineData" in part else "messages"
    message = {"role": "user", "parts" if "inlineData" in part else "content": [part]}
    assert abs(estimate_request({name: [message]}) - plain - tokens) <= 20


def test_messages_and_tools_add_to_the_estimate() -> None:
    plain = estimate_request({"messages": [{"role": "user", "content": "Hello"}]})
    two = estimate_request({"messages": [{"role": "user", "content": "Hello"}] * 2, "tools": [{}]})
    assert two >= plain + 12


@pytest.mark.parametrize("name", ["input", "prompt"])
def test_a_text_that_is_written_as_the_numbers_of_its_tokens_counts_them(name: str) -> None:
    assert 1_000 <= estimate_request({name: [12_345] * 1_000}) <= 1_010
    assert 1_000 <= estimate_request({name: [[12_345] * 100] * 10}) <= 1_050


@pytest.mark.parametrize(
    "document",
    [None, [], "x", {}, {"messages": 1, "tools": 2}, {"messages": [1, {"content": [1, {"type": 1}]}]}],
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
