"""A lost exchange returns its slot and finishes its run when its client disconnects."""

import asyncio

import pytest

from mitm_addons.concurrency import Concurrency
from mitm_addons.stock.adapter import LostFlows
from tests.mitm_addons.begun import begun_flow


class Finishing:
    """A run that counts how often it is finished."""

    def __init__(self) -> None:
        self.finished = 0

    async def finish(self) -> None:
        self.finished += 1


@pytest.mark.parametrize(("end", "finished"), [(None, 1), ("response", 0), ("error", 0)])
async def test_a_lost_exchange_is_finished_once_when_its_client_disconnects(
    end: str | None, finished: int
) -> None:
    addon, run = LostFlows(Concurrency()), Finishing()
    flow = begun_flow(has_response=False, run=run)
    addon.requestheaders(flow)
    if end:
        getattr(addon, end)(flow)
    addon.client_disconnected(flow.client_conn)
    addon.client_disconnected(flow.client_conn)
    await asyncio.sleep(0)
    assert not addon._open
    assert run.finished == finished


def test_a_flow_without_a_run_is_forgotten() -> None:
    addon = LostFlows(Concurrency())
    flow = begun_flow(has_response=False)
    addon.requestheaders(flow)
    addon.client_disconnected(flow.client_conn)
    addon.error(flow)
    assert not addon._open
