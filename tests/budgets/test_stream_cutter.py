"""Which events of a stream pass, by what its budgets have set aside."""

import itertools
import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.budgets import stream_cutter
from shared.budgets.allowance import Allowance
from shared.budgets.stream_cutter import StreamCutter, text_in

DONE = b"data: [DONE]\n\n"
START = b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'


def event(text: str, end: bytes = b"\n\n") -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": {"content": text}}]}).encode() + end


def cutter(reserved: int, *, is_lines: bool = False) -> StreamCutter:
    return StreamCutter(Allowance(reserved), "openai.chat", 4.0, is_lines=is_lines)


def denied(reserved: int) -> StreamCutter:
    """The cutter of a stream that gets no more."""
    made = cutter(reserved)
    made.allowance.deny(goes_on=False)
    return made


def test_a_stream_within_its_reservation_passes_piece_by_piece() -> None:
    one = cutter(10)
    for piece in (START, event("a")[:9], event("a")[9:] + event("b"), DONE):
        assert one.feed(piece) == piece
    assert (one.allowance.seen, one.size, one.is_over, one.end()) == (2, 2, False, b"")


def test_a_stream_that_gets_no_more_ends_between_two_events() -> None:
    one = denied(3)
    assert one.feed(event("a") + event("b")) == event("a") + event("b")
    assert one.feed(event("c") + event("d") + event("e")) == event("c")
    assert one.is_over
    assert (one.feed(event("f")), one.end(), one.is_waiting, one.missing) == (b"", b"", False, 0)
    assert one.allowance.seen == 3


def test_the_event_that_does_not_fit_was_received() -> None:
    one = denied(3)
    assert one.feed(event("a") + event("word " * 40) + event("b")) == event("a")
    assert (one.is_over, one.allowance.seen, one.received) == (True, 1, 51)
    assert (one.feed(event("c")), one.received) == (b"", 51)


def test_an_open_event_of_which_a_part_has_passed_was_received() -> None:
    one = cutter(1_000)
    one.feed(event("a") + event("word " * 40)[:-20])
    assert (one.allowance.seen, one.received) == (1, 48)
    one.feed(event("word " * 40)[-20:])
    assert one.received == one.allowance.seen == 51


def test_the_end_of_a_response_passes_although_nothing_is_left() -> None:
    one = denied(1)
    assert one.feed(event("a") + DONE) == event("a") + DONE
    assert not one.is_over


def test_events_wait_until_more_is_granted() -> None:
    one = cutter(2)
    assert one.feed(event("a") + event("b") + event("c")) == event("a") + event("b")
    assert (one.is_waiting, one.missing) == (True, 1)
    assert one.feed(event("d")[:20]) == b""
    assert one.allowance.more(one.missing) == 256
    one.allowance.grant(256)
    assert one.release() == event("c") + event("d")[:20]
    assert one.feed(event("d")[20:]) == event("d")[20:]
    assert (one.allowance.seen, one.is_waiting) == (4, False)


def test_what_waits_passes_at_the_end_of_the_stream() -> None:
    one = cutter(1)
    assert one.feed(event("a") + event("b")) == event("a")
    assert one.end() == event("b")
    assert one.allowance.seen == 2


def test_an_event_whose_beginning_has_passed_passes_as_a_whole() -> None:
    one = denied(100)
    long = event("word " * 200)
    assert one.feed(long[:300]) == long[:300]
    assert one.feed(long[300:-9]) == b""
    assert one.feed(long[-9:] + event("more")) == long[300:]
    assert one.is_over


def test_a_stream_that_may_finish_passes_above_its_reservation() -> None:
    one = cutter(1)
    one.allowance.deny(goes_on=True)
    assert one.feed(event("a") * 1_000) == event("a") * 1_000
    assert one.allowance.seen == 1_000


def test_an_event_without_an_end_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_cutter, "_MAX_OPEN", 1_000)
    one = cutter(10_000)
    assert one.feed(b"x" * 1_001) == b"x" * 1_001
    assert one.allowance.seen == 1_001 / 4
    last = denied(1)
    assert last.feed(b"x" * 999) == b""
    assert not last.is_over
    assert last.feed(b"x" * 2) == b""
    assert last.is_over


def test_a_stream_of_lines_ends_between_two_lines() -> None:
    lines = [json.dumps({"message": {"content": text}}).encode() + b"\n" for text in "abc"]
    one = cutter(2, is_lines=True)
    one.allowance.deny(goes_on=False)
    assert one.feed(b"".join(lines)) == lines[0] + lines[1]
    assert one.is_over


@given(
    st.lists(st.sampled_from(["", "a", "word " * 9, "ü" * 40]), max_size=20),
    st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r"]),
    st.integers(0, 60),
    st.lists(st.integers(0, 2_000), max_size=6),
)
def test_the_cuts_between_pieces_never_let_more_pass_than_one_event(
    texts: Sequence[str], end: bytes, reserved: int, cuts: Sequence[int]
) -> None:
    events = [event(text, end) for text in texts]
    stream = b"".join(events)
    places = sorted({0, *(cut for cut in cuts if cut < len(stream)), len(stream)})
    one = denied(reserved)
    passed = b"".join(one.feed(stream[start:stop]) for start, stop in itertools.pairwise(places))
    passed += one.end()
    whole = [b"".join(events[:number]) for number in range(len(events) + 1)]
    assert passed in whole, "the stream ends between two events"
    longest = max((one._tokens(stream_cutter.text_in("openai.chat", each)) for each in events), default=0)
    assert one.allowance.seen <= reserved + longest
    assert one.is_over == (passed != stream)


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
