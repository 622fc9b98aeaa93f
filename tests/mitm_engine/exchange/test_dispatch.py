"""Addons are called in their order, and what they raise is a fault, never a line in a log."""

import asyncio
from collections.abc import Callable

import pytest
from mitmproxy.exceptions import AddonHalt
from mitmproxy.test import tflow

from mitm_engine.engine import make_master
from mitm_engine.exchange.dispatch import Dispatch
from mitm_engine.wire_error import WireError
from tests.mitm_engine.world import On


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
    assert await dispatch.call(dispatch.request, object())
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


async def test_an_addon_can_halt_a_hook() -> None:
    calls: list[int] = []
    halting = On(request=raising(AddonHalt()), error=raising(AddonHalt()))
    dispatch = Dispatch(make_master(halting, On(request=calls.append, error=calls.append)).addons)
    assert not await dispatch.call(dispatch.request, 1)
    if (others := dispatch.call_all(dispatch.error, 1)) is not None:
        await others
    assert calls == []


async def test_update_is_fired_after_each_hook_of_a_flow() -> None:
    seen: list[object] = []
    dispatch = Dispatch(make_master(On(update=seen.append)).addons)
    flow = tflow.tflow()
    await dispatch.call_flow(dispatch.request, flow, lambda: None)
    await dispatch.call_flow(dispatch.response, flow, lambda: None)
    assert seen == [[flow], [flow]]


async def test_at_an_end_addons_that_raise_wait_fail_or_halt_are_treated_like_any_other() -> None:
    calls: list[str] = []

    async def fail(subject: object) -> None:
        await asyncio.sleep(0)
        raise KeyError

    async def halt(subject: object) -> None:
        await asyncio.sleep(0)
        calls.append("halt")
        raise AddonHalt

    async def note(subject: object) -> None:
        await asyncio.sleep(0)
        calls.append("note")

    addons = [
        On(error=raising(KeyError("x"))),
        On(error=fail),
        On(error=note),
        On(error=halt),
        On(error=note),
    ]
    dispatch = Dispatch(make_master(*addons).addons)
    rest = dispatch.call_all(dispatch.error, 1)
    assert rest is not None
    await rest
    assert calls == ["note", "halt"]
