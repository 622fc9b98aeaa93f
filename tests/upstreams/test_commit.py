"""The beginning of a stream: what is held back, what commits, and that no client gets text of two targets."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.upstreams.commit import APIS, MAX_COLLECTED, Step, StreamStart, WholeBody

HOLD, COMMIT, AGAIN = Step
SSE, LINES = "text/event-stream; charset=utf-8", "application/x-ndjson"


def sse(*events: Any) -> list[bytes]:
    """Server-sent events, with a name where the API has one."""
    return [_sse(event) for event in events]


def _sse(event: Any) -> bytes:
    if isinstance(event, str):
        return f"data: {event}\n\n".encode()
    name = f"event: {event['type']}\n" if isinstance(event, dict) and "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def block(**delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def parts(*each: Any, **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(each)}, **more}]}


#: By API: the events before the content, the first content, the rest of the stream.
STREAMS: dict[str, tuple[Sequence[Any], Any, Sequence[Any]]] = {
    "openai.chat": (
        [{"choices": [], "prompt_filter_results": []}, chunk(role="assistant", content="", refusal=None)],
        chunk(content="TEXT"),
        [chunk(content=" of TARGET"), chunk("stop"), "[DONE]"],
    ),
    "openai.responses": (
        [
            {"type": "response.created", "response": {"status": "queued", "error": None}},
            {"type": "response.in_progress", "response": {}},
            {"type": "response.output_item.added", "item": {"type": "message", "content": []}},
            {"type": "response.content_part.added", "part": {"type": "output_text", "text": ""}},
            {"type": "response.output_text.delta", "delta": ""},
        ],
        {"type": "response.output_text.delta", "delta": "TEXT"},
        [{"type": "response.completed", "response": {"status": "completed"}}],
    ),
    "anthropic.messages": (
        [
            {"type": "message_start", "message": {"content": []}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "ping"},
            block(type="text_delta", text=""),
        ],
        block(type="text_delta", text="TEXT"),
        [
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
            {"type": "message_stop"},
        ],
    ),
    "gemini": (
        [parts(), {"candidates": [{"index": 0}]}, {"usageMetadata": {}}],
        parts({"text": "TEXT"}),
        [parts({"text": ""}, finishReason="STOP")],
    ),
}
ERRORS: dict[str, Any] = {
    "openai.chat": {"error": {"type": "server_error", "code": None}},
    "openai.responses": {"type": "response.failed", "response": {"error": {"code": "insufficient_quota"}}},
    "anthropic.messages": {"type": "error", "error": {"type": "overloaded_error"}},
    "gemini": {"error": {"code": 503, "status": "UNAVAILABLE"}},
}
OLLAMA = [
    {"message": {"role": "assistant", "content": ""}, "done": False},
    {"message": {"role": "assistant", "content": "TEXT"}, "done": False},
    {"message": {"role": "assistant", "content": ""}, "done": True},
]


def start(api: str, hold_bytes: int = 65_536) -> StreamStart:
    found = StreamStart.of(api, LINES if api == "ollama" else SSE, hold_bytes)
    assert found is not None
    return found


def steps(api: str, *events: Any) -> list[Step]:
    """The step after each event, up to the first that is not HOLD."""
    judge, found = start(api), []
    for event in events:
        piece = json.dumps(event).encode() + b"\n" if api == "ollama" else _sse(event)
        found.append(judge.feed(piece))
        if found[-1] is not HOLD:
            break
    return found


@pytest.mark.parametrize("api", STREAMS)
def test_events_without_content_are_held_and_the_first_content_commits(api: str) -> None:
    preamble, content, _ = STREAMS[api]
    assert steps(api, *preamble, content) == [HOLD] * len(preamble) + [COMMIT]


@pytest.mark.parametrize("api", STREAMS)
def test_error_before_the_content_tries_again_and_is_kept(api: str) -> None:
    judge = start(api)
    for piece in sse(*STREAMS[api][0]):
        assert judge.feed(piece) is HOLD
    assert judge.feed(_sse(ERRORS[api])) is AGAIN
    assert judge.error == ERRORS[api]


@pytest.mark.parametrize("api", STREAMS)
def test_end_before_the_content_tries_again_without_an_error(api: str) -> None:
    judge = start(api)
    for piece in sse(*STREAMS[api][0]):
        judge.feed(piece)
    assert judge.end() is AGAIN
    assert judge.error is None
    assert start(api).end() is AGAIN


@pytest.mark.parametrize(
    ("api", "event"),
    [
        ("openai.chat", chunk("stop")),
        ("openai.chat", chunk(tool_calls=[{"index": 0, "function": {"name": "f"}}])),
        ("openai.chat", chunk(reasoning_content="hm")),
        ("openai.completions", {"choices": [{"text": "TEXT"}]}),
        ("openai.chat", {"choices": ["no object"]}),
        ("openai.chat", {"choices": [{"delta": "no object"}]}),
        ("openai.chat", {"no": "choices"}),
        ("openai.chat", "no JSON"),
        ("openai.chat", "7"),
        ("openai.responses", {"type": "response.function_call_arguments.delta", "delta": "{"}),
        ("openai.responses", {"type": "response.incomplete", "response": {}}),
        ("openai.responses", {"type": "something.new"}),
        ("openai.responses", {}),
        ("anthropic.messages", block(type="input_json_delta", partial_json="{")),
        ("anthropic.messages", {"type": "message_delta", "delta": {"stop_reason": "refusal"}}),
        ("anthropic.messages", {"type": "content_block_stop"}),
        ("anthropic.messages", {"type": "something_new"}),
        ("gemini", parts({"functionCall": {"name": "f"}})),
        ("gemini", parts({"thought": True, "text": "hm"})),
        ("gemini", parts(finishReason="SAFETY")),
        ("gemini", {"promptFeedback": {"blockReason": "SAFETY"}}),
        ("gemini", {"candidates": {"no": "list"}}),
        ("gemini", {"candidates": ["no object"]}),
        ("gemini", {"candidates": [{"content": "no object"}]}),
        ("gemini", parts("no object")),
        ("ollama", OLLAMA[1]),
        ("ollama", OLLAMA[2]),
        ("ollama", {"response": "TEXT", "done": False}),
        ("ollama", {"message": {"role": "assistant", "content": "", "tool_calls": [{}]}, "done": False}),
        ("ollama", {"message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False}),
    ],
)
def test_content_of_every_kind_and_what_is_not_understood_commits(api: str, event: Any) -> None:
    assert steps(api, event) == [COMMIT]


@pytest.mark.parametrize("api", ["openai.chat", "openai.responses", "anthropic.messages", "gemini", "ollama"])
@pytest.mark.parametrize("comment", [b": keep-alive\n\n", b"\n\n", b"event: ping\n\n"])
def test_comments_are_held(api: str, comment: bytes) -> None:
    assert start(api).feed(comment) is HOLD or api == "ollama"


def test_error_event_of_responses_whose_members_are_at_the_top_tries_again() -> None:
    assert steps("openai.responses", {"type": "error", "code": "rate_limit_exceeded", "message": "No."}) == [
        AGAIN
    ]


def test_end_of_a_chat_before_any_chunk_tries_again() -> None:
    assert steps("openai.chat", "[DONE]") == [AGAIN]


def test_lines_of_ollama_are_judged() -> None:
    assert steps("ollama", *OLLAMA) == [HOLD, COMMIT]
    assert steps("ollama", {"error": "model not found"}) == [AGAIN]
    assert steps("ollama", {"response": "", "done": False}) == [HOLD]


@pytest.mark.parametrize(
    ("rest", "step"),
    [
        (OLLAMA[2], COMMIT),
        (OLLAMA[0], AGAIN),
        ({"error": "no"}, AGAIN),
    ],
)
def test_last_line_without_an_end_is_judged(rest: Any, step: Step) -> None:
    judge = start("ollama")
    assert judge.feed(json.dumps(rest).encode()) is HOLD
    assert judge.end() is step


def test_last_line_that_was_cut_off_tries_again() -> None:
    judge = start("ollama")
    judge.feed(b'{"message": {"content": "TE')
    assert judge.end() is AGAIN


def test_last_event_without_an_end_is_lost_but_its_error_is_kept() -> None:
    judge = start("openai.chat")
    judge.feed(_sse(chunk(content="TEXT")).rstrip(b"\n"))
    assert judge.end() is AGAIN
    judge = start("openai.chat")
    judge.feed(_sse(ERRORS["openai.chat"]).rstrip(b"\n"))
    assert judge.end() is AGAIN
    assert judge.error == ERRORS["openai.chat"]


def test_no_more_than_the_bound_is_held() -> None:
    judge = start("openai.chat", hold_bytes=1000)
    held = 0
    while judge.feed(piece := _sse(chunk(role="assistant"))) is HOLD:
        held += len(piece)
    assert 900 < held <= 1000
    assert start("openai.chat", hold_bytes=1000).feed(b"data: " + b"x" * 2000) is COMMIT


@pytest.mark.parametrize(
    ("api", "kind"),
    [("openai.chat", "application/json"), ("openai.chat", ""), ("openai.embeddings", SSE), ("", SSE)],
)
def test_other_bodies_and_unknown_apis_are_not_held(api: str, kind: str) -> None:
    assert StreamStart.of(api, kind, 65_536) is None


def test_all_known_apis_are_judged() -> None:
    assert {*STREAMS, "openai.completions", "ollama"} == APIS


class Relay:
    """The bytes that a client gets of each target of one request, as the engine serves it."""

    def __init__(self, api: str) -> None:
        self.api = api
        self.sent: list[tuple[int, bytes]] = []
        self.is_broken = False

    def run(self, targets: Sequence[tuple[Sequence[bytes], bool]]) -> None:
        """Each target is its pieces, and whether its stream is complete."""
        for number, (pieces, is_complete) in enumerate(targets):
            judge, held, step = start(self.api), b"", HOLD
            for piece in pieces:
                held += piece
                if step is HOLD:
                    step = judge.feed(piece)
                if step is AGAIN:
                    break
                if step is COMMIT:
                    self.sent.append((number, held))
                    held = b""
            if step is HOLD:
                step = judge.end()
                if step is COMMIT:
                    self.sent.append((number, held))
            if step is COMMIT:
                self.is_broken = not is_complete
                return


def cuts(raw: bytes, sizes: Iterator[int]) -> list[bytes]:
    """The bytes in pieces of those sizes."""
    found, at = [], 0
    for size in sizes:
        if at >= len(raw):
            break
        found.append(raw[at : at + size])
        at += size
    return [*found, raw[at:]] if at < len(raw) else found


def whole_stream(api: str, target: str) -> bytes:
    if api == "ollama":
        raw = b"".join(json.dumps(line).encode() + b"\n" for line in OLLAMA)
    else:
        preamble, content, rest = STREAMS[api]
        raw = b"".join(sse(*preamble, content, *rest))
    return raw.replace(b"TEXT", target.encode())


@pytest.mark.parametrize("api", [*STREAMS, "ollama"])
@pytest.mark.parametrize("ending", ["cut", "error"])
def test_stream_that_breaks_at_any_byte_is_whole_from_one_target_or_broken(api: str, ending: str) -> None:
    raw, other = whole_stream(api, "first"), whole_stream(api, "second")
    error = ERRORS.get(api) or {"error": "no"}
    tail = json.dumps(error).encode() + b"\n" if api == "ollama" else _sse(error)
    for position in range(len(raw)):
        relay = Relay(api)
        is_error = ending == "error" and raw[:position].endswith(b"\n")
        pieces = [raw[:position], tail] if is_error else [raw[:position]]
        relay.run([(pieces, False), ([other], True)])
        sent = b"".join(piece for _, piece in relay.sent)
        assert len({number for number, _ in relay.sent}) == 1
        assert not (b"first" in sent and b"second" in sent)
        assert relay.is_broken or sent == other
        assert not relay.is_broken or sent == b"".join(pieces)


@given(st.data())
def test_cuts_between_pieces_change_nothing(data: st.DataObject) -> None:
    api = data.draw(st.sampled_from([*STREAMS, "ollama"]))
    raw = whole_stream(api, "first")[: data.draw(st.integers(0, 2000))]
    sizes = data.draw(st.lists(st.integers(1, 60), min_size=50, max_size=50))
    found = []
    for pieces in (cuts(raw, iter(sizes)), cuts(raw, iter([1] * len(raw)))):
        relay = Relay(api)
        relay.run([(pieces, False), ([whole_stream(api, "second")], True)])
        found.append((relay.is_broken, b"".join(piece for _, piece in relay.sent)))
    assert found[0] == found[1]


def whole(length: int | None = None, **more: bytes) -> WholeBody | None:
    sized = () if length is None else ((b"Content-Length", b"%d" % length),)
    named = [(name.replace("_", "-").encode(), value) for name, value in more.items()]
    return WholeBody.of("openai.chat", (*sized, *named))


def whole_steps(judge: WholeBody | None, *pieces: bytes) -> list[Step]:
    assert judge is not None
    return [judge.feed(piece) for piece in pieces]


def test_whole_body_that_is_collected_commits_when_it_is_complete() -> None:
    assert whole_steps(whole(11), b"\n ", b' {"a"', b":1}") == [HOLD, HOLD, HOLD]
    assert whole_steps(whole(10), b"\n ", b' {"a"', b":1}") == [HOLD, HOLD, COMMIT]


@pytest.mark.parametrize("length", [None, MAX_COLLECTED + 1])
def test_whole_body_that_is_not_collected_commits_with_its_first_byte(length: int | None) -> None:
    assert whole_steps(whole(length), b"{") == whole_steps(whole(length), b"  ") == [COMMIT]


@pytest.mark.parametrize("length", [None, 50])
def test_page_in_place_of_json_tries_again(length: int | None) -> None:
    assert whole_steps(whole(length, content_type=b"text/html"), b"<html>") == [AGAIN]
    # A compressed body cannot be told from its first byte.
    assert whole_steps(whole(6, content_encoding=b"gzip"), b"\x1f\x8b....") == [COMMIT]


def test_whole_body_that_ends_before_anything_came_tries_again() -> None:
    judge = whole(0)
    assert judge is not None
    assert judge.end() is AGAIN


def test_bodies_of_other_apis_are_not_judged_as_whole() -> None:
    assert WholeBody.of("openai.audio", ()) is None


def test_beginning_of_very_many_events_is_not_held_and_takes_no_worker_for_long() -> None:
    start = StreamStart.of("openai.chat", SSE, 1024 * 1024)
    assert start is not None
    began = time.process_time()
    assert start.feed(b":\n\n" * 900) is HOLD
    assert start.feed(b":\n\n" * 300_000) is COMMIT
    assert time.process_time() - began < 0.2
