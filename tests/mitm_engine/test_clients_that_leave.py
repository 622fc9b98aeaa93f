"""A client that leaves ends its exchange, in each phase."""

import asyncio
import socket
import struct
from collections.abc import Callable

import pytest
from mitmproxy import http

from mitm_engine.exchange.attempt import AttemptReport, Retries
from mitm_engine.options import Options, Policy, Terms
from tests.mitm_engine.world import FLOW_HOOKS, On, Streaming, Waiting, World, dripping, fail, gated, world
from tests.support.client import AsyncRawClient, request
from tests.support.upstream import CHUNKED, chunk, hang, responding, sized
from tests.support.wait import until_true

Leave = Callable[[AsyncRawClient], None]
LEAVE: list[Leave] = [AsyncRawClient.close, AsyncRawClient.reset]


@pytest.fixture(params=LEAVE, ids=["fin", "rst"])
def leave(request: pytest.FixtureRequest) -> Leave:
    made: Leave = request.param
    return made


async def ended_by_the_client(w: World, *, upstream_closes: bool = True) -> None:
    """The exchange has ended once, and its addons have seen the reason."""
    async with asyncio.timeout(1):
        await w.recorder.saw("post_response")
        await w.recorder.saw("client_disconnected")
        for peer in w.upstream.peers if upstream_closes else ():
            await peer.gone.wait()
    await w.quiet()
    hooks = w.recorder
    assert hooks.count("error") == hooks.count("post_response") == hooks.count("client_disconnected") == 1
    assert hooks.count("response") == 0
    assert hooks.failure().startswith("client_closed")
    assert w.engine.metrics.faults == {"client_closed": 1}


@pytest.mark.parametrize("hook", [*FLOW_HOOKS, "server_connect"])
async def test_a_client_that_leaves_during_a_hook_cancels_it(hook: str, leave: Leave) -> None:
    addon = Waiting(hook)
    async with world(addon) as w:
        client = await w.client(request())
        await addon.reached.wait()
        leave(client)
        await asyncio.wait_for(addon.cancelled.wait(), 1)
        # At `response` the upstream has already served.
        await ended_by_the_client(w, upstream_closes=hook != "response")
        if hook == "server_connect":
            assert w.recorder.count("server_connect_error") == 1
            assert w.engine.metrics.upstream_connections == 0


UPLOAD = request("/", "POST", b"", "Content-Length: 1000") + b"begin"


@pytest.mark.parametrize(
    ("sent", "hook", "upstreams"), [(UPLOAD, "requestheaders", 0), (request(), "server_connected", 1)]
)
async def test_a_client_that_leaves_before_the_response_ends_the_exchange(
    sent: bytes, hook: str, upstreams: int, leave: Leave
) -> None:
    async with world(script=hang) as w:
        client = await w.client(sent)
        await w.recorder.saw(hook)
        leave(client)
        await ended_by_the_client(w)
        assert w.recorder.count("server_disconnected") == upstreams >= len(w.upstream.peers)


async def test_a_client_that_leaves_during_the_response_closes_its_upstream(
    streams: bool, leave: Leave
) -> None:
    async with world(streams=streams, script=dripping) as w:
        client = await w.client(request())
        if streams:
            await client.until(chunk(b"."))
        else:
            await w.recorder.saw("responseheaders")
        leave(client)
        await ended_by_the_client(w)


@pytest.mark.parametrize("is_whole", [False, True], ids=["stream", "whole"])
async def test_a_response_is_read_on_to_its_end_after_its_client_left(is_whole: bool, leave: Leave) -> None:
    go, pieces = asyncio.Event(), list[bytes]()

    def keep(piece: bytes) -> bytes:
        pieces.append(piece)
        return piece

    script = gated(go, CHUNKED + chunk(b"first"), chunk(b"last") + b"0\r\n\r\n")
    addons = [] if is_whole else [Streaming(keep)]
    async with world(*addons, script=script, terms=Terms(reads_on=5.0)) as w:
        client = await w.client(request())
        await w.recorder.saw("responseheaders")
        leave(client)
        await until_true(lambda: all(one.gone for one in w.engine._worker.connections.values()))
        go.set()
        await w.recorder.saw("post_response")
        await w.quiet()
        assert is_whole or pieces == [b"first", b"last", b""]
        hooks = w.recorder
        assert (hooks.count("response"), hooks.count("error"), hooks.count("post_response")) == (1, 0, 1)
        assert hooks.failure().startswith("client_closed")
        assert hooks.count("client_disconnected") == 1


