"""Holds the calls of plugins until a test lets them end, so that it sees which of them run at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor, Future
from typing import Any

from shared.model.messages import Exchange, Response
from shared.pipeline.plugin import CONTINUE, Plugin, ResolvedEntry, Verdict
from shared.pipeline.run import Run
from tests.pipeline.world import Acting, ActingAsync, ActingInPlace, exchange, plan_of

KINDS = ("in a thread", "as a task", "in place")


class Stagehand(Executor):
    """Is the pool too: a call that is handed to it has begun.

    `trace` is what happened, in order: (``begin``, ``end`` or ``cancel``, the plugin's name). `held` are the
    plugins that run now; calling one's value lets it end.
    """

    def __init__(self) -> None:
        self.trace: list[tuple[str, str]] = []
        self.held: dict[str, Callable[[], None]] = {}

    def plugin(self, kind: str, name: str, verdict: Verdict = CONTINUE) -> Plugin:
        """A plugin of that kind (one of `KINDS`) that gives `verdict` once it may end."""

        async def hold(_: Exchange) -> Verdict:
            await self.hold(name)
            return verdict

        def at_once(_: Exchange) -> Verdict:
            self.trace.append(("begin", name))
            return verdict

        if kind == "as a task":
            return ActingAsync(hold, called=name)
        return ActingInPlace(at_once, called=name) if kind == "in place" else Acting(lambda _: verdict, name)

    async def hold(self, name: str) -> None:
        """Run until the test lets the plugin end."""
        free = asyncio.get_running_loop().create_future()
        self._begin(name, lambda: free.set_result(None))
        try:
            await free
        except asyncio.CancelledError:
            self._gone("cancel", name)
            raise
        self._gone("end", name)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        name = args[0].__self__.name
        future: Future[Any] = Future()
        self._begin(name, lambda: future.set_result(fn(*args, **kwargs)))
        future.add_done_callback(lambda done: self._gone("cancel" if done.cancelled() else "end", name))
        return future

    def _begin(self, name: str, end: Callable[[], None]) -> None:
        self.trace.append(("begin", name))
        self.held[name] = end

    def _gone(self, how: str, name: str) -> None:
        self.trace.append((how, name))
        del self.held[name]


async def quiet() -> None:
    """Let the loop do all that it can do without the test."""
    for _ in range(20):
        await asyncio.sleep(0)


def run_loop[R](main: Coroutine[Any, Any, R], *, eager: bool = True) -> R:
    """Run `main` in a loop whose tasks begin at once, as mitmproxy's do, or with the loop's next turn."""

    async def whole() -> R:
        if eager:
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        return await main

    return asyncio.run(whole())


def run_of(*chain: ResolvedEntry, pool: Executor | None = None, **more: Any) -> Run:
    """An exchange that begins."""
    return Run(plan_of(*chain), exchange(), pool or Stagehand(), **more)


async def whole(run: Run, response: Response | None = None) -> Mapping[str, str]:
    """All moments of an exchange; the response headers."""
    await run.request_head()
    await run.request_body(b"{}")
    response = response or Response(200)
    await run.response_head(response)
    await run.response_body(response.body or b"")
    added = dict(run.response_headers())
    await run.finish()
    return added


def after(*chain: ResolvedEntry, pool: Executor | None = None, response: Response | None = None) -> Run:
    """The exchange when all is over."""
    run = run_of(*chain, pool=pool)
    run_loop(whole(run, response))
    return run
