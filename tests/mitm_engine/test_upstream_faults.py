"""A broken upstream is a 502 in time, or a response that is visibly cut."""

import asyncio
import json

import pytest
from mitmproxy import http

from mitm_engine.options import Terms
from tests.mitm_engine.world import On, Streaming, world
from tests.support.client import request
from tests.support.upstream import CHUNKED, Peer, Script, chunk, responding, sized


def then_end(data: bytes, *, reset: bool = False) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(data)
        await asyncio.sleep(0.02)
        if reset:
            peer.reset()

    return script


HALF = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "half a sized body": sized(b"whole")[:-2],
    "half a chunked body": CHUNKED + chunk(b"half"),
    "no last chunk": CHUNKED + chunk(b"all") + b"0\r\n",
    "an interim response only": b"HTTP/1.1 103 Early Hints\r\n\r\n",
}
BROKEN = {
    "garbage": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "a large head": b"HTTP/1.1 200 OK\r\n" + b"X: aaaa\r\n" * 600_000 + b"\r\n",
    "bad chunks": CHUNKED + b"zz\r\n",
}


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("what", sorted(HALF))
async def test_a_buffered_response_that_is_cut_is_a_502(what: str, reset: bool) -> None:
    async with world(script=then_end(HALF[what], reset=reset)) as w:
        client = await w.client()
        for _ in range(2):
            assert (await client.ask("/", "POST", b"x")).status == 502
        assert w.recorder.count("error") == w.recorder.count("post_response") == 2


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("what", ["half a sized body", "half a chunked body", "no last chunk"])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
async def test_a_streamed_response_that_is_cut_never_looks_complete(
    what: str, reset: bool, version: str
) -> None:
    async with world(Streaming(), script=then_end(HALF[what], reset=reset)) as w:
        client = await w.client(request().replace(b"HTTP/1.1", version.encode()))
        with pytest.raises((EOFError, ConnectionResetError)):
            await client.response()
        await w.quiet()
        assert w.recorder.count("error") == 1
        assert w.recorder.count("response") == 0


@pytest.mark.parametrize("what", sorted(BROKEN))
async def test_a_malformed_response_is_a_502_and_its_connection_ends(what: str, streams: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(BROKEN[what])
        await peer.until_gone()

    async with world(streams=streams, script=script) as w:
        client = await w.client()
        assert (await client.ask()).status == 502
        await asyncio.wait_for(w.upstream.peers[0].gone.wait(), 1)


async def test_an_unrouted_flow_is_a_502() -> None:
    def forget(flow: http.HTTPFlow) -> None:
        flow.request.data.host = "gateway.invalid"

    async with world(On(request=forget)) as w:
        assert (await w.ask()).status == 502
        assert not w.upstream.peers


async def test_a_response_before_the_whole_request_was_read_reaches_the_client() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.write(sized(b"too large", "413 Content Too Large"))
        await asyncio.sleep(0.05)
        await peer.until_gone()

    async with world(script=script) as w:
        client = await w.client()
        sending = asyncio.ensure_future(client.send(request("/", "POST", bytes(15_000_000))))
        response = await client.response()
        assert (response.status, response.body) == (413, b"too large")
        await sending
        # The rest of that request must not go before the next one.
        async with asyncio.timeout(2):
            await w.upstream.peers[0].gone.wait()
        assert w.engine.metrics.upstream_connections == 0


@pytest.mark.parametrize("raw", [sized(bytes(3000)), CHUNKED + chunk(bytes(3000)) + b"0\r\n\r\n"])
async def test_a_buffered_response_over_the_limit_is_a_502_that_names_the_limit(raw: bytes) -> None:
    async with world(script=responding(raw), terms=Terms(response_body=2999)) as w:
        client = await w.client()
        response = await client.ask()
        assert (response.status, response.get("x-should-retry")) == (502, "false")
        error = json.loads(response.body)["error"]
        assert error["code"] == "response_too_large"
        assert "larger than 2999 bytes" in error["message"]
        assert "limits.response_body" in error["message"]
        assert (await client.ask("/", "HEAD")).status == 200
    async with world(Streaming(), script=responding(raw), terms=Terms(response_body=2999)) as w:
        assert len((await w.ask()).body) == 3000
