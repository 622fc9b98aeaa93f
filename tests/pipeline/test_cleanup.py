"""What a plugin took for an exchange, it is told to give back, however the exchange ends."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.model.messages import Exchange
from shared.pipeline import Run, make_plan
from shared.pipeline.plugin import Continue, Plugin, Verdict
from tests.pipeline.world import entry, exchange


class Taking(Plugin):
    """Takes a place when the test lets it, and gives back what its notes say."""

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


def run_of(plugin: Plugin) -> Run:
    return Run(make_plan([entry(plugin)], buffer_streams=False), exchange(), ThreadPoolExecutor(1))


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("after", range(8))
def test_an_exchange_that_is_cancelled_at_any_moment_gives_back_what_was_taken(after: int) -> None:
    async def scenario() -> int:
        plugin = Taking()
        run = run_of(plugin)
        running = asyncio.ensure_future(run.request_body(b"{}"))
        await turns(5)
        plugin.go.set()
        await turns(after)
        running.cancel()
        await asyncio.wait([running])
        await run.finish()
        return plugin.held

    assert asyncio.run(scenario()) == 0


@pytest.mark.parametrize("after", range(8))
def test_what_is_taken_after_the_end_is_given_back_at_once(after: int) -> None:
    """A connection can be gone while a plugin still waits."""

    async def scenario() -> int:
        plugin = Taking()
        run = run_of(plugin)
        running = asyncio.ensure_future(run.request_body(b"{}"))
        await turns(5)
        plugin.go.set()
        await turns(after)
        await run.finish()
        await running
        return plugin.held

    assert asyncio.run(scenario()) == 0


def test_an_exchange_that_is_settled_twice_gives_back_once() -> None:
    async def scenario() -> int:
        plugin = Taking()
        plugin.go.set()
        run = run_of(plugin)
        await run.request_body(b"{}")
        await run.finish()
        await run.finish()
        return plugin.held

    assert asyncio.run(scenario()) == 0


async def test_a_plugin_that_has_nothing_to_give_back_is_not_asked() -> None:
    plugin = Taking()
    plugin.has_cleanup = False
    plugin.go.set()
    run = run_of(plugin)
    await run.request_body(b"{}")
    assert plugin.held == 1
    await run.finish()
    assert plugin.held == 1
