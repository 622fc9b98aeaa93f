"""The usage of a response, read while it passes."""

import itertools
import json
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.providers.usage_fields import USAGE_FIELDS
from shared.usage.estimate import estimate_tokens
from shared.usage.meter import UsageMeter, texts_after
from shared.usage.reported import MAX_REPORTED
from shared.usage.row import Source, Usage

CHAT = (
    b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}], "usage": null}\n\n'
    b'data: {"choices": [{"delta": {"content": "Hello"}}], "usage": null}\n\n'
    b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, '
    b'"prompt_tokens_details": {"cached_tokens": 4}}}\n\n'
    b"data: [DONE]\n\n"
)


@given(st.lists(st.integers(0, len(CHAT)), max_size=6))
def test_a_stream_reports_its_usage_wherever_it_is_cut_into_pieces(cuts: list[int]) -> None:
    meter = UsageMeter("openai.chat")
    ends = [0, *sorted(cuts), len(CHAT)]
    for start, end in itertools.pairwise(ends):
        meter.feed_stream(CHAT[start:end])
    assert meter.finish(estimate=1) == Usage(input=9, output=2, input_cached=4)


def test_a_stream_without_usage_is_estimated_and_never_free() -> None:
    meter = UsageMeter("openai.chat")
    meter.feed_stream(b'data: {"choices": [{"delta": {"content": "Hello, how are you today?"}}]}\n\n')
    usage = meter.finish(estimate=30)
    assert (usage.input, usage.source) == (30, Source.ESTIMATED)
    assert 4 <= usage.output <= 10


