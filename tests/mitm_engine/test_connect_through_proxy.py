"""Connections through a proxy: CONNECT to the address that the addons pinned, then as without one."""

import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from mitmproxy.proxy.server_hooks import ServerConnectionHookData

from mitm_engine.options import Options, Terms, Timeouts
from tests.mitm_engine.world import On, World, world
from tests.support.certificates import Authority
from tests.support.connect_proxy import OPENED, tunneling
from tests.support.peer import Peer
from tests.support.upstream import Script, Upstream, hang, sized

CREDENTIALS = "Basic dXNlcjpwYXNz"


@contextlib.asynccontextmanager
async def behind(
    script: Script, tls: ssl.SSLContext | None = None, trust: Path | None = None
) -> AsyncIterator[tuple[World, Upstream]]:
    """An engine whose connections lead through a proxy that plays `script`."""
    proxy = Upstream(script)
    await proxy.start()

    def pin(data: ServerConnectionHookData) -> None:
        assert data.server.address is not None
        data.server.address = ("127.0.0.1", data.server.address[1])
        data.server.via = ("http", ("127.0.0.1", proxy.port))

    options = Options(drain_timeout=0.2, proxy_authorization=CREDENTIALS)
    terms = Terms(Timeouts(connect=0.5), trust=str(trust) if trust else None)
    try:
        async with world(
            On(server_connect=pin), host="localhost", options=options, terms=terms, tls=tls
        ) as w:
            yield w, proxy
    finally:
        await proxy.stop()


@pytest.mark.parametrize("is_tls", [False, True], ids=["http", "https"])
async def test_tunnel_leads_to_the_pinned_address_and_is_reused(is_tls: bool, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = authority.server_context("localhost") if is_tls else None
    async with behind(tunneling(), tls, authority.file) as (w, proxy):
        client = await w.client()
        for _ in range(2):
            assert (await client.ask("/", "POST", b"x" * 100_000)).body == b"ok"
        [asked] = proxy.received
        assert (asked.method, asked.target) == ("CONNECT", f"127.0.0.1:{w.upstream.port}")
        assert asked.get("proxy-authorization") == CREDENTIALS
        assert [len(request.body) for request in w.upstream.received] == [100_000] * 2
        assert all(request.get("proxy-authorization") is None for request in w.upstream.received)
        assert w.upstream.server_names == (["localhost"] if is_tls else [])


async def test_certificate_of_another_name_is_rejected_in_a_tunnel(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = authority.server_context("elsewhere.example")
    async with behind(tunneling(), tls, authority.file) as (w, _):
        response = await w.ask()
        assert response.status == 502
        assert b"upstream_tls" in response.body
        assert not w.upstream.received


def replying_to_connect(reply: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.write(reply)
        await peer.until_gone()

    return script


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n", "replied with status 407"),
        (OPENED + sized(b"forged"), "sent bytes after its response"),
        (b"220 mail\r\n\r\n", "sent no HTTP response"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000, "sent bytes after its response"),
    ],
    ids=["407", "bytes behind the head", "no HTTP", "a long head"],
)
async def test_proxy_that_opens_no_tunnel_gives_502_and_the_reason_is_noted(reply: bytes, why: str) -> None:
    async with behind(replying_to_connect(reply)) as (w, _):
        response = await w.ask()
        assert response.status == 502
        assert b"forged" not in response.body
        assert why in w.recorder.failure()
        assert w.recorder.last().metadata["cause"] == "egress_proxy"
        assert not w.upstream.peers


async def closing(peer: Peer) -> None:
    """Close at once."""


@pytest.mark.parametrize(("script", "status"), [(closing, 502), (hang, 504)], ids=["closes", "is silent"])
async def test_proxy_that_closes_or_is_silent_gives_an_error_in_time(script: Script, status: int) -> None:
    async with behind(script) as (w, _):
        assert (await w.ask()).status == status
        assert not w.upstream.peers
