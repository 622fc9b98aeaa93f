"""The text of a whole stream."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bodies.event_text import event_data, stream_texts


def chat_event(content: str, index: int = 0) -> str:
    return json.dumps({"choices": [{"index": index, "delta": {"content": content}}]})


def test_the_data_of_events_is_taken_whatever_ends_a_line() -> None:
    stream = ": hello\nevent: x\ndata: one\r\ndata:two\r\n\r\rdata: three\n\nid: 4\n\ndata: cut off"
    assert list(event_data(stream)) == ["one\ntwo", "three", "cut off"]


@given(st.text(min_size=1, max_size=30), st.data())
def test_a_text_is_seen_whole_however_it_was_cut(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=1, max_size=5)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]
    assert text in set(stream_texts([*map(chat_event, pieces), "[DONE]"]))


def test_the_pieces_of_two_choices_are_not_mixed() -> None:
    events = [chat_event("nee"), chat_event("hay", 1), chat_event("dle"), chat_event("stack", 1)]
    texts = set(stream_texts(events))
    assert {"needle", "haystack"} <= texts
    assert "neehay" not in texts


def test_anthropic_and_responses_events_are_joined_too() -> None:
    blocks = [
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": piece}}
        for piece in ("nee", "dle")
    ]
    assert "needle" in set(stream_texts(map(json.dumps, blocks)))
    deltas = [
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": piece}
        for piece in ("nee", "dle")
    ]
    assert "needle" in set(stream_texts(map(json.dumps, deltas)))


def test_an_event_that_could_be_read_in_two_ways_is_refused() -> None:
    with pytest.raises(ValueError, match="duplicate"):
        list(stream_texts(['{"a":"x","a":"y"}']))
