"""Tasks by name: concurrent callers of the same work share one task."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any


class SingleFlight:
    """Keeps its tasks until they end. One event loop only.

    `failed` is called with the error of a task before its callers continue.
    """

    def __init__(self, failed: Callable[[Hashable, BaseException], None]) -> None:
        self._tasks: dict[Hashable, asyncio.Task[Any]] = {}
        self._failed = failed

    def __contains__(self, name: Hashable) -> bool:
        task = self._tasks.get(name)
        return task is not None and not task.done()

    def join[R](self, name: Hashable, work: Callable[[], Coroutine[Any, Any, R]]) -> asyncio.Task[R]:
        """The task of that name, which `work` starts if there is none. Wait for it with `asyncio.wait`, so
        that a canceled caller does not cancel the task."""
        if name not in self:
            task = asyncio.ensure_future(work())
            self._tasks[name] = task
            task.add_done_callback(lambda ended: self._end(name, ended))
        return self._tasks[name]

    def repeat(self, name: Hashable, work: Callable[[], Coroutine[Any, Any, Any]], pause: float) -> None:
        """Run `work` in the background, and again `pause` seconds after each end, also after an error."""

        async def forever() -> None:
            while True:
                await asyncio.wait({self.join(name, work)})
                await asyncio.sleep(pause)

        self.join(("repeat", name), forever)

    async def close(self) -> None:
        """Cancel all tasks and wait for their end."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, name: Hashable, task: asyncio.Task[Any]) -> None:
        if self._tasks.get(name) is task:
            del self._tasks[name]
        if not task.cancelled() and (error := task.exception()):
            self._failed(name, error)
