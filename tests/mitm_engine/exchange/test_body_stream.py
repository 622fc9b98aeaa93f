"""Events that arrive as whole chunks, one by one, reach the client as the addon's function leaves them."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from mitm_engine.http1.body_chunks import size_line
from tests.mitm_engine.world import Streaming, world
from tests.support.client import AsyncRawClient, request, take_response
from tests.support.upstream import CHUNKED, Peer, chunk

EVENTS = [b"data: %d\n\n" % number + b"." * number for number in range(30)]


class OneByOne:
    """An upstream that sends an event when the client has the one before."""

    def __init__(self) -> None:
        self.next = asyncio.Semaphore(0)

    async def __call__(self, peer: Peer) -> None:
        await peer.request()
        await peer.write(CHUNKED)
        for event in EVENTS:
            await peer.write(chunk(event))
            await self.next.acquire()
        await peer.write(b"0\r\n\r\n")

    async def read(self, client: AsyncRawClient, ends: list[bytes]) -> bytes:
        """The bytes that the client gets up to the last of these ends, one per event."""
        data = b""
        for end in ends:
            data += await client.until(end)
            self.next.release()
        return data


async def slowly(piece: bytes) -> bytes:
    await asyncio.sleep(0)
    return piece.upper()


FUNCTIONS: dict[str, tuple[Any, Callable[[bytes], bytes]]] = {
    "none": (True, bytes),
    "the piece": (lambda piece: piece, bytes),
    "another": (lambda piece: piece.upper(), bytes.upper),
    "pieces": (lambda piece: [piece[:3], piece[3:]], bytes),
    "later": (slowly, bytes.upper),
}


@pytest.mark.parametrize("name", FUNCTIONS)
async def test_events_reach_the_client_one_by_one_as_the_function_leaves_them(name: str) -> None:
    function, meant = FUNCTIONS[name]
    script = OneByOne()
    async with world(Streaming(function), script=script) as w:
        client = await w.client(request())
        data = await script.read(client, [meant(event)[-3:] + b"\r\n" for event in EVENTS])
        taken = take_response(data + await client.until(b"0\r\n\r\n"))
        assert taken is not None
        assert taken[0].body == b"".join(map(meant, EVENTS))


async def test_events_reach_a_client_of_http_1_0_without_chunks() -> None:
    script = OneByOne()
    async with world(Streaming(lambda piece: piece), script=script) as w:
        client = await w.client(request().replace(b"HTTP/1.1", b"HTTP/1.0"))
        data = await script.read(client, [event[-3:] for event in EVENTS])
        assert (data + await client.ended()).endswith(b"\r\n\r\n" + b"".join(EVENTS))


async def test_a_function_that_raises_at_a_whole_chunk_cuts_the_response() -> None:
    script, seen = OneByOne(), list[bytes]()

    def function(piece: bytes) -> bytes:
        seen.append(piece)
        if len(seen) == 5:
            raise RuntimeError
        return piece

    async with world(Streaming(function), script=script) as w:
        client = await w.client(request())
        await script.read(client, [event[-3:] + b"\r\n" for event in EVENTS[:4]])
        with pytest.raises(EOFError):
            await client.response()
        assert seen == EVENTS[:5]
        assert w.recorder.count("error") == 1


@pytest.mark.parametrize(
    "size", [1, 2, 15, 16, 17, 255, 256, 4095, 4096, 65_535, 65_536, 1_048_575, 1_048_576]
)
def test_size_line_of_a_whole_chunk_is_its_beginning(size: int) -> None:
    whole = chunk(bytes(size))
    line = size_line(len(whole))
    assert line == b"%x\r\n" % size


@pytest.mark.parametrize("length", [0, 4, 5, 21, 262, 4103])
def test_size_line_of_a_length_that_no_chunk_has_is_none(length: int) -> None:
    assert size_line(length) is None
