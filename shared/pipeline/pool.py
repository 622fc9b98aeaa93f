"""The threads of a worker for plugins that may block, with a bound on the calls that wait."""

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Any

from shared.core.errors import PoolFull
from shared.pipeline.fair_queue import FairQueue

# Threads that compute take the interpreter from each other and from the event loop, 5 ms at a time.
_COMPUTING = 4


class PluginPool(Executor):
    """Runs `threads` calls at a time; `waiting` more may wait. A further call is rejected at once.

    Calls that compute have threads of their own: at most one per owner, with `threads` calls waiting.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="plugin")
        self._slots = BoundedSemaphore(threads + waiting)
        self._queue = FairQueue(_COMPUTING, waiting=threads)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Raises `PoolFull` when every slot is taken."""
        if not self._slots.acquire(blocking=False):
            raise PoolFull("All plugin threads are busy, and their queue is full.")
        try:
            future = self._threads.submit(fn, *args, **kwargs)
        except RuntimeError:
            self._slots.release()
            raise
        future.add_done_callback(lambda _: self._slots.release())
        return future

    def compute(self, owner: str, call: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Run a call of `owner` that computes. Raises `PoolFull` when too many of its calls wait."""
        return self._queue.submit(owner, call, *arguments)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._queue.close()
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
