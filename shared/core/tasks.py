"""Background tasks. References to them are kept here: without one, a task can be garbage-collected."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger(__name__)

_running: set[asyncio.Task[Any]] = set()


def start[R](work: Coroutine[Any, Any, R], name: str) -> asyncio.Task[R]:
    """Run `work` in the background. Its error is logged."""
    task = asyncio.create_task(work, name=name)  # noqa: TID251 -- the one place that keeps the reference
    _running.add(task)
    task.add_done_callback(_ended)
    return task


def begin[R](work: Coroutine[Any, Any, R], name: str) -> asyncio.Task[R]:
    """Like `start`, but run `work` at once until it waits or ends."""
    task = asyncio.Task(work, loop=asyncio.get_running_loop(), name=name, eager_start=True)
    if task.done():
        _ended(task)
    else:
        _running.add(task)
        task.add_done_callback(_ended)
    return task


def _ended(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()):
        logger.error("The task %s failed.", task.get_name(), exc_info=error)
