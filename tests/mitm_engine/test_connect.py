"""A connection to an upstream leads where the addons said, is announced to them, and is verified."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from mitm_engine.options import Terms
from tests.mitm_engine.world import On, World, fail, gated, world
from tests.support.certificates import Authority
from tests.support.upstream import CHUNKED, Peer, chunk, replying, sized
from tests.support.wait import until_true


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def secured(
    authority: Authority, *, tls: ssl.SSLContext | None = None, terms: Terms | None = None, **more: Any
) -> AbstractAsyncContextManager[World]:
    """The world of an upstream with a certificate for its name, localhost, and of addons that trust it."""
    tls, terms = tls or authority.server_context("localhost"), terms or Terms(trust=str(authority.file))
    return world(tls=tls, host="localhost", terms=terms, **more)


async def test_an_addon_pins_the_address_and_the_connection_goes_there() -> None:
    def pin(data: ServerConnectionHookData) -> None:
        assert data.server.address == ("upstream.invalid", w.upstream.port)
        data.server.address = ("127.0.0.1", w.upstream.port)

    async with world(On(server_connect=pin), host="upstream.invalid") as w:
        assert (await w.ask()).status == 200
        server = w.recorder.last().server_conn
        assert server.peername == ("127.0.0.1", w.upstream.port)
        assert server.sockname is not None
        assert server.timestamp_tcp_setup is not None


def reject(data: ServerConnectionHookData) -> None:
    data.server.error = "not there"


def take_away(data: ServerConnectionHookData) -> None:
    data.server.address = None


@pytest.mark.parametrize(("hook", "status"), [(reject, 502), (take_away, 502), (fail, 503)])
async def test_an_address_that_an_addon_rejects_is_not_connected_to(
    hook: Callable[[Any], None], status: int
) -> None:
    async with world(On(server_connect=hook)) as w:
        response = await w.ask()
        assert response.status == status
        assert b"not there" not in response.body
        assert not w.upstream.peers
        assert w.recorder.count("server_connect_error") == 1
        assert w.recorder.count("server_connected") == w.recorder.count("server_disconnected") == 0
        assert w.engine.metrics.upstream_connections == 0


async def test_a_connection_whose_announcement_failed_gets_no_request() -> None:
    async with world(On(server_connected=fail)) as w:
        assert (await w.ask()).status == 503
        await w.recorder.saw("server_disconnected")
        assert w.recorder.count("server_connect_error") == 0
        assert w.engine.metrics.upstream_connections == 0


@pytest.mark.parametrize("loop", ["asyncio"])
async def test_a_connection_to_another_address_is_rejected(
    monkeypatch: pytest.MonkeyPatch, loop: str
) -> None:
    usual = asyncio.BaseEventLoop.create_connection

    async def misled(loop: asyncio.BaseEventLoop, factory: Any, host: str, port: int, **more: Any) -> Any:
        return await usual(loop, factory, "127.0.0.1", port, **more)

    def pin(data: ServerConnectionHookData) -> None:
        assert data.server.address is not None
        data.server.address = ("127.0.0.9", data.server.address[1])

    async with world(On(server_connect=pin)) as w:
        monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", misled)
        assert (await w.ask()).status == 502
        assert w.recorder.count("server_connect_error") == 1
        assert w.recorder.count("server_connected") == w.recorder.count("server_disconnected") == 0


async def test_connection_that_ends_during_its_announcement_is_a_502_or_tried_again() -> None:
    async def until_ended(data: ServerConnectionHookData) -> None:
        await until_true(lambda: w.engine.metrics.upstream_connections == 0)

    async def script(peer: Peer) -> None:
        peer.writer.close()

    async with world(On(server_connected=until_ended), script=script) as w:
        assert (await w.ask("/", "POST", b"x")).status == 502


async def test_a_trusted_upstream_is_verified_by_its_name(authority: Authority, streams: bool) -> None:
    async with secured(authority, streams=streams) as w:
        client = await w.client()
        for _ in range(3):
            assert (await client.ask()).body == b"ok"
        assert w.upstream.server_names == ["localhost"]
        server = w.recorder.last().server_conn
        assert server.tls
        assert server.sni == "localhost"
        assert server.timestamp_tls_setup is not None


async def test_large_bodies_pass_through_tls(authority: Authority) -> None:
    body = bytes(range(256)) * 20_000

    async with secured(authority, script=replying(lambda asked: sized(asked.body))) as w:
        client = await w.client()
        for _ in range(2):
            sending = asyncio.ensure_future(client.ask("/", "POST", body))
            assert (await sending).body == body
        assert len(w.upstream.peers) == 1


@pytest.mark.parametrize("case", ["foreign", "wrong name", "public", "expired trust"])
async def test_an_unverified_upstream_gets_no_byte(authority: Authority, tmp_path: Path, case: str) -> None:
    name = "elsewhere.example" if case == "wrong name" else "localhost"
    signer = Authority(tmp_path, "Foreign CA") if case == "foreign" else authority
    trust = None if case == "public" else str(Authority(tmp_path, "Other").file)
    terms = Terms(trust=str(authority.file) if case in ("foreign", "wrong name") else trust)
    async with secured(authority, tls=signer.server_context(name), terms=terms) as w:
        response = await w.ask()
        assert response.status == 502
        assert b"upstream_tls" in response.body
        assert b"certificate verify" not in response.body
        assert not w.upstream.peers
        assert w.recorder.count("server_connect_error") == 1


async def test_a_trust_file_that_is_missing_is_a_502_and_not_the_public_authorities(
    authority: Authority, tmp_path: Path
) -> None:
    async with secured(authority, terms=Terms(trust=str(tmp_path / "missing.pem"))) as w:
        assert (await w.ask()).status == 502


async def test_connections_of_different_trust_are_never_shared(authority: Authority, tmp_path: Path) -> None:
    same = tmp_path / "same.pem"
    same.write_bytes(authority.file.read_bytes())
    trusts = iter([authority.file, same, authority.file])
    made = iter([Terms(trust=str(trust)) for trust in trusts])
    async with secured(authority, terms=Terms()) as w:
        object.__setattr__(w.engine._worker.policy, "terms", lambda flow: next(made))
        client = await w.client()
        for _ in range(3):
            assert (await client.ask()).status == 200
        assert len(w.upstream.peers) == 2


@pytest.mark.parametrize("loop", ["uvloop"])
async def test_a_body_without_a_length_that_ends_without_a_tls_close_is_cut(
    authority: Authority, loop: str
) -> None:
    """An attacker in between could have cut it. Only uvloop distinguishes the two ends."""

    manners = [True, False]

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(b"HTTP/1.1 200 OK\r\n\r\npart")
        await asyncio.sleep(0.02)
        if manners.pop(0):
            peer.writer.close()
            await peer.writer.wait_closed()
            return
        sock = peer.writer.get_extra_info("socket")
        with socket.socket(fileno=sock.fileno()) as raw:
            raw.shutdown(socket.SHUT_WR)
            raw.detach()
        await peer.until_gone()

    async with secured(authority, script=script) as w:
        client = await w.client()
        for status in (200, 502):
            assert (await client.ask()).status == status


async def test_stream_passes_through_tls_chunk_by_chunk(authority: Authority) -> None:
    go = asyncio.Event()
    async with secured(authority, script=gated(go, CHUNKED + chunk(b"one")), streams=True) as w:
        client = await w.client(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.until(chunk(b"one"))
        go.set()
        await client.until(b"0\r\n\r\n")
        await until_true(lambda: w.recorder.count("post_response") == 1)


async def test_tls_1_2_is_the_oldest_version(authority: Authority) -> None:
    context = authority.server_context("localhost")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with secured(authority, tls=context) as w:
        assert (await w.ask()).status == 200


async def test_addon_can_set_another_address_after_a_failed_connection() -> None:
    hosts = ["127.0.0.9", "127.0.0.1"]  # the upstream listens on the second alone

    def pin(data: ServerConnectionHookData) -> None:
        data.server.address = (hosts.pop(0), w.upstream.port)

    async with world(On(server_connect=pin), host="upstream.invalid") as w:
        assert (await w.ask("/", "POST", b"x")).status == 200
        assert not hosts
        assert w.recorder.count("server_connect") == 2
        assert w.recorder.count("server_connect_error") == w.recorder.count("server_connected") == 1
        assert w.engine.metrics.upstream_connections == 1


async def test_a_failed_connection_without_another_address_is_a_502() -> None:
    def pin(data: ServerConnectionHookData) -> None:
        data.server.address = ("127.0.0.9", w.upstream.port)

    async with world(On(server_connect=pin), host="upstream.invalid") as w:
        assert (await w.ask()).status == 502
        assert w.recorder.count("server_connect") == w.recorder.count("server_connect_error") == 2
        assert w.recorder.count("server_connected") == w.recorder.count("server_disconnected") == 0
        assert w.engine.metrics.upstream_connections == 0
