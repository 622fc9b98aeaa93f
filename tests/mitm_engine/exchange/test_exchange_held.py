"""Addons that kill a flow, hold it, or keep it from the others."""

import asyncio

import pytest
from mitmproxy import http
from mitmproxy.exceptions import AddonHalt
from mitmproxy.flow import Error

from mitm_engine.options import Terms, Timeouts
from tests.mitm_engine.exchange.test_exchange import PLAIN, piecemeal
from tests.mitm_engine.world import FLOW_HOOKS, On, Streaming, fail, world
from tests.support.client import request


@pytest.mark.parametrize("hook", FLOW_HOOKS)
async def test_a_killed_flow_gets_no_response_and_its_connection_ends(hook: str) -> None:
    async with world(On(**{hook: lambda flow: flow.kill()})) as w:
        client = await w.client(request())
        assert await client.ended() == b""
        await w.quiet()
        # Who has seen `response` sees no `error`.
        assert w.recorder.count("response") + w.recorder.count("error") == 1
        assert w.recorder.count("post_response") == 1
        assert w.recorder.failure() == Error.KILLED_MESSAGE
        assert not w.engine.metrics.faults


async def test_a_flow_killed_in_the_error_hook_gets_no_response() -> None:
    async with world(On(request=fail, error=lambda flow: flow.kill())) as w:
        client = await w.client(request())
        assert await client.ended() == b""


async def test_a_flow_killed_while_it_streams_is_cut_at_its_end() -> None:
    async with world(Streaming(), On(response=lambda flow: flow.kill()), script=piecemeal) as w:
        client = await w.client(request())
        with pytest.raises(EOFError):
            await client.response()


@pytest.mark.parametrize("hook", FLOW_HOOKS)
async def test_an_intercepted_flow_waits_until_it_is_resumed(hook: str) -> None:
    async with world(On(**{hook: lambda flow: flow.intercept()})) as w:
        client = await w.client(request())
        await w.recorder.saw(hook)
        await asyncio.sleep(0.02)
        later = (*FLOW_HOOKS, "post_response")
        assert w.recorder.count(later[later.index(hook) + 1]) == 0
        w.recorder.last().resume()
        assert (await client.response()).status == 200


async def test_an_intercepted_flow_that_is_killed_gets_no_response() -> None:
    terms = Terms(Timeouts(hook=0.3))
    async with world(On(request=lambda flow: flow.intercept()), terms=terms) as w:
        client = await w.client(request())
        await w.recorder.saw("request")
        w.recorder.last().kill()
        assert await client.ended() == b""
        assert not w.upstream.peers


@pytest.mark.parametrize("hook", FLOW_HOOKS)
async def test_an_addon_may_halt_a_hook_for_those_after_it(hook: str) -> None:
    def halt(flow: http.HTTPFlow) -> None:
        raise AddonHalt

    async with world(On(**{hook: halt})) as w:
        assert (await w.ask()).status == 200
        assert w.recorder.hooks == [one for one in PLAIN if one != hook]
