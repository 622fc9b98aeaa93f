"""A kept connection serves the next exchange, and never gives it bytes of another."""

import asyncio
from collections.abc import Callable

import pytest
from mitmproxy import http

from mitm_engine import pool
from mitm_engine.options import Options, Terms
from tests.mitm_engine.world import On, Streaming, World, gated, world
from tests.support.client import AsyncRawClient, request
from tests.support.upstream import CHUNKED, Peer, Received, Script, replying, responding, sized
from tests.support.wait import until_true


def echo(asked: Received) -> bytes:
    return sized(asked.target.encode())


def once_then(after: Callable[[Peer], object], response: Callable[[Received], bytes] = echo) -> Script:
    """Answer one request well; then do to the connection what `after` says. Later connections behave."""
    is_first = True

    async def script(peer: Peer) -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            await peer.write(response(await peer.request()))
            result = after(peer)
            if asyncio.iscoroutine(result):
                await result
            await peer.until_gone()
        await replying(echo)(peer)

    return script


def holding_back(go: asyncio.Event, served: list[tuple[Peer, str]] | None = None) -> Script:
    """Let the response to ``/wait`` wait for `go`, and note who served which request."""

    async def script(peer: Peer) -> None:
        while True:
            asked = await peer.request()
            if asked.target == "/wait":
                await go.wait()
            await peer.write(echo(asked))
            if served is not None:
                served.append((peer, asked.target))

    return script


async def asks_own(client: AsyncRawClient, number: int, method: str = "POST") -> None:
    response = await client.ask(f"/{number}", method, b"")
    assert (response.status, response.body) == (200, f"/{number}".encode())


async def test_clients_share_connections_and_the_last_used_serves_first() -> None:
    held, served = asyncio.Event(), list[tuple[Peer, str]]()
    async with world(script=holding_back(held, served)) as w:
        one, other = await w.client(), await w.client()
        await one.send(request("/wait"))
        await until_true(lambda: len(w.upstream.peers) == 1)
        await asks_own(other, 1)
        held.set()
        assert (await one.response()).body == b"/wait"
        for number in range(2, 6):
            await asks_own(other, number)
        assert len(w.upstream.peers) == 2
        later = [peer for peer, target in served if target > "/1" and target != "/wait"]
        assert [w.upstream.peers.index(peer) for peer in later] == [0] * 4
        assert w.engine.metrics.pool_hits == 4
        assert w.engine.metrics.pool_misses == 2


async def test_connections_of_different_owners_are_never_shared() -> None:
    def owned(flow: http.HTTPFlow) -> Terms:
        return Terms(owner=flow.request.headers["X-Owner"])

    async with world(script=replying(echo)) as w:
        object.__setattr__(w.engine._worker.policy, "terms", owned)
        client = await w.client()
        for owner in ("one", "two", "one", "two"):
            assert (
                await client.ask(f"/{owner}", "GET", b"", f"X-Owner: {owner}")
            ).body == f"/{owner}".encode()
        seen = [[one.target for one in w.upstream.received if one.peer is peer] for peer in w.upstream.peers]
        assert seen == [["/one", "/one"], ["/two", "/two"]]


STRAYS = {
    "a second response": sized(b"stray"),
    "a byte": b"H",
    "an empty line": b"\r\n",
    "a timeout": sized(b"", "408 Request Timeout", "Connection: close"),
    "an interim response": b"HTTP/1.1 100 Continue\r\n\r\n",
}


@pytest.mark.parametrize("what", sorted(STRAYS))
async def test_bytes_of_an_idle_upstream_reach_no_client_and_end_its_connection(
    what: str, streams: bool
) -> None:
    idle = asyncio.Event()

    async def speak(peer: Peer) -> None:
        await idle.wait()
        await peer.write(STRAYS[what])

    async with world(streams=streams, script=once_then(speak)) as w:
        client = await w.client()
        await asks_own(client, 0)
        idle.set()
        await asyncio.wait_for(w.upstream.peers[0].gone.wait(), 1)
        for number in range(1, 4):
            await asks_own(client, number)


@pytest.mark.parametrize("what", sorted(set(STRAYS) - {"an empty line"}))
@pytest.mark.parametrize("at_once", [True, False], ids=["in the same packet", "in a packet of its own"])
async def test_bytes_behind_a_response_reach_no_client_and_end_their_connection(
    what: str, at_once: bool, streams: bool
) -> None:
    if at_once:
        script = once_then(lambda peer: None, lambda asked: echo(asked) + STRAYS[what])
    else:
        script = once_then(lambda peer: peer.write(STRAYS[what]))
    async with world(streams=streams, script=script) as w:
        client = await w.client()
        for number in range(4):
            await asks_own(client, number)
        assert len(w.upstream.peers) == 2
        await asyncio.wait_for(w.upstream.peers[0].gone.wait(), 1)


@pytest.mark.parametrize("end", [lambda peer: peer.writer.close(), lambda peer: peer.reset()])
async def test_a_connection_that_closes_while_idle_is_not_used_again(end: Callable[[Peer], None]) -> None:
    async with world(script=once_then(end)) as w:
        client = await w.client()
        for number in range(4):
            await asks_own(client, number)
        assert len(w.upstream.peers) == 2


