"""How much output a stream may bring, and when it asks for more."""

import pytest

from shared.budgets.allowance import DEFAULT_BYTES, LEAST_MORE, Allowance, BytesPerToken, text_in


def test_a_stream_asks_for_more_when_three_quarters_are_seen() -> None:
    allowance = Allowance(1_000)
    allowance.seen = 749
    assert allowance.more() == 0
    allowance.seen = 750
    assert allowance.more() == LEAST_MORE
    assert allowance.more() == 0, "the reply has not come"


def test_a_stream_with_a_large_reservation_asks_for_a_quarter_of_it() -> None:
    allowance = Allowance(10_000)
    allowance.seen = 9_000
    assert allowance.more() == 2_500
    allowance.grant(2_500)
    assert allowance.reserved == 12_500
    assert allowance.more() == 0


def test_a_burst_asks_for_as_much_as_it_needs() -> None:
    allowance = Allowance(100)
    assert allowance.more(5_000) == 4_900
    allowance.grant(4_900)
    assert allowance.fits(5_000)


def test_a_stream_that_gets_no_more_ends_where_its_reservation_does() -> None:
    allowance = Allowance(10)
    allowance.seen = 9
    assert allowance.more() == LEAST_MORE
    allowance.deny(goes_on=False)
    assert (allowance.fits(1), allowance.fits(2), allowance.fits(0)) == (True, False, True)
    assert allowance.more(2) == 0


def test_a_stream_that_may_finish_goes_on_without_a_reservation() -> None:
    allowance = Allowance(10)
    allowance.seen = 9
    assert allowance.more() == LEAST_MORE
    allowance.deny(goes_on=True)
    assert allowance.fits(100_000)
    assert allowance.more(100_000) == 0


@pytest.mark.parametrize(
    ("size", "output", "reasoning", "learned"),
    [
        (3_000, 1_000, 0, 3.8),
        (300, 1_000, 900, 3.8),  # the reasoning is not shown
        (3_000, 1_000, 900, 3.8),  # it is shown
        (1_000_000, 1, 0, 4.8),
        (10, 1_000, 0, 3.4),
        (10, 1_000, 1_000, 3.4),
        (0, 1_000, 0, DEFAULT_BYTES),
        (1_000, 0, 0, DEFAULT_BYTES),
    ],
)
def test_the_bytes_of_a_token_follow_what_a_model_has_reported(
    size: int, output: int, reasoning: int, learned: float
) -> None:
    known = BytesPerToken()
    known.learn("m", size=size, output=output, reasoning=reasoning)
    assert round(known.of("m"), 6) == learned


@pytest.mark.parametrize(
    ("api", "events", "pieces", "size"),
    [
        ("openai.chat", b'{"choices":[{"delta":{"content":"a"}},{"delta":{"content": "bc"}}]}', 2, 3),
        ("openai.chat", b'{"delta":{"tool_calls":[{"function":{"arguments":"{\\"a\\": 1}"}}]}}', 1, 10),
        ("openai.chat", b'{"delta":{"role":"assistant","content":"","refusal":null}}', 0, 0),
        ("openai.chat", b'{"delta":{"reasoning_content":"hm","content":null}}', 1, 2),
        ("openai.responses", b'{"type":"response.output_text.delta","delta":"Hello"}', 1, 5),
        ("openai.responses", b'{"type":"response.output_text.done","text":"Hello"}', 0, 0),
        ("anthropic.messages", b'{"delta":{"type":"thinking_delta","thinking":"hm"}}', 1, 2),
        ("anthropic.messages", b'{"delta":{"type":"input_json_delta","partial_json":"{\\"a"}}', 1, 4),
        ("openai.embeddings", b'{"content":"a"}', 0, 0),
        ("unknown", b'{"content":"a"}', 0, 0),
    ],
)
def test_all_generated_text_of_an_event_counts(api: str, events: bytes, pieces: int, size: int) -> None:
    assert text_in(api, events) == (pieces, size)


def test_a_piece_of_text_is_at_least_one_token() -> None:
    events = b'data: {"delta":{"content":"a"}}\n\n' * 100
    assert text_in("openai.chat", events).tokens(4.0) == 100
    assert text_in("openai.chat", b'{"content":"%s"}' % (b"word " * 100)).tokens(5.0) == 100
