"""Streams of OpenAI's responses, read by the SDK of OpenAI."""

from collections.abc import Sequence
from typing import Any

from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState

from shared.translation.framing import PING
from tests.translation import oracles

type Document = dict[str, Any]

#: The last event of a stream.
LAST = ("response.completed", "response.incomplete", "response.failed")


def read_events(stream: Sequence[Any]) -> Document:
    """The response that the SDK makes of a stream, which is the one of the last event."""
    events = [event for event in stream if event != PING]
    state = ResponseStreamState[None](input_tools=omit, text_format=omit)
    for number, event in enumerate(events):
        assert event["sequence_number"] == number
        assert (event["type"] in LAST) is (number == len(events) - 1)
        state.handle_event(oracles.response_event(event))
    last: Document = events[-1]["response"]
    oracles.response(last)
    done = {
        event["output_index"]: event["item"]
        for event in events
        if event["type"] == "response.output_item.done"
    }
    assert last["output"] == [done[number] for number in sorted(done)]
    _check_texts(events)
    return last


def _check_texts(events: Sequence[Document]) -> None:
    """The pieces of each text are what its last event says."""
    pieces: dict[Any, str] = {}
    for event in events:
        place = (event.get("item_id"), event.get("content_index"), event.get("summary_index"))
        kind, _, step = event["type"].rpartition(".")
        if step == "delta":
            pieces[kind, place] = pieces.get((kind, place), "") + event["delta"]
        elif step == "done" and (kind, place) in pieces:
            whole = next(event[name] for name in ("text", "refusal", "arguments", "input") if name in event)
            assert pieces.pop((kind, place)) == whole
    assert not pieces or events[-1]["type"] == "response.failed"
