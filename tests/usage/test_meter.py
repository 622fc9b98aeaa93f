"""The usage of a response, read while it passes."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from shared.usage.meter import UsageMeter
from shared.usage.values import Source, Usage

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
