"""Comments in event streams whose upstream is silent."""

import asyncio
from typing import Any

import pytest
from mitmproxy import http

from mitm_addons.flows import state_of
from mitm_addons.stream_keepalive import StreamKeepAlive
from tests.mitm_addons.begun import begun_flow

COMMENT = b": keepalive\n\n"


class Stream:
    """A response of this head, which is watched. `wire` is what the client gets."""

    def __init__(self, seconds: float = 0.01, **headers: str) -> None:
        self.flow = begun_flow()
        self.wire = b""
        self.flow.live = True
        self.flow.response.headers = http.Headers(**{"content_type": "text/event-stream", **headers})
        self.state: Any = state_of(self.flow)
        self.flow.response.stream = self.state.sent.passed_on
        StreamKeepAlive(lambda _, data: self.add(data))(self.flow, self.state, seconds)

    def add(self, data: bytes) -> None:
        self.wire += data

    def send(self, piece: bytes) -> None:
        self.add(self.flow.response.stream(piece))

    @property
    def is_watched(self) -> bool:
        return self.flow.response.stream != self.state.sent.passed_on


async def until_comments(stream: Stream, count: int) -> None:
    async with asyncio.timeout(5):
        while stream.wire.count(COMMENT) < count:
            await asyncio.sleep(0.001)


async def test_silent_stream_gets_a_comment_after_each_time_of_silence() -> None:
    stream = Stream()
    stream.send(b"data: 1\n\n")
    await until_comments(stream, 2)
    assert stream.wire.startswith(b"data: 1\n\n" + COMMENT)
    stream.send(b"data: 2\n\n")
    await until_comments(stream, 3)
    assert b"".join(stream.wire.split(COMMENT)) == b"data: 1\n\ndata: 2\n\n"


async def test_stream_gets_a_comment_before_its_first_event() -> None:
    stream = Stream()
    await until_comments(stream, 1)
    assert stream.wire.startswith(COMMENT)


@pytest.mark.parametrize("half", [b"data: 1", b"data: 1\n", b"data: 1\r\n", b"data: 1\r\n\r", b"\n\ndata: {"])
async def test_comment_never_stands_inside_an_event(half: bytes) -> None:
    stream, other = Stream(), Stream()
    stream.send(half)
    await until_comments(other, 5)
    assert stream.wire == half
    stream.send(b"\n\n")
    await until_comments(stream, 1)
    assert stream.wire.startswith(half + b"\n\n" + COMMENT)


async def test_comment_is_a_chunk_where_the_body_has_chunks() -> None:
    stream = Stream(transfer_encoding="chunked")
    await until_comments(stream, 1)
    assert stream.wire.startswith(b"d\r\n" + COMMENT + b"\r\n")


async def test_stream_that_ended_or_broke_off_or_had_its_last_event_gets_no_comment() -> None:
    ended, broken, other = Stream(), Stream(), Stream()
    ended.send(b"")
    broken.flow.live = False
    over = Stream()
    over.send(b"data: [DONE]\n\n")
    await until_comments(other, 3)
    assert (ended.wire, broken.wire, over.wire) == (b"", b"", b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "application/json"},
        {"content_type": "application/x-ndjson"},
        {"content_encoding": "gzip"},
    ],
)
async def test_other_responses_are_not_watched(headers: dict[str, str]) -> None:
    assert not Stream(**headers).is_watched
    assert Stream(content_encoding="identity").is_watched
