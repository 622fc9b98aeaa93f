"""A plugin gives back what it took for an exchange, however the exchange ends."""

import asyncio

import pytest

from shared.model.messages import Exchange
from shared.pipeline.plugin import Continue, Plugin, Verdict
from tests.pipeline.stagehand import run_of
from tests.pipeline.world import entry


class Taking(Plugin):
    """Takes a slot when the test lets it, and gives back what its notes say."""

    name = "taking"

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.held = 0

    async def pre_request(self, exchange: Exchange) -> Verdict:
        await self.go.wait()
        self.held += 1
        return Continue({"took": 1})

    async def cleanup(self, exchange: Exchange) -> None:
        took = exchange.notes.get("took", 0)
        assert isinstance(took, int)
        self.held -= took


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("after", range(8))
@pytest.mark.parametrize("cancelled", [True, False], ids=["cancelled", "connection gone"])
async def test_an_exchange_that_ends_at_any_moment_gives_back_its_slot(cancelled: bool, after: int) -> None:
    """A connection can be gone while a plugin still waits."""
    plugin = Taking()
    run = run_of(entry(plugin))
    running = asyncio.ensure_future(run.request_body(b"{}"))
    await turns(5)
    plugin.go.set()
    await turns(after)
    if cancelled:
        running.cancel()
        await asyncio.wait([running])
    await run.finish()
    if not cancelled:
        await running
    assert plugin.held == 0


@pytest.mark.parametrize(("has_cleanup", "held"), [(True, 0), (False, 1)])
async def test_an_exchange_that_ends_twice_gives_back_one_slot(has_cleanup: bool, held: int) -> None:
    plugin = Taking()
    plugin.has_cleanup = has_cleanup
    plugin.go.set()
    run = run_of(entry(plugin))
    await run.request_body(b"{}")
    assert plugin.held == 1
    await run.finish()
    await run.finish()
    assert plugin.held == held
