"""Calls of plugins. The result is a value in any case, also when a plugin raises or hangs."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from concurrent.futures import Executor, Future
from typing import Any, cast

from shared.core import tasks
from shared.core.errors import NotCalled, PoolFull, describe_error
from shared.model.messages import Exchange, Headers, SetHeaders
from shared.pipeline.plan import Step
from shared.pipeline.pool import PluginPool
from shared.pipeline.validate_verdict import invalid_headers_reason

#: Seconds between two checks of the deadlines of a loop: how late one may be noticed.
INTERVAL = 0.01


class Done[R]:
    """A result that is here already. To await it waits for nothing, and costs no coroutine."""

    __slots__ = ("value",)

    def __init__(self, value: R) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, None, R]:
        yield from ()
        return self.value


#: The result of work without one.
DONE: Done[None] = Done(None)


async def after[R, S](waiting: Awaitable[R], work: Callable[[R], Awaitable[S] | None]) -> S | None:
    """Do `work` with the result of `waiting`, and wait for what it returns. Return the result of that."""
    more = work(await waiting)
    return None if more is None else await more


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


def is_quick(step: Step, view: Exchange) -> bool:
    """Whether a blocking plugin is called in place this time."""
    if not step.in_thread or step.starts_stream:
        return False
    try:
        return step.plugin.is_quick(view) is True
    except BaseException:  # noqa: BLE001 -- as in call_safely
        return False


def headers_of(step: Step, view: Exchange) -> Headers | CallFailed:
    """The headers that a step adds to the response."""
    try:  # as in `call_safely`
        added: object = step.plugin.response_headers(view)
    except BaseException as error:  # noqa: BLE001
        return CallFailed(error)
    if type(added) is SetHeaders:
        return added
    why = invalid_headers_reason(added)
    return Headers.of_map(cast(Mapping[str, str], added)) if why is None else CallFailed(why)


def call_async_safely(call: Callable[..., Awaitable[object]], *arguments: object) -> asyncio.Task[object]:
    """The same for a coroutine, in a task of its own, so that it cannot harm another task."""

    async def whole() -> object:
        try:
            return await call(*arguments)
        except BaseException as error:  # noqa: BLE001 -- as in call_safely
            return CallFailed(error)

    return tasks.begin(whole(), "plugin")


def start_cleanup(step: Step, view: Exchange) -> asyncio.Future[object] | None:
    """Start the cleanup of a step. None: it is done, as it waits for nothing."""
    cleanup: Callable[..., Any] = step.plugin.cleanup
    if not step.cleans_in_place:
        return call_async_safely(cleanup, view)
    waiting: Any = call_safely(cleanup, view)
    if waiting is None:
        return None

    async def rest() -> object:
        return waiting if type(waiting) is CallFailed else await waiting

    return call_async_safely(rest)


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


class _Deadlines:
    """Cancels the tasks of calls that are late. One timer checks all of a loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self.loop = loop
        self.due: dict[asyncio.Task[Any], float] = {}
        self.is_checking = False

    def check(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for task in [task for task, due in self.due.items() if due <= now]:
            del self.due[task]
            task.cancel()
        self.is_checking = bool(self.due)
        if self.is_checking:
            loop.call_later(INTERVAL, self.check)


_latest = _Deadlines(None)


async def await_in_task(step: Step, view: Exchange) -> object:
    """The result of a step that is awaited in the running task, or `CallFailed`.

    A call that is late is cancelled. So is one whose task is cancelled, and then that is raised.
    """
    global _latest
    loop = asyncio.get_running_loop()
    task: Any = asyncio.current_task()
    if _latest.loop is not loop:
        _latest = _Deadlines(loop)
    deadlines = _latest
    if not deadlines.is_checking:
        deadlines.is_checking = True
        loop.call_later(INTERVAL, deadlines.check)
    deadlines.due[task] = loop.time() + step.timeout
    try:
        result: object = await step.call(view)
    except Exception as error:  # noqa: BLE001 -- as in call_safely
        result = CallFailed(error)
    except asyncio.CancelledError:
        if task.cancelling() > (task not in deadlines.due):
            raise
        result = CallFailed("the call was cancelled")
    finally:
        is_late = deadlines.due.pop(task, None) is None
        if is_late:
            task.uncancel()
    return CallFailed(f"no verdict within {step.timeout:g} s") if is_late else result
