"""Calls of plugins. Whatever a plugin does, the result is a value."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor, Future
from typing import Any

from shared.core import tasks
from shared.core.errors import NotCalled, PoolFull, describe_error
from shared.model.messages import Exchange
from shared.pipeline.plan import Step
from shared.pipeline.pool import PluginPool


class CallFailed:
    """The result of a call that raised or exceeded its timeout, for the reason `why`.

    `not_called` is the call of an outside service that a dry run does not make.
    """

    __slots__ = ("not_called", "why")

    def __init__(self, error: BaseException | str) -> None:
        self.why = error if isinstance(error, str) else describe_error(error)
        self.not_called = str(error) if isinstance(error, NotCalled) else None


def call_safely(call: Callable[..., object], *arguments: object) -> object:
    """Call a plugin. Catches everything that it can raise, up to SystemExit."""
    try:
        return call(*arguments)
    except BaseException as error:  # noqa: BLE001 -- the boundary for faults of a plugin
        return CallFailed(error)


def call_async_safely(call: Callable[..., Awaitable[object]], *arguments: object) -> asyncio.Task[object]:
    """The same for a coroutine, in a task of its own, so that it cannot harm another task."""

    async def whole() -> object:
        try:
            return await call(*arguments)
        except BaseException as error:  # noqa: BLE001 -- as in call_safely
            return CallFailed(error)

    return tasks.begin(whole(), "plugin")


def submit_call(
    pool: Executor, step: Step, owner: str, call: Callable[..., object], *arguments: object
) -> Future[Any]:
    """Submit a call of a step to the pool. `owner` is the tenant of the exchange. Raises as the pool does."""
    if step.plugin.computes and isinstance(pool, PluginPool):
        return pool.compute(owner, call, *arguments)
    return pool.submit(call, *arguments)


def start_call(step: Step, view: Exchange, pool: Executor) -> asyncio.Future[object]:
    """Start the call of a step that may block: as a task, or in a thread of the pool."""
    if step.is_async:
        return call_async_safely(step.call, view)
    try:
        return asyncio.wrap_future(submit_call(pool, step, view.tenant.id, call_safely, step.call, view))
    except (PoolFull, RuntimeError) as error:
        rejected = asyncio.get_running_loop().create_future()
        rejected.set_result(CallFailed(error))
        return rejected


async def with_timeout(call: asyncio.Future[object], seconds: float) -> object:
    """The result of `call` within `seconds`, or `CallFailed`.

    A call that is late, or whose exchange is cancelled, is cancelled, and its end is not awaited.
    """
    if not call.done():
        try:
            await _wait_for(call, seconds)
            if not call.done():
                return CallFailed(f"no verdict within {seconds:g} s")
        finally:
            call.cancel()
    if call.cancelled():
        return CallFailed("the call was cancelled")
    # Plugins raise nothing here, but a pool whose threads have died does.
    error = call.exception()
    return CallFailed(error) if error else call.result()


async def _wait_for(call: asyncio.Future[object], seconds: float) -> None:
    """Wait for `call`, at most `seconds`. Takes a third of the time of `asyncio.wait` (measured)."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def end(*_: object) -> None:
        if not waiter.done():
            waiter.set_result(None)

    timer = loop.call_later(seconds, end)
    call.add_done_callback(end)
    try:
        await waiter
    finally:
        timer.cancel()
        call.remove_done_callback(end)