def test_a_long_stream_without_usage_is_estimated_from_a_part_of_its_pieces() -> None:
    text = "Hello, how are you today? "
    meter = UsageMeter("openai.chat")
    for _ in range(1_000):
        meter.feed_stream(b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n' % text.encode())
    usage = meter.finish(estimate=1)
    assert usage.output == pytest.approx(1_000 * estimate_tokens(text.encode()), rel=0.01)


def test_a_report_of_the_output_alone_has_the_estimated_input() -> None:
    meter = UsageMeter("anthropic.messages")
    meter.feed_stream(b'data: {"type":"message_delta","usage":{"output_tokens":15}}\n\n')
    assert meter.finish(estimate=30) == Usage(input=30, output=15, source=Source.MIXED)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Not JSON</html>",
        b'{"choices": [], "usage": "none"}',
        b'{"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": 1.5, "x": true}}',
        b'{"usage": {"prompt_tokens": 1e300}}',
        b'{"usage": {"prompt_tokens":',
        b'[{"usage": ' + b"[" * 100_000,
        b'[{"usage": {"prompt_tokens": ' + b"1" * 5_000,
        b"\xff\xfe",
    ],
)
def test_a_response_that_reports_no_numbers_is_estimated_from_its_size(body: bytes) -> None:
    meter = UsageMeter("openai.chat")
    meter.feed_whole(body)
    assert meter.finish(estimate=7) == Usage(input=7, output=-(-len(body) // 40), source=Source.ESTIMATED)


@pytest.mark.parametrize("number", [MAX_REPORTED + 1, 2**53, 2**70, 1e300])
def test_a_number_that_no_call_can_use_counts_as_not_reported(number: float) -> None:
    meter = UsageMeter("openai.chat")
    meter.feed_whole(b'{"usage": {"prompt_tokens": %d, "completion_tokens": 3}}' % number)
    assert meter.finish(estimate=7) == Usage(input=7, output=3, source=Source.MIXED)
    assert meter.reported.is_implausible


def test_the_usage_in_the_end_of_a_broken_body_is_read() -> None:
    meter = UsageMeter("openai.chat")
    meter.feed_whole(b'{"choices": [nonsense], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}')
    assert meter.finish(estimate=1) == Usage(input=9, output=2)


@given(st.binary(max_size=300), st.sampled_from(sorted(USAGE_FIELDS)), st.booleans())
def test_no_response_of_any_bytes_is_free_or_an_error(body: bytes, api: str, is_stream: bool) -> None:
    meter = UsageMeter(api)
    (meter.feed_stream if is_stream else meter.feed_whole)(body)
    assert meter.finish(estimate=1, is_complete=False).input >= 1


def test_the_usage_of_two_attempts_is_their_sum() -> None:
    one, two = Usage(input=1, output=2), Usage(input=10, images=1, source=Source.ESTIMATED)
    assert one.plus(one) == Usage(input=2, output=4, requests=2)
    assert one.plus(two) == Usage(input=11, output=2, images=1, requests=2, source=Source.MIXED)


@pytest.mark.parametrize("text", [b'\\"' * 300_000, b"\\" * 600_000])
def test_text_with_many_quotes_and_backslashes_is_read_in_linear_time(text: bytes) -> None:
    began = time.process_time()
    assert texts_after(b'"text":', b'{"text": "' + text + b'"}') == [text]
    assert time.process_time() - began < 1


def test_the_duration_of_sound_is_counted_in_whole_seconds() -> None:
    meter = UsageMeter("openai.audio")
    meter.feed_whole(b'{"task": "transcribe", "duration": 8.47, "text": "Hello"}')
    assert meter.finish(estimate=5) == Usage(seconds=9)


def test_stream_of_empty_lines_takes_no_memory() -> None:
    meter = UsageMeter("openai.chat")
    tracemalloc.start()
    for _ in range(40_000):
        meter.feed_stream(b"\n")
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 10_000


@pytest.mark.parametrize(
    ("api", "body", "finish"),
    [
        ("openai.chat", {"choices": [{"finish_reason": "length"}], "usage": {"prompt_tokens": 1}}, "length"),
        ("openai.responses", {"status": "incomplete", "usage": {"input_tokens": 1}}, "incomplete"),
        ("anthropic.messages", {"stop_reason": "end_turn", "usage": {"input_tokens": 1}}, "end_turn"),
        (
            "gemini",
            {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 1}},
            "STOP",
        ),
        ("openai.chat", {"choices": [{"finish_reason": "Bearer sk-secret"}], "usage": {}}, ""),
        ("openai.chat", {"choices": [{"finish_reason": "x" * 33}], "usage": {}}, "x" * 32),
        ("openai.chat", {"choices": [], "usage": {"prompt_tokens": 1}}, ""),
        ("openai.chat", {"choices": "stop", "usage": {"prompt_tokens": 1}}, ""),
        ("openai.chat", {"choices": [{"finish_reason": None}], "usage": {"prompt_tokens": 1}}, ""),
    ],
)
def test_whole_response_says_why_it_ended(api: str, body: object, finish: str) -> None:
    meter = UsageMeter(api)
    meter.feed_whole(json.dumps(body).encode())
    meter.finish(estimate=1)
    assert meter.reported.finish == finish


@pytest.mark.parametrize("space", ["", " "])
@pytest.mark.parametrize(
    ("api", "events", "finish"),
    [
        (
            "openai.chat",
            [
                {"choices": [{"delta": {"content": '"finish_reason":"no"'}, "finish_reason": None}]},
                {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
                {"choices": [], "usage": {"prompt_tokens": 1}},
            ],
            "tool_calls",
        ),
        (
            "anthropic.messages",
            [
                {"type": "message_start", "message": {"stop_reason": None, "usage": {"input_tokens": 1}}},
                {
                    "type": "message_delta",
                    "delta": {"stop_reason": "end_turn"},
                    "usage": {"output_tokens": 1},
                },
            ],
            "end_turn",
        ),
        (
            "openai.responses",
            [
                {
                    "type": "response.completed",
                    "response": {"status": "completed", "usage": {"input_tokens": 1}},
                }
            ],
            "completed",
        ),
    ],
)
def test_stream_says_why_it_ended(api: str, events: list[object], finish: str, space: str) -> None:
    meter = UsageMeter(api)
    for event in events:
        text = json.dumps(event, separators=(",", f":{space}"))
        meter.feed_stream(f"data: {text}\n\n".encode())
    meter.finish(estimate=1)
    assert meter.reported.finish == finish


@pytest.mark.parametrize("written", [b'"finish_reason":"length"', b'"finish_reason": "length"'])
def test_stream_says_why_it_ended_before_its_usage(written: bytes) -> None:
    meter = UsageMeter("openai.chat")
    meter.feed_stream(b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}]}\n\n')
    assert meter.reported.finish == ""
    meter.feed_stream(b'data: {"choices":[{"delta":{},' + written + b"}]}\n\n")
    assert meter.reported.finish == "length"
    meter.feed_stream(b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2}}\n\n')
    assert meter.finish(estimate=1) == Usage(input=9, output=2)
    assert meter.reported.finish == "length"


def test_stream_does_not_say_why_it_ended_if_that_is_no_word() -> None:
    meter = UsageMeter("openai.chat")
    meter.feed_stream(b'data: {"choices":[{"delta":{},"finish_reason":"Bearer sk-secret"}]}\n\n')
    assert meter.reported.finish == ""


@pytest.mark.parametrize(("cached", "counted"), [(4, 4), (4.0, 4), (4.5, 0), ("4", 0), (None, 0), (True, 0)])
def test_part_of_the_usage_counts_in_whichever_way_its_number_is_written(
    cached: object, counted: int
) -> None:
    body = {"usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": cached}}}
    meter = UsageMeter("openai.chat")
    meter.feed_whole(json.dumps(body).encode())
    assert meter.finish(estimate=1).input_cached == counted
