"""Usage is asked for, and a client that did not ask sees nothing of it."""

import itertools
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.usage.asking import (
    MAX_EVENT,
    UnableProviders,
    UsageRemover,
    ask_for_usage,
    has_to_ask,
    rejects_asking,
)
from tests.usage.test_recorded import STREAMS, Recorded, of_file

CHATS = [one for one in STREAMS if one.api in ("openai.chat", "openai.completions")]


@pytest.mark.parametrize(
    ("body", "asking"),
    [
        ('{"stream":true}', '{"stream_options":{"include_usage":true},"stream":true}'),
        (
            '{"stream_options":null,"a":[{"stream_options":1}]}',
            '{"stream_options":{"include_usage":true},"a":[{"stream_options":1}]}',
        ),
        ('{"a":1, "stream_options": {} }', '{"a":1, "stream_options": {"include_usage":true} }'),
        ('{"stream_options": {"x" : [1]}}', '{"stream_options": {"include_usage":true,"x" : [1]}}'),
        (
            '{"stream_options": {"x":1, "include_usage": false}}',
            '{"stream_options": {"x":1, "include_usage": true}}',
        ),
        (
            '{"stream_options": {"include_usage": null}, "é": "ü"}',
            '{"stream_options": {"include_usage": true}, "é": "ü"}',
        ),
    ],
)
def test_a_request_asks_for_usage_and_keeps_all_its_other_bytes(body: str, asking: str) -> None:
    assert ask_for_usage(body.encode()) == asking.encode()


_VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=9)
    | st.lists(st.text(max_size=3), max_size=2)
)


@given(st.dictionaries(st.text(max_size=9), _VALUES, max_size=5))
def test_the_other_members_of_a_request_are_the_same(members: dict[str, Any]) -> None:
    asking = json.loads(ask_for_usage(json.dumps(members).encode()))
    options = members.get("stream_options") or {}
    assert asking == members | {"stream_options": {**options, "include_usage": True}}


@pytest.mark.parametrize(
    ("api", "document", "has"),
    [
        ("openai.chat", {"stream": True}, True),
        ("openai.completions", {"stream": True, "stream_options": None}, True),
        # Servers in Python take these for true.
        ("openai.chat", {"stream": 1}, True),
        ("openai.chat", {"stream": "true"}, True),
        ("openai.chat", {"stream": True, "stream_options": {"include_usage": False}}, True),
        ("openai.chat", {"stream": True, "stream_options": {"include_usage": True}}, False),
        ("openai.chat", {"stream": True, "stream_options": {"include_usage": "yes"}}, False),
        ("openai.chat", {"stream": True, "stream_options": "x"}, False),
        ("openai.chat", {"stream": False}, False),
        ("openai.chat", {}, False),
        ("openai.responses", {"stream": True}, False),
        ("anthropic.messages", {"stream": True}, False),
    ],
)
def test_only_a_stream_that_has_to_be_asked_is_asked(api: str, document: dict[str, Any], has: bool) -> None:
    assert has_to_ask(api, document) is has


@pytest.mark.parametrize(
    ("stream_usage", "is_unable", "has"),
    [("auto", False, True), ("auto", True, False), (True, True, True), (False, False, False)],
)
def test_a_provider_that_rejected_it_is_not_asked_again_unless_it_is_said_to_be_able(
    stream_usage: bool | str, is_unable: bool, has: bool
) -> None:
    asked = has_to_ask("openai.chat", {"stream": True}, stream_usage=stream_usage, is_unable=is_unable)
    assert asked is has


@pytest.mark.parametrize(
    ("status", "body", "is_one"),
    [
        (400, b'{"error": {"message": "Unrecognized request argument: stream_options"}}', True),
        (422, b'{"detail": [{"loc": ["body", "stream_options", "include_usage"]}]}', True),
        (400, b'{"error": {"message": "Unknown model"}}', False),
        (500, b"stream_options", False),
        (200, b"stream_options", False),
    ],
)
def test_a_response_that_names_what_was_asked_is_about_it(status: int, body: bytes, is_one: bool) -> None:
    assert rejects_asking(status, body) is is_one


def test_a_rejection_is_remembered_for_an_hour_and_for_its_provider_only() -> None:
    unable = UnableProviders()
    assert not unable.has("old", 0)
    unable.add("old", 10)
    assert unable.has("old", 10)
    assert unable.has("old", 3_609)
    assert not unable.has("old", 3_610)
    assert not unable.has("new", 10)


def test_providers_that_reject_it_do_not_fill_the_memory() -> None:
    unable = UnableProviders()
    for number in range(UnableProviders.MAX_PROVIDERS + 5):
        unable.add(f"provider-{number}", 0)
    assert len(unable._until) <= UnableProviders.MAX_PROVIDERS


def not_asked(one: Recorded) -> bytes:
    """The stream of an upstream that was not asked, by text alone."""
    text = one.body.decode()
    text = re.sub(r'data: [^\n]*"choices":\[\],[^\n]*"usage":\{[^\n]*\n\n', "", text)
    text = re.sub(
        r',"usage":(null|\{"prompt_tokens":\d+,"total_tokens":\d+,"completion_tokens":\d+\})', "", text
    )
    return re.sub(r'\]\,"usage":\{"prompt_tokens":160.*?\}(?=\}\n)', "]", text).encode()


