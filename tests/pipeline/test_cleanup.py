"""However an exchange ends, a plugin gives back what it took, and a fault has the outcome of its `on_error`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest

from shared.model.config import Stage
from shared.model.messages import Exchange
from shared.pipeline.calls import DONE
from shared.pipeline.plugin import CONTINUE, Continue, Plugin, Verdict
from tests.pipeline.faults import FAULTS, Fault
from tests.pipeline.stagehand import after, run_of
from tests.pipeline.world import ActingInPlace, ActingInTask, entry
from tests.support.cases import pairwise


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


async def never(_: Exchange) -> Verdict:
    await asyncio.get_running_loop().create_future()
    return CONTINUE


async def test_calls_in_the_tasks_of_their_exchanges_are_cut_each_after_its_timeout() -> None:
    runs = [run_of(entry(ActingInTask(never), timeout=timeout)) for timeout in (0.001, 0.03, 30)]
    first, second, last = (asyncio.ensure_future(run.request_body(b"{}")) for run in runs)
    await asyncio.wait([first, second], timeout=10)
    assert [run.faults for run in runs] == [["acting_in_task"], ["acting_in_task"], []]
    last.cancel()
    await asyncio.wait([last])
    assert (last.cancelled(), runs[2].faults) == (True, [])


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


class Lending(ActingInPlace):
    """Does `end` in place at the end of the exchange, and waits for what that returns."""

    name = "lending"

    def __init__(self, end: Callable[[], Awaitable[None] | None]) -> None:
        super().__init__()
        self.end = end

    def cleanup(self, exchange: Exchange) -> Awaitable[None] | None:
        return self.end()


async def test_cleanups_that_wait_for_nothing_are_done_at_once_and_the_others_in_turn() -> None:
    done: list[str] = []

    async def later() -> None:
        await asyncio.sleep(0)
        done.append("later")

    def broken() -> None:
        raise ValueError("broken")

    run = run_of(entry(Lending(lambda: done.append("first"))))
    await run.request_body(b"{}")
    assert (run.finish(), done) == (DONE, ["first"])
    chain = [
        entry(Lending(end), priority=at)
        for at, end in enumerate([later, broken, lambda: done.append("last")])
    ]
    run = run_of(*chain)
    await run.request_body(b"{}")
    await run.finish()
    assert (done, run.faults) == (["first", "later", "last"], ["lending"])


@pytest.mark.parametrize(
    ("fault", "stage", "on_error", "parallel"),
    pairwise(FAULTS, list(Stage), ["closed", "open", "local"], [False, True]),
    ids=lambda value: value.name if isinstance(value, Fault) else str(value),
)
def test_each_fault_has_the_configured_outcome(
    fault: Fault, stage: Stage, on_error: str, parallel: bool, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []

    def note(_: Exchange) -> Verdict:
        ran.append("next")
        return CONTINUE

    chain = [
        entry(fault.plugin(), stage, parallel=parallel, on_error=on_error, timeout=fault.timeout),
        entry(ActingInPlace(), stage, parallel=parallel),
        entry(ActingInPlace(note), stage, priority=200),
    ]

    with caplog.at_level(logging.ERROR), fault.pool() as pool:
        run = after(*chain, pool=pool)
    assert run.faults == ["faulty"]
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"The plugin faulty failed at {stage} ({on_error}): ")
    if on_error == "open" or stage is Stage.POST_RESPONSE:
        assert (run.rejection, ran) == (None, ["next"])
    else:
        assert ran == []
        assert run.rejection is not None
        assert (run.rejection.status, run.rejection.code) == (503, "plugin_failure")
        assert run.rejection.source == "plugin:faulty"
        assert run.rejection.headers["Retry-After"] == "1"
        assert "broken" not in run.rejection.message
