"""Upstreams that respond before they have the whole body of a request."""

import asyncio
import contextlib
import threading
from pathlib import Path

import pytest
from mitmproxy import http

from mitm_engine.last_bytes import LastRecords
from mitm_engine.options import Terms
from tests.mitm_engine.test_uploads import CHUNKS, MB, PIECE, Uploading, head, length
from tests.mitm_engine.world import On, Streaming, gated, world
from tests.support.certificates import Authority
from tests.support.upstream import CHUNKED, Peer, Upstream, chunk, reset, send, sized, wait
from tests.support.wait import until, until_true


async def rejecting(peer: Peer) -> None:
    """Read a bit, reject, and close with the rest unread, which resets the connection."""
    await peer.head()
    await peer.fill()
    await peer.write(sized(b"no", "401 Unauthorized", "Connection: close"))


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("framing", ["sized", "chunked"])
async def test_early_rejection_of_the_upstream_reaches_a_client_that_goes_on_uploading(
    framing: str, is_secure: bool, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    terms = Terms(linger=5.0, trust=str(authority.file))
    tls = authority.server_context("localhost") if is_secure else None
    addons = Uploading(), Streaming()
    async with world(*addons, script=rejecting, terms=terms, tls=tls, host="localhost") as w:
        for _ in range(20):
            client = await w.client(head(length(5 * MB) if framing == "sized" else CHUNKS))
            piece = PIECE if framing == "sized" else chunk(PIECE)
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                for _ in range(50):
                    await client.send(piece)
            response = await client.response()
            assert (response.status, response.body, response.closes) == (401, b"no", True)
            client.close()


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
async def test_rejection_is_read_although_a_write_meets_the_reset_behind_it(
    is_secure: bool, tmp_path: Path
) -> None:
    authority, may_reject = Authority(tmp_path), threading.Event()
    tls = authority.server_context("localhost") if is_secure else None
    upstream = Upstream(tls=tls)

    async def beginning(peer: Peer) -> None:
        await peer.exactly(4)

    rejection = sized(b"no", "401 Unauthorized")
    upstream.plays([Peer.head, beginning, wait(may_reject), send(rejection), reset])

    def lead_there(flow: http.HTTPFlow) -> None:
        flow.request.data.port, flow.request.data.scheme = upstream.port, b"https" if is_secure else b"http"

    def block(piece: bytes) -> bytes:
        """Run, and keep the loop from reading, until the upstream has sent its response and has reset."""
        if piece == b"last":
            may_reject.set()
            plug = upstream.peers[0].writer.get_extra_info("socket")
            assert any(plug.fileno() < 0 for _ in until(10))
        return piece

    terms = Terms(trust=str(authority.file))
    addons = Uploading(block), On(request=lead_there)
    with upstream:
        async with world(*addons, host="localhost", terms=terms) as w:
            client = await w.client(head(length(8)) + b"more")
            await until_true(lambda: b"more" in upstream.raw)
            await client.send(b"last")
            response = await client.response()
            assert (response.status, response.body) == (401, b"no")


async def test_tls_records_are_read_by_the_loop_alone_except_during_an_upload(tmp_path: Path) -> None:
    authority, may_end = Authority(tmp_path), asyncio.Event()
    terms, tls = Terms(trust=str(authority.file)), authority.server_context("localhost")
    script = gated(may_end, CHUNKED + chunk(b"begun"))
    async with world(Uploading(), script=script, terms=terms, tls=tls, host="localhost", streams=True) as w:
        client = await w.client(head(length(8)) + b"more")
        await until_true(lambda: b"more" in w.upstream.raw)
        (connection,) = w.engine._worker.pool._counted
        assert connection.below_tls is not None
        assert isinstance(connection.below_tls.get_protocol(), LastRecords)
        await client.send(b"last")
        await client.until(chunk(b"begun"))
        assert not isinstance(connection.below_tls.get_protocol(), LastRecords)
        may_end.set()
        await client.until(b"0\r\n\r\n")


async def test_response_that_begins_early_passes_while_the_body_goes_on() -> None:
    async def conversing(peer: Peer) -> None:
        await peer.head()
        await peer.write(CHUNKED)
        for word in (b"one", b"two"):
            await peer.write(chunk(await peer.exactly(len(word))))
        await peer.write(b"0\r\n\r\n")
        await peer.until_gone()

    async with world(Uploading(), Streaming(), script=conversing) as w:
        client = await w.client(head(length(6)))
        await client.until(b"\r\n\r\n")
        for word in (b"one", b"two"):
            await client.send(word)
            await client.until(chunk(word))
        await client.until(b"0\r\n\r\n")
        assert w.recorder.count("response") == 1