def passed(pieces: list[bytes]) -> bytes:
    remover = UsageRemover()
    return b"".join([*map(remover.feed, pieces), remover.end()])


@pytest.mark.parametrize("one", CHATS, ids=of_file)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_client_gets_the_bytes_of_an_upstream_that_was_not_asked(one: Recorded, end: str) -> None:
    body, expected = (text.replace(b"\n", end.encode()) for text in (one.body, not_asked(one)))
    assert (b'"usage"' in expected) == one.file.startswith("groq")
    assert (b"data: [DONE]" in expected) == (b"data: [DONE]" in body)
    for cut in range(0, len(body), 9):
        assert passed([body[:cut], body[cut:]]) == expected


@pytest.mark.slow
@pytest.mark.parametrize("one", CHATS, ids=of_file)
def test_the_client_gets_the_same_bytes_whichever_byte_is_cut_at(one: Recorded) -> None:
    expected = not_asked(one)
    for cut in range(len(one.body)):
        assert passed([one.body[:cut], one.body[cut:]]) == expected
    assert passed([bytes([byte]) for byte in one.body]) == expected


@given(st.sampled_from(CHATS), st.lists(st.integers(0, 4_000), max_size=8))
def test_the_client_gets_the_same_bytes_wherever_a_stream_is_cut(one: Recorded, cuts: list[int]) -> None:
    ends = [0, *sorted(min(cut, len(one.body)) for cut in cuts), len(one.body)]
    assert passed([one.body[start:end] for start, end in itertools.pairwise(ends)]) == not_asked(one)


@pytest.mark.parametrize(
    ("event", "rest"),
    [
        ('data: {"usage": null, "choices": [1]}\n\n', 'data: {"choices": [1]}\n\n'),
        ('data: {"usage":null}\n\n', "data: {}\n\n"),
        (
            'data: {"choices": [1], "usage": {"a": {"b": 1}}, "id": 1}\n\n',
            'data: {"choices": [1], "id": 1}\n\n',
        ),
        ('data: {"choices": [{"usage":null}],"usage":null}\n\n', 'data: {"choices": [{"usage":null}]}\n\n'),
        ('data: {"choices": [{"usage": {"x": 1}}]}\n\n', 'data: {"choices": [{"usage": {"x": 1}}]}\n\n'),
        ('data: {"choices":[],"usage":null,"x":1}\n\n', 'data: {"choices":[],"x":1}\n\n'),
        ('event: message\nid: 1\ndata:{"choices":[],"usage":{"a":1}}\n\n', ""),
        (': note\n\ndata: {"choices":[],"usage":{"a":1}}\n\ndata: [DONE]\n\n', ": note\n\ndata: [DONE]\n\n"),
        ('data: {"choices":[],"usage":{"a":1}}\r\rdata: x\r\r', "data: x\r\r"),
        ('data: ["usage"]\n\n', 'data: ["usage"]\n\n'),
        ('data: "usage"}\n\n', 'data: "usage"}\n\n'),
        ('event: "usage"\ndata: {"choices":[1]}\n\n', 'event: "usage"\ndata: {"choices":[1]}\n\n'),
        ('data: {"us\\u0061ge": {"x": 1}, "y": "usage"}\n\n', 'data: {"y": "usage"}\n\n'),
        ('data: {"choices":[],"usage":{"a":1}}', ""),
        ('data: {"usage":1,"choices":[1],"usage":null}\n\n', 'data: {"choices":[1]}\n\n'),
    ],
)
def test_only_the_usage_of_a_chunk_is_removed(event: str, rest: str) -> None:
    assert passed([event.encode()]) == rest.encode()


def test_an_event_that_is_complete_does_not_wait() -> None:
    remover = UsageRemover()
    assert remover.feed(b'data: {"choices":[1],"usage":null}\n\ndata: {"cho') == b'data: {"choices":[1]}\n\n'
    assert remover.feed(b'ices":[2]}\n\n') == b'data: {"choices":[2]}\n\n'


def test_an_event_that_is_too_long_passes_as_it_is() -> None:
    remover = UsageRemover()
    event = b'data: {"choices":["' + b"x" * MAX_EVENT
    assert remover.feed(event) == event
    assert remover.feed(b'"]}\n\n') == b'"]}\n\n'


def test_a_recorded_stream_that_nobody_was_asked_for_is_unchanged() -> None:
    body = (Path(__file__).parents[1] / "fixtures" / "usage" / "vllm_silent.sse").read_bytes()
    assert passed([body]) == body


def test_an_event_in_many_pieces_takes_time_in_proportion_to_its_length() -> None:
    remover = UsageRemover()
    started = time.process_time()
    for _ in range(MAX_EVENT // 256):
        assert remover.feed(b"x" * 256) == b""
    assert time.process_time() - started < 1


def test_a_chunk_that_names_its_usage_very_often_is_cleaned_in_little_time() -> None:
    event = b'data: {"choices":[1]' + b',"usage":1' * 50_000 + b"}\n\n"
    started = time.process_time()
    assert passed([event]) == b'data: {"choices":[1]}\n\n'
    assert time.process_time() - started < 1