async def test_a_connection_whose_response_an_addon_replaced_is_not_kept() -> None:
    def replace(flow: http.HTTPFlow) -> None:
        if flow.request.path == "/replace":
            flow.response = http.Response.make(200, b"mine")

    async with world(On(responseheaders=replace), script=replying(echo)) as w:
        client = await w.client()
        assert (await client.ask("/replace")).body == b"mine"
        await asks_own(client, 1)
        assert len(w.upstream.peers) == 2


async def test_an_unused_connection_is_closed_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "IDLE", 0.1)
    async with world() as w:
        client = await w.client()
        assert (await client.ask()).status == 200
        await asyncio.wait_for(w.upstream.peers[0].gone.wait(), 2)
        await until_true(lambda: w.engine.metrics.upstream_connections == 0)
        assert w.recorder.count("server_disconnected") == 1


@pytest.mark.parametrize(
    ("header", "connections"), [("Keep-Alive: timeout=1", 3), ("Keep-Alive: timeout=60", 1)]
)
async def test_a_connection_is_kept_as_long_as_its_upstream_announces(header: str, connections: int) -> None:
    loop = asyncio.get_running_loop()
    async with world(script=responding(sized(b"x", "200 OK", header))) as w:
        client = await w.client()
        for _ in range(3):
            assert (await client.ask()).status == 200
            asked_at = loop.time()
            await until_true(lambda asked_at=asked_at: loop.time() > asked_at)  # type: ignore[misc]
        assert len(w.upstream.peers) == connections


async def test_a_connection_over_the_maximum_age_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MAX_AGE", -1.0)
    async with world() as w:
        client = await w.client()
        for _ in range(3):
            assert (await client.ask()).status == 200
        assert len(w.upstream.peers) == 3


async def _concurrently(w: World, count: int) -> list[int]:
    clients = [await w.client() for _ in range(count)]
    return [response.status for response in await asyncio.gather(*[client.ask() for client in clients])]


async def test_unused_connections_of_one_origin_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MAX_IDLE", 2)

    async def script(peer: Peer) -> None:
        await peer.request()
        await until_true(lambda: len(w.upstream.peers) == 5)
        await peer.write(sized())
        await peer.until_gone()

    async with world(script=script) as w:
        assert await _concurrently(w, 5) == [200] * 5
        await until_true(lambda: w.engine.metrics.upstream_connections == 2)


async def test_pool_caps_the_connections_of_one_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MAX_TOTAL", 2)
    go = asyncio.Event()

    async with world(script=gated(go, b"", sized())) as w:
        asking = asyncio.ensure_future(_concurrently(w, 5))
        await until_true(lambda: w.engine.metrics.faults["overloaded"] == 3)
        go.set()
        assert sorted(await asking) == [200, 200, 503, 503, 503]


async def test_emptying_the_pool_closes_connections_in_use_after_their_exchange() -> None:
    go = asyncio.Event()
    async with world(script=holding_back(go)) as w:
        one, other = await w.client(), await w.client()
        await one.send(request("/wait"))
        await asks_own(other, 1)
        await until_true(lambda: len(w.upstream.peers) == 2)
        w.engine._worker.pool.empty()
        go.set()
        assert (await one.response()).body == b"/wait"
        await until_true(lambda: w.engine.metrics.upstream_connections == 0)
        await asks_own(other, 2)
        assert len(w.upstream.peers) == 3


@pytest.mark.parametrize(
    "raw", [sized(), sized(b"x", "200 OK", "Connection: close"), b"HTTP/1.1 200 OK\r\n\r\nx", b"junk"]
)
async def test_an_origin_without_connections_leaves_nothing_behind(raw: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.write(raw)

    async with world(script=script, options=Options(drain_timeout=0.2)) as w:
        for _ in range(3):
            await w.ask()
        kept = w.engine._worker.pool
        await until_true(lambda: w.engine.metrics.upstream_connections == 0)
        assert not kept._idle
        assert not kept._total
        assert not kept._counted


async def test_responses_never_mix_under_load() -> None:
    """Many clients, aborts among them, upstreams that misbehave: each response belongs to its request."""

    async def script(peer: Peer) -> None:
        count = 0
        while True:
            asked = await peer.request()
            count += 1
            number = int(asked.target[1:])
            body = asked.target.encode() * 200
            if number % 7 == 3:
                await peer.write(CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            elif number % 11 == 5:
                await peer.write(sized(body) + sized(b"stray"))
            elif number % 13 == 8:
                await peer.write(sized(body))
                return
            else:
                await peer.write(sized(body)[: len(body) // 2])
                await peer.write(sized(body)[len(body) // 2 :])

    async def work(w: World, begin: int) -> int:
        client, right = await w.client(), 0
        for number in range(begin, begin + 60):
            if number % 17 == 0:
                await client.send(request(f"/{number}"))
                client.reset()
                client = await w.client()
                continue
            response = await client.ask(f"/{number}")
            assert response.status == 200
            assert response.body == f"/{number}".encode() * 200
            right += 1
        return right

    async with world(Streaming(), script=script) as w:
        done = await asyncio.gather(*[work(w, 1000 * n) for n in range(1, 9)])
        assert sum(done) > 400
