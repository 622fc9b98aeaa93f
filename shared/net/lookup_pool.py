"""A pool of threads for blocking look-ups of names."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

Work = Callable[[], list[str]]


class LookupPool:
    """At most `max_threads` look-ups at a time. Further ones wait in a queue; the callers have timeouts.

    Its threads do not keep the process from ending, unlike those of an executor. The resolver of the
    system cannot be interrupted.
    """

    def __init__(self, max_threads: int) -> None:
        self._lock = threading.Lock()
        self._free = max_threads
        self._waiting: deque[tuple[Future[list[str]], Work]] = deque()

    def submit(self, work: Work) -> Future[list[str]]:
        """The result of `work`. A future that is canceled while it waits is never run."""
        found: Future[list[str]] = Future()
        with self._lock:
            if not self._free:
                self._waiting.append((found, work))
                return found
            self._free -= 1
        threading.Thread(target=self._run, args=(found, work), name="look-up", daemon=True).start()
        return found

    def _run(self, found: Future[list[str]], work: Work) -> None:
        todo: tuple[Future[list[str]], Work] | None = (found, work)
        while todo:
            _do(*todo)
            todo = self._next()

    def _next(self) -> tuple[Future[list[str]], Work] | None:
        """The oldest waiting look-up. When there is none, the thread ends."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._free += 1
            return None


def run_now(work: Work) -> Future[list[str]]:
    """The result of `work`, which runs in the thread of the caller."""
    found: Future[list[str]] = Future()
    _do(found, work)
    return found


def _do(found: Future[list[str]], work: Work) -> None:
    if not found.set_running_or_notify_cancel():
        return
    try:
        found.set_result(work())
    except Exception as error:  # noqa: BLE001 -- the future carries it, and the thread goes on
        found.set_exception(error)
