"""Background work is neither lost nor silent."""

import asyncio
import gc
import logging

import pytest

from shared.core import tasks


async def test_task_without_a_reference_is_finished() -> None:
    over = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        over.set()

    tasks.start(work(), "work")
    gc.collect()
    await over.wait()


async def test_task_result_can_be_awaited() -> None:
    assert await tasks.start(asyncio.sleep(0, 7), "work") == 7


async def test_task_exception_is_logged_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise ValueError("broken")

    with caplog.at_level(logging.ERROR):
        await asyncio.wait([tasks.start(work(), "the work")])
        await asyncio.sleep(0)
    [record] = caplog.records
    assert record.getMessage() == "The task the work failed."
    assert record.exc_info
    assert str(record.exc_info[1]) == "broken"


async def test_cancelled_work_is_not_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    task = tasks.start(asyncio.sleep(60), "work")
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert caplog.records == []


async def test_work_that_waits_for_nothing_is_done_when_it_begins(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> int:
        return 7

    async def broken() -> None:
        raise ValueError("broken")

    with caplog.at_level(logging.ERROR):
        assert tasks.begin(work(), "work").result() == 7
        tasks.begin(broken(), "the work")
        later = tasks.begin(asyncio.sleep(0, 8), "work")
        assert not later.done()
        assert await later == 8
    assert [record.getMessage() for record in caplog.records] == ["The task the work failed."]
