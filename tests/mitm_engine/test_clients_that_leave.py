"""A client that goes away takes its exchange with it, in whatever phase it is."""

import asyncio
from collections.abc import Callable

import pytest
from mitmproxy import http

from mitm_engine.options import Options
from tests.mitm_engine.world import FLOW_HOOKS, On, World, world
from tests.support.client import AsyncRawClient, request
from tests.support.upstream import CHUNKED, Peer, chunk

LEAVE: dict[str, Callable[[AsyncRawClient], None]] = {
    "fin": AsyncRawClient.close,
    "rst": AsyncRawClient.reset,
}
leaving = pytest.mark.parametrize("leave", sorted(LEAVE))


class Hanging:
    """Hangs in one hook, and says when it does and when it was cancelled."""

    def __init__(self, hook: str) -> None:
        self.reached, self.cancelled = asyncio.Event(), asyncio.Event()
        setattr(self, hook, self._hang)

    async def _hang(self, subject: object) -> None:
        self.reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


async def ended_by_the_client(w: World, *, upstream_closes: bool = True) -> None:
    """The exchange is over, once, and its addons know why."""
    async with asyncio.timeout(1):
        await w.recorder.saw("post_response")
        await w.recorder.saw("client_disconnected")
        for peer in w.upstream.peers if upstream_closes else ():
            await peer.gone.wait()
    await w.quiet()
    hooks = w.recorder
    assert hooks.count("error") == hooks.count("post_response") == hooks.count("client_disconnected") == 1
    assert hooks.count("response") == 0
    flow = hooks.last()
    assert flow.error is not None
    assert flow.error.msg.startswith("client_closed")
    assert w.engine.metrics.faults == {"client_closed": 1}


@leaving
@pytest.mark.parametrize("hook", FLOW_HOOKS)
async def test_a_client_that_leaves_during_a_hook_cancels_it(hook: str, leave: str) -> None:
    addon = Hanging(hook)
    async with world(addon) as w:
        client = await w.client(request())
        await addon.reached.wait()
        LEAVE[leave](client)
        await asyncio.wait_for(addon.cancelled.wait(), 1)
        # At `response` the upstream has already served.
        await ended_by_the_client(w, upstream_closes=hook != "response")


@leaving
async def test_a_client_that_leaves_during_its_upload(leave: str) -> None:
    async with world() as w:
        client = await w.client(request("/", "POST", b"", "Content-Length: 1000") + b"begin")
        await w.recorder.saw("requestheaders")
        LEAVE[leave](client)
        await ended_by_the_client(w)
        assert not w.upstream.peers


@leaving
async def test_a_client_that_leaves_while_its_upstream_is_connected_to(leave: str) -> None:
    addon = Hanging("server_connect")
    async with world(addon) as w:
        client = await w.client(request())
        await addon.reached.wait()
        LEAVE[leave](client)
        await ended_by_the_client(w)
        assert w.recorder.count("server_connect_error") == 1
        assert w.engine.metrics.upstream_connections == 0


@leaving
async def test_a_client_that_leaves_before_its_upstream_answers_closes_it(leave: str) -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()
        await peer.until_gone()

    async with world(script=silent) as w:
        client = await w.client(request())
        await w.recorder.saw("server_connected")
        LEAVE[leave](client)
        await ended_by_the_client(w)
        assert w.recorder.count("server_disconnected") == 1


@leaving
async def test_a_client_that_leaves_in_the_middle_of_an_answer_closes_its_upstream(
    streams: bool, leave: str
) -> None:
    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.write(CHUNKED)
        while True:
            await peer.write(chunk(b"data: {}\n\n"))
            await asyncio.sleep(0.005)

    async with world(streams=streams, script=endless) as w:
        client = await w.client(request())
        if streams:
            await client.until(b"data: {}\n\n")
        else:
            await w.recorder.saw("responseheaders")
        LEAVE[leave](client)
        await ended_by_the_client(w)


@leaving
async def test_a_client_that_leaves_during_the_error_hook_does_not_stop_it(leave: str) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def error(flow: http.HTTPFlow) -> None:
        begun.set()
        await asyncio.sleep(0.1)
        ended.set()

    def fail(flow: http.HTTPFlow) -> None:
        raise RuntimeError

    async with world(On(request=fail, error=error)) as w:
        client = await w.client(request())
        await begun.wait()
        LEAVE[leave](client)
        await w.recorder.saw("client_disconnected")
        assert ended.is_set()
        assert w.recorder.count("post_response") == 1


@leaving
async def test_a_client_that_leaves_during_client_connected(leave: str) -> None:
    addon = Hanging("client_connected")
    async with world(addon) as w:
        client = await w.client(request())
        await addon.reached.wait()
        LEAVE[leave](client)
        await asyncio.wait_for(addon.cancelled.wait(), 1)
        await w.recorder.saw("client_disconnected")
        assert w.recorder.count("requestheaders") == 0


@leaving
async def test_an_idle_client_that_leaves_is_told_to_the_addons_once(leave: str) -> None:
    async with world() as w:
        client = await w.client()
        await client.ask()
        LEAVE[leave](client)
        await w.recorder.saw("client_disconnected")
        await w.quiet()
        assert w.recorder.count("error") == 0


async def test_a_client_that_never_asks_meets_no_addon() -> None:
    async with world() as w:
        for leave in LEAVE.values():
            client = await w.client()
            leave(client)
        await w.quiet()
        assert w.recorder.hooks == []
        assert (await w.ask()).status == 200


async def test_a_client_that_leaves_before_the_last_of_several_answers_ends_them_all() -> None:
    addon = Hanging("request")
    async with world(addon, options=Options(drain_timeout=0.2)) as w:
        client = await w.client(request() * 5)
        await addon.reached.wait()
        client.reset()
        await w.recorder.saw("client_disconnected")
        assert w.recorder.count("requestheaders") == 1
