"""Background work is neither lost nor silent."""

import asyncio
import gc
import logging

import pytest

from shared.core import tasks


def test_work_that_nobody_refers_to_is_finished() -> None:
    done: list[str] = []

    async def main() -> None:
        over = asyncio.Event()

        async def work() -> None:
            await asyncio.sleep(0)
            done.append("done")
            over.set()

        tasks.start(work(), "work")
        gc.collect()
        await over.wait()

    asyncio.run(main())
    assert done == ["done"]


def test_task_result_can_be_awaited() -> None:
    async def work() -> int:
        return 7

    async def main() -> int:
        return await tasks.start(work(), "work")

    assert asyncio.run(main()) == 7


def test_task_exception_is_logged_with_the_tasks_name(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise ValueError("broken")

    async def main() -> None:
        await asyncio.wait([tasks.start(work(), "the work")])
        await asyncio.sleep(0)

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    [record] = caplog.records
    assert record.getMessage() == "The task the work failed."
    assert record.exc_info
    assert str(record.exc_info[1]) == "broken"


def test_a_cancelled_one_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        task = tasks.start(asyncio.sleep(60), "work")
        task.cancel()
        await asyncio.wait([task])
        await asyncio.sleep(0)

    asyncio.run(main())
    assert caplog.records == []


def test_work_that_waits_for_nothing_is_done_when_it_begins(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> int:
        return 7

    async def broken() -> None:
        raise ValueError("broken")

    async def waiting() -> int:
        await asyncio.sleep(0)
        return 8

    async def main() -> int:
        assert tasks.begin(work(), "work").result() == 7
        tasks.begin(broken(), "the work")
        later = tasks.begin(waiting(), "work")
        assert not later.done()
        return await later

    with caplog.at_level(logging.ERROR):
        assert asyncio.run(main()) == 8
    assert [record.getMessage() for record in caplog.records] == ["The task the work failed."]
