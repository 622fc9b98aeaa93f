"""Streams of both APIs: made of responses, in the ways of different servers, and read by the SDKs."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from anthropic.lib.streaming._messages import accumulate_event
from hypothesis import strategies as st
from openai.lib.streaming.chat._completions import ChatCompletionStreamState

from shared.bodies.event_splitter import event_splitter
from shared.http.media_type import MediaType
from shared.translation.framing import DONE, PING, read_event, write_event
from shared.translation.translation import Events
from tests.translation import oracles

type Document = dict[str, Any]


class Call(NamedTuple):
    id: str
    name: str
    arguments: str


class Said(NamedTuple):
    """The output of a model, in any API."""

    thought: str
    text: str
    calls: Sequence[Call]
    stop: str  # of chat
    usage: Document | None


TEXTS = st.text(st.sampled_from('ab \n"\\é😀'), max_size=12)
ARGUMENTS = st.dictionaries(st.sampled_from("xyz"), st.one_of(st.integers(), TEXTS), max_size=3)


@st.composite
def said(draw: st.DrawFn) -> Said:
    texts = draw(st.lists(ARGUMENTS, max_size=3))
    calls = [
        # No arguments at all are written as nothing, too.
        Call(f"call_{number}", f"tool_{number}", json.dumps(one) if one or draw(st.booleans()) else "")
        for number, one in enumerate(texts)
    ]
    prompt = draw(st.integers(0, 1000))
    cached = draw(st.integers(0, prompt))
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": 7,
        "total_tokens": prompt + 7,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_write_tokens": prompt - cached},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    stop = "tool_calls" if calls else draw(st.sampled_from(["stop", "length", "content_filter"]))
    return Said(draw(TEXTS), draw(TEXTS), calls, stop, draw(st.sampled_from([usage, None])))


def pieces(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.sets(st.integers(1, max(len(text) - 1, 1)), max_size=3)))
    return [
        text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True) if text[start:end]
    ]


def chunk(delta: Any, finish: str | None = None, **members: Any) -> Document:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-6"}
    return {**head, "choices": [choice], **members}


def call_chunk(index: int | None, piece: str = "", **members: Any) -> Document:
    function = {name: members.pop(name) for name in ("name",) if name in members}
    return {"index": index, **members, "function": {**function, "arguments": piece}}


#: The ways of servers: OpenAI's, calls whose pieces come in any order, and Ollama's, which numbers each call 0.
HABITS = ("openai", "interleaved", "ollama")


@st.composite
def chunks_of(draw: st.DrawFn, one: Said, habit: str) -> list[Any]:
    """A stream of chunks in the way of a server, without its end."""
    made = [chunk({"role": "assistant", "content": ""}, usage=None)]
    made += [chunk({"reasoning_content": piece}) for piece in pieces(draw, one.thought)]
    made += [chunk({"content": piece, "tool_calls": []}) for piece in pieces(draw, one.text)]
    series = [_call_chunks(draw, number, call, habit) for number, call in enumerate(one.calls)]
    if habit == "interleaved":
        begun = 1
        while any(series):
            number = draw(st.sampled_from([at for at, left in enumerate(series[:begun]) if left] or [begun]))
            made.append(chunk({"tool_calls": [series[number].pop(0)]}))
            begun = min(max(begun, number + 2), len(series))
    else:
        made += [chunk({"tool_calls": [each]}) for calls in series for each in calls]
    return made


def _call_chunks(draw: st.DrawFn, number: int, call: Call, habit: str) -> list[Document]:
    head = {"id": call.id, "type": "function", "name": call.name}
    if habit == "ollama":
        return [call_chunk(0, call.arguments, **head)]
    parts = pieces(draw, call.arguments)
    first = parts.pop(0) if parts and draw(st.booleans()) else ""
    return [call_chunk(number, first, **head), *[call_chunk(number, part) for part in parts]]


def end_of_chunks(one: Said, habit: str) -> list[Any]:
    """The chunks at the end of a stream."""
    stop = "stop" if habit == "ollama" and one.stop == "tool_calls" else one.stop
    usage = [] if one.usage is None else [{**chunk({}), "choices": [], "usage": one.usage}]
    return [chunk({}, stop), *usage, DONE]


def completion_of(one: Said) -> Document:
    """The same in one document."""
    message: Document = {"role": "assistant", "content": one.text or None, "refusal": None}
    if one.thought:
        message["reasoning_content"] = one.thought
    if one.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments or "{}"},
            }
            for call in one.calls
        ]
    made = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-6"}
    choices = [{"index": 0, "message": message, "finish_reason": one.stop}]
    return {**made, "choices": choices, **({} if one.usage is None else {"usage": one.usage})}


def run(events: Events, stream: Iterable[Any]) -> list[Any]:
    return [made for event in stream for made in events.feed(event)] + events.end()


def run_bytes(events: Events, stream: Iterable[bytes], api: str) -> bytes:
    """A stream in pieces, as the gateway translates it: `api` is that of the client."""
    splitter = event_splitter(MediaType("text/event-stream"), 1 << 20)
    assert splitter is not None
    found = [event for piece in stream for event in splitter.feed(piece)] + splitter.end()
    made = run(events, [read_event(event.data) for event in found])
    return b"".join(write_event(event, api) for event in made)


def read_messages(events: Iterable[Any]) -> Document:
    """The message that the SDK of Anthropic makes of a stream; the error event if there is one."""
    message, buffers, count, is_open = None, dict[int, bytes](), 0, False
    for event in events:
        if event["type"] == "error":
            oracles.messages_error(event)
            return dict(event)
        if event["type"] == "ping":
            continue
        read = oracles.message_event(event)
        # The SDK of Python takes blocks in any order; others do not.
        if "index" in event:
            assert (event["index"], is_open) == (count, event["type"] != "content_block_start")
            is_open = event["type"] != "content_block_stop"
            count += not is_open
        message = accumulate_event(event=read, current_snapshot=message, json_bufs=buffers)
    assert (message is not None, is_open, event["type"]) == (True, False, "message_stop")
    made: Document = message.to_dict()
    oracles.message(made)
    return made


def read_chunks(stream: Sequence[Any]) -> Document:
    """The completion that the SDK of OpenAI makes of a stream; the error if there is one."""
    state = ChatCompletionStreamState()
    for event in stream:
        if event == PING:
            continue
        if event == DONE:
            break
        if "error" in event:
            return dict(event)
        state.handle_chunk(oracles.chunk(event))
    assert stream[-1] == DONE
    made: Document = state.current_completion_snapshot.model_dump(exclude_none=True)
    for call in made["choices"][0]["message"].get("tool_calls", ()):
        call.pop("index", None)
        call["function"].pop("parsed_arguments", None)
    return made