async def test_a_response_is_read_on_for_a_time_only(leave: Leave) -> None:
    async with world(streams=True, script=dripping, terms=Terms(reads_on=0.3)) as w:
        client = await w.client(request())
        await client.until(chunk(b"."))
        leave(client)
        async with asyncio.timeout(2):
            await w.recorder.saw("post_response")
            await w.upstream.peers[0].gone.wait()
        await w.quiet()
        assert w.recorder.failure().startswith("client_closed")


async def test_a_request_is_not_tried_again_after_its_client_left(leave: Leave) -> None:
    go, asked = asyncio.Event(), asyncio.Event()

    async def again(flow: http.HTTPFlow, attempt: AttemptReport) -> bool:
        asked.set()
        await go.wait()
        return True

    terms = Terms(reads_on=5.0, retries=Retries(decision_seconds=5.0))
    policy = Policy(terms=lambda _: terms, retry=again)
    async with world(script=responding(sized(b"", "500 Internal Server Error")), policy=policy) as w:
        client = await w.client(request())
        await asked.wait()
        leave(client)
        await until_true(lambda: all(one.gone for one in w.engine._worker.connections.values()))
        go.set()
        await w.recorder.saw("post_response")
        await w.quiet()
        assert len(w.upstream.received) == 1
        assert w.recorder.failure().startswith("client_closed")


async def test_a_client_that_leaves_during_the_error_hook_does_not_stop_it(leave: Leave) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def error(flow: http.HTTPFlow) -> None:
        begun.set()
        await until_true(lambda: w.engine.connections == 0)
        ended.set()

    async with world(On(request=fail, error=error)) as w:
        client = await w.client(request())
        await begun.wait()
        leave(client)
        await w.recorder.saw("client_disconnected")
        assert ended.is_set()
        assert w.recorder.count("post_response") == 1


async def test_a_client_that_leaves_during_client_connected_meets_no_other_hook(leave: Leave) -> None:
    addon = Waiting("client_connected")
    async with world(addon) as w:
        client = await w.client(request())
        await addon.reached.wait()
        leave(client)
        await asyncio.wait_for(addon.cancelled.wait(), 1)
        await w.recorder.saw("client_disconnected")
        assert w.recorder.count("requestheaders") == 0


async def test_an_idle_client_that_leaves_is_not_an_error(leave: Leave) -> None:
    async with world() as w:
        client = await w.client()
        await client.ask()
        leave(client)
        await w.recorder.saw("client_disconnected")
        await w.quiet()
        assert w.recorder.count("error") == 0


async def test_a_client_without_a_request_meets_no_addon() -> None:
    async with world() as w:
        for leave in LEAVE:
            client = await w.client()
            leave(client)
        await w.quiet()
        assert w.recorder.hooks == []
        assert (await w.ask()).status == 200


async def test_a_client_that_leaves_ends_its_pipelined_requests_too() -> None:
    addon = Waiting("request")
    async with world(addon, options=Options(drain_timeout=0.2)) as w:
        client = await w.client(request() * 5)
        await addon.reached.wait()
        client.reset()
        await w.recorder.saw("client_disconnected")
        assert w.recorder.count("requestheaders") == 1


async def test_client_that_left_before_it_was_accepted_reaches_no_addon() -> None:
    async with world() as w:
        with socket.create_connection(("127.0.0.1", w.port)) as gone:
            gone.sendall(request())
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert (await (await w.client(request())).response()).status == 200
        assert w.recorder.count("requestheaders") == w.engine.connections == 1
