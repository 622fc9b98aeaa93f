"""Every response is framed by the engine, for each framing of an upstream and each version of a client."""

import pytest

from tests.mitm_engine.world import world
from tests.support.upstream import CHUNKED, Peer, Received, chunk, replying, responding, sized


@pytest.mark.parametrize(
    "upstream",
    [
        sized(b"body"),
        CHUNKED + chunk(b"bo") + chunk(b"dy") + b"0\r\nX-Trailer: 1\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + sized(b"body"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + sized(b"body"),
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 4\r\n\r\nbody",
    ],
)
async def test_every_framing_of_an_upstream_is_read_and_framed_anew(upstream: bytes, streams: bool) -> None:
    async with world(script=responding(upstream), streams=streams) as w:
        client = await w.client()
        for _ in range(3):
            response = await client.ask()
            assert (response.status, response.body) == (200, b"body")
        assert len(w.upstream.peers) == 1


async def test_a_body_that_ends_with_the_connection_arrives_whole(streams: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(3):
            await peer.write(b"x" * 1000)

    async with world(streams=streams, script=script) as w:
        client = await w.client()
        for _ in range(2):
            assert (await client.ask()).body == b"x" * 3000
        assert len(w.upstream.peers) == 2


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_a_response_without_a_body_has_no_framing(status: str, streams: bool) -> None:
    upstream = f"HTTP/1.1 {status}\r\nX: 1\r\n\r\n".encode()
    async with world(streams=streams, script=responding(upstream)) as w:
        client = await w.client()
        for _ in range(2):
            response = await client.ask()
            assert (response.framing, response.body) == ("none", b"")
        assert len(w.upstream.peers) == 1


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_client_of_http_1_0_gets_no_chunks(streams: bool, keeps: bool) -> None:
    upstream = CHUNKED + chunk(b"bo") + chunk(b"dy") + b"0\r\n\r\n"
    async with world(streams=streams, script=responding(upstream)) as w:
        client = await w.client()
        more = "Connection: keep-alive\r\n" if keeps else ""
        await client.send(f"GET / HTTP/1.0\r\nHost: a\r\n{more}\r\n".encode())
        response = await client.response()
        assert response.body == b"body"
        assert response.framing == ("closed" if streams else "sized")
        assert response.get("connection") == ("keep-alive" if keeps and not streams else "close")


async def test_hop_by_hop_fields_are_not_forwarded() -> None:
    asked: list[Received] = []

    def reply(one: Received) -> bytes:
        asked.append(one)
        return sized(
            b"ok", "200 OK", "Connection: X-Up, close", "X-Up: 1", "Upgrade: h2c", "Trailer: z", "Y: 2"
        )

    async with world(script=replying(reply)) as w:
        client = await w.client()
        more = ("Connection: X-Mine, TE", "X-Mine: 1", "TE: trailers", "Trailer: q", "Z: 3")
        hidden = ("Proxy-Connection: keep-alive", "Proxy-Authorization: s", "Expect: 100-continue")
        response = await client.ask("/", "POST", b"ab", *more, *hidden)
        assert [name for name, _ in asked[0].headers] == ["Host", "Z", "Content-Length"]
        assert [name for name, _ in response.fields] == [b"Y", b"Content-Length"]
        # The upstream ends its own connection, not the client's.
        assert (await client.ask()).status == 200
