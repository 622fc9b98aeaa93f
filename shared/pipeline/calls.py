"""How a plugin is called: whatever it does, it ends here as a value."""

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
    """What stands for a plugin's answer when it raised or took too long. `why` says so.

    `not_called` is the outside call that the plugin would have made and that a dry run does not make.
    """

    __slots__ = ("not_called", "why")

    def __init__(self, error: BaseException | str) -> None:
        self.why = error if isinstance(error, str) else describe_error(error)
        self.not_called = str(error) if isinstance(error, NotCalled) else None


def call_safely(call: Callable[..., object], *arguments: object) -> object:
    """Call a plugin. Everything that it can raise, up to SystemExit, ends here."""
    try:
        return call(*arguments)
    except BaseException as error:  # noqa: BLE001 -- the boundary at which a plugin's faults end
        return CallFailed(error)


def call_async_safely(call: Callable[..., Awaitable[object]], *arguments: object) -> asyncio.Task[object]:
    """The same for a coroutine, as a task of its own: what it does to its task, it does to no other."""

    async def whole() -> object:
        try:
            return await call(*arguments)
        except BaseException as error:  # noqa: BLE001 -- as in contained
            return CallFailed(error)

    return tasks.begin(whole(), "plugin")


def submit_call(
    pool: Executor, step: Step, owner: str, call: Callable[..., object], *arguments: object
) -> Future[Any]:
    """A call of a step, on its way in a thread. `owner` is whose exchange it is. Raises as the pool does."""
    if step.plugin.computes and isinstance(pool, PluginPool):
        return pool.compute(owner, call, *arguments)
    return pool.submit(call, *arguments)


def start_call(step: Step, view: Exchange, pool: Executor) -> asyncio.Future[object]:
    """A step that waits, on its way: as a task, or in a thread of the pool."""
    if step.is_async:
        return call_async_safely(step.call, view)
    try:
        return asyncio.wrap_future(submit_call(pool, step, view.tenant.id, call_safely, step.call, view))
    except (PoolFull, RuntimeError) as error:
        rejected = asyncio.get_running_loop().create_future()
        rejected.set_result(CallFailed(error))
        return rejected


async def with_timeout(call: asyncio.Future[object], seconds: float) -> object:
    """What `call` returns within `seconds` from now, or `CallFailed`.

    A call that is late, or whose exchange is cancelled, is cancelled; nobody waits for it to obey.
    """
    if not call.done():
        try:
            await _end_of(call, seconds)
            if not call.done():
                return CallFailed(f"no verdict within {seconds:g} s")
        finally:
            call.cancel()
    if call.cancelled():
        return CallFailed("the call was cancelled")
    # Plugins raise nothing here, but a pool whose threads died does.
    error = call.exception()
    return CallFailed(error) if error else call.result()


async def _end_of(call: asyncio.Future[object], seconds: float) -> None:
    """Wait until `call` is done, or so long. `asyncio.wait` does it for many, at three times the price."""
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
