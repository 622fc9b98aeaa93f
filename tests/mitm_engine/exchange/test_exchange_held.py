"""Addons are called in their order; they may fail, kill a flow, hold it, or keep it from the others."""

import asyncio
from collections.abc import Callable
from unittest.mock import Mock

import pytest
from mitmproxy import http
from mitmproxy.exceptions import AddonHalt
from mitmproxy.flow import Error
from mitmproxy.test import tflow

from mitm_engine.engine import make_master
from mitm_engine.exchange.dispatch import Dispatch
from mitm_engine.options import Terms, Timeouts
from mitm_engine.wire_error import WireError
from tests.mitm_engine.exchange.test_exchange import PLAIN, piecemeal
from tests.mitm_engine.world import FLOW_HOOKS, On, Streaming, fail, world
from tests.support.client import request


@pytest.mark.parametrize("hook", FLOW_HOOKS)
async def test_a_killed_flow_gets_no_response_and_its_connection_ends(hook: str) -> None:
    async with world(On(**{hook: lambda flow: flow.kill()})) as w:
        client = await w.client(request())
        assert await client.ended() == b""
        await w.quiet()
        # An addon that has seen `response` sees no `error`.
        assert w.recorder.count("response") + w.recorder.count("error") == 1
        assert w.recorder.count("post_response") == 1
        assert w.recorder.failure() == Error.KILLED_MESSAGE
        assert not w.engine.metrics.faults


async def test_a_flow_killed_in_the_error_hook_gets_no_response() -> None:
    async with world(On(request=fail, error=lambda flow: flow.kill())) as w:
        client = await w.client(request())
        assert await client.ended() == b""


async def test_flow_killed_during_its_stream_is_cut_at_its_end() -> None:
    async with world(Streaming(), On(response=lambda flow: flow.kill()), script=piecemeal) as w:
        client = await w.client(request())
        with pytest.raises(EOFError):
            await client.response()


@pytest.mark.parametrize("hook", FLOW_HOOKS)
async def test_intercepted_flow_waits_until_resumed(hook: str) -> None:
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


def raising(error: Exception) -> Callable[[object], None]:
    def hook(subject: object) -> None:
        raise error

    return hook


class Family:
    """An addon that has addons."""

    def __init__(self, *addons: object) -> None:
        self.name = f"family-{id(self)}"
        self.addons = addons


async def test_addons_are_called_in_their_order_and_children_after_their_parent() -> None:
    calls: list[int] = []

    async def second(subject: object) -> None:
        await asyncio.sleep(0)
        calls.append(2)

    nested = Family(
        On(request=lambda subject: calls.append(3)), Family(On(request=lambda _: calls.append(4)))
    )
    dispatch = Dispatch(make_master(On(request=lambda _: calls.append(1)), On(request=second), nested).addons)
    await dispatch.call(dispatch.request, object())
    assert calls == [1, 2, 3, 4]


async def test_a_plain_function_that_returns_something_to_await_is_awaited() -> None:
    calls: list[int] = []

    async def later() -> None:
        calls.append(1)

    dispatch = Dispatch(make_master(On(request=lambda _: later())).addons)
    await dispatch.call(dispatch.request, object())
    assert calls == [1]


async def test_an_addon_that_raises_is_a_plugin_failure_and_the_next_is_not_called() -> None:
    calls: list[int] = []
    dispatch = Dispatch(make_master(On(request=raising(KeyError("x"))), On(request=calls.append)).addons)
    with pytest.raises(WireError) as error:
        await dispatch.call(dispatch.request, 1)
    assert error.value.code == "plugin_failure"
    assert "x" not in error.value.rejection().message
    assert calls == []


async def test_hook_of_a_flow_that_waits_for_nothing_is_done_at_once() -> None:
    seen: list[object] = []
    dispatch = Dispatch(make_master(On(request=seen.append)).addons)
    flow, waits = tflow.tflow(), Mock()
    assert dispatch.call_flow(dispatch.request, flow, waits) is None
    assert seen == [flow]
    waits.assert_not_called()


async def test_hook_of_a_flow_that_waits_goes_on_with_the_next_addon() -> None:
    seen: list[object] = []
    dispatch = Dispatch(make_master(On(request=pause), On(request=seen.append)).addons)
    flow, waits = tflow.tflow(), Mock()
    waiting = dispatch.call_flow(dispatch.request, flow, waits)
    assert waiting is not None
    assert seen == []
    await waiting
    assert seen == [flow]
    waits.assert_called_once_with()


async def test_update_is_fired_after_each_hook_of_a_flow() -> None:
    seen: list[object] = []
    dispatch = Dispatch(make_master(On(update=seen.append)).addons)
    flow = tflow.tflow()
    for hook in (dispatch.request, dispatch.response):
        waiting = dispatch.call_flow(hook, flow, lambda: None)
        assert waiting is not None
        await waiting
    assert seen == [[flow], [flow]]


async def pause(subject: object) -> None:
    await asyncio.sleep(0)


async def halt_later(subject: object) -> None:
    await asyncio.sleep(0)
    raise AddonHalt


@pytest.mark.parametrize("halt", [raising(AddonHalt()), halt_later], ids=["at once", "later"])
async def test_hook_at_the_end_calls_every_addon_despite_errors_and_halts(
    halt: Callable[[object], object],
) -> None:
    calls: list[str] = []

    async def fail(subject: object) -> None:
        await asyncio.sleep(0)
        raise KeyError

    async def note(subject: object) -> None:
        await asyncio.sleep(0)
        calls.append("note")

    errors = [On(error=raising(KeyError("x"))), On(error=fail)]
    dispatch = Dispatch(make_master(*errors, On(error=note), On(error=halt), On(error=note)).addons)
    rest = dispatch.call_all(dispatch.error, 1)
    assert rest is not None
    await rest
    assert calls == ["note"]


async def test_final_hook_of_many_flows_calls_each_addon_for_all_before_the_next() -> None:
    calls: list[str] = []

    def first(subject: str) -> object:
        calls.append(f"first {subject}")
        if subject == "waits":
            return pause(subject)
        if subject == "halts":
            raise AddonHalt
        if subject == "fails":
            raise KeyError
        return None

    def second(subject: str) -> None:
        calls.append(f"second {subject}")

    dispatch = Dispatch(make_master(On(post_response=first), On(post_response=second)).addons)
    waiting = dispatch.call_each(dispatch.post_response, ["a", "waits", "halts", "fails", "b"])
    assert calls == [
        *("first a", "first waits", "first halts", "first fails", "first b"),
        *("second a", "second fails", "second b"),
    ]
    for one in waiting:
        await one
    assert calls[8:] == ["second waits"]
