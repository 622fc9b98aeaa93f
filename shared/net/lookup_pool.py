"""Blocking look-ups off the caller's thread: so many at a time, the rest in turn."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

Work = Callable[[], list[str]]


class LookUps:
    """At most `most` at a time. What is begun beyond that waits for a place; who waits brings the patience.

    The threads never keep the process from ending, as those of an executor do: the system's resolver cannot
    be interrupted.
    """

    def __init__(self, most: int) -> None:
        self._lock = threading.Lock()
        self._free = most
        self._waiting: deque[tuple[Future[list[str]], Work]] = deque()

    def begin(self, work: Work) -> Future[list[str]]:
        """What `work` gives or raises. Cancelled before it has a place, it is never called."""
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
        """What waits longest. When nothing does, the place is free again."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._free += 1
            return None


def done(work: Work) -> Future[list[str]]:
    """What `work` gives or raises, done by the caller."""
    found: Future[list[str]] = Future()
    _do(found, work)
    return found


def _do(found: Future[list[str]], work: Work) -> None:
    if not found.set_running_or_notify_cancel():
        return
    try:
        found.set_result(work())
    except Exception as error:  # noqa: BLE001 -- whoever waits is told, and the place is not lost
        found.set_exception(error)
