"""What a lost exchange held is given back when its client goes."""

import asyncio
from typing import Any

import pytest
from mitmproxy.test import tflow

from mitm_addons.concurrency import Concurrency
from mitm_addons.flows import FlowState, begin
from mitm_addons.stock.adapter import LostFlows


class Settling:
    """A run that counts how often it is settled."""

    def __init__(self) -> None:
        self.settled = 0

    async def finish(self) -> None:
        self.settled += 1


def open_flow(run: Any) -> Any:
    flow = tflow.tflow()
    begin(flow, FlowState("id", 0.0, "127.0.0.1", run=run))
    return flow


def settled(end: str | None) -> int:
    async def scenario() -> int:
        addon, run = LostFlows(Concurrency()), Settling()
        flow = open_flow(run)
        addon.requestheaders(flow)
        if end:
            getattr(addon, end)(flow)
        addon.client_disconnected(flow.client_conn)
        addon.client_disconnected(flow.client_conn)
        await asyncio.sleep(0)
        assert not addon._open
        return run.settled

    return asyncio.run(scenario())


def test_an_exchange_that_never_ended_is_settled_with_its_client() -> None:
    assert settled(None) == 1


@pytest.mark.parametrize("end", ["response", "error"])
def test_one_that_ended_is_left_to_its_end(end: str) -> None:
    assert settled(end) == 0


def test_a_flow_that_ran_nothing_is_forgotten() -> None:
    addon = LostFlows(Concurrency())
    flow = open_flow(None)
    addon.requestheaders(flow)
    addon.client_disconnected(flow.client_conn)
    addon.error(flow)
    assert not addon._open
