"""Tasks that callers of the same work share."""

import asyncio
from collections.abc import Hashable

from shared.core.single_flight import SingleFlight


class Failures(list[tuple[Hashable, str]]):
    def __call__(self, name: Hashable, error: BaseException) -> None:
        self.append((name, str(error)))


async def test_callers_of_one_name_share_a_task_until_it_ends() -> None:
    flights, calls = SingleFlight(Failures()), []

    async def work() -> int:
        calls.append("called")
        await asyncio.sleep(0)
        return len(calls)

    first, second = flights.join("name", work), flights.join("name", work)
    assert first is second
    assert "name" in flights
    assert await first == 1
    assert "name" not in flights
    assert await flights.join("name", work) == 2


async def test_error_is_reported_before_callers_continue() -> None:
    failures = Failures()
    flights = SingleFlight(failures)

    async def fail() -> None:
        raise ValueError("broken")

    await asyncio.wait({flights.join("name", fail)})
    assert failures == [("name", "broken")]


async def test_end_of_a_task_leaves_the_next_task_of_its_name() -> None:
    flights = SingleFlight(Failures())

    async def at_once() -> None:
        pass

    async def wait() -> None:
        await asyncio.Event().wait()

    first = flights.join("name", at_once)
    while not first.done():
        await asyncio.sleep(0)
    flights._tasks["name"] = next_task = asyncio.ensure_future(wait())
    flights._end("name", first)
    assert flights.join("name", wait) is next_task
    await flights.close()
    assert next_task.cancelled()


async def test_repeated_work_goes_on_after_an_error() -> None:
    failures = Failures()
    flights, calls = SingleFlight(failures), asyncio.Queue[None]()

    async def fail() -> None:
        calls.put_nowait(None)
        raise ValueError("broken")

    flights.repeat("work", fail, 0)
    async with asyncio.timeout(5):
        for _ in range(3):
            await calls.get()
    await flights.close()
    assert set(failures) == {("work", "broken")}
