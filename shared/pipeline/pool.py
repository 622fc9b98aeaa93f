"""The worker's threads for plugins that may block, with a bound on what may wait for them."""

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Any

from shared.core.errors import PoolFull
from shared.pipeline.fair_queue import FairQueue

# Threads that compute keep each other and the event loop from the interpreter, 5 ms each at a time.
_COMPUTING = 4


class PluginPool(Executor):
    """`threads` calls run at a time; `waiting` more may wait. A further one is refused at once.

    What computes has threads of its own; each owner has one at most, and may have `threads` calls waiting.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="plugin")
        self._places = BoundedSemaphore(threads + waiting)
        self._queue = FairQueue(_COMPUTING, waiting=threads)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Raises `PoolFull` when every place is taken."""
        if not self._places.acquire(blocking=False):
            raise PoolFull("All plugin threads are busy and their queue is full.")
        try:
            future = self._threads.submit(fn, *args, **kwargs)
        except RuntimeError:
            self._places.release()
            raise
        future.add_done_callback(lambda _: self._places.release())
        return future

    def compute(self, owner: str, call: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Run a call of `owner` that computes. Raises `PoolFull` when too many of them wait."""
        return self._queue.submit(owner, call, *arguments)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._queue.close()
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
