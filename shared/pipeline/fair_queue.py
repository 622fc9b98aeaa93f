"""Threads for calls that compute: at most one per owner, and owners take turns."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

from shared.core.errors import PoolFull


class _Call(NamedTuple):
    owner: str
    future: Future[Any]
    call: Callable[..., Any]
    arguments: tuple[Any, ...]


class FairQueue:
    """Runs `threads` calls at a time: more that compute would starve the event loop.

    An owner has at most one call running and `waiting` calls in its queue. So an owner with many or long
    calls delays no other owner.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._waiting = waiting
        self._queues: dict[str, deque[_Call]] = {}  # of owners with calls that wait or run
        self._ready: deque[str] = deque()  # owners with waiting calls and none that runs, the next first
        self._changed = threading.Condition()
        self._is_closed = False
        for _ in range(threads):
            threading.Thread(target=self._run, name="plugin-turns", daemon=True).start()

    def submit(self, owner: str, call: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Raises `PoolFull` when the owner's queue is full, RuntimeError after `close`."""
        with self._changed:
            if self._is_closed:
                raise RuntimeError("The plugin threads have ended.")
            if owner not in self._queues:
                self._queues[owner] = deque()
                self._ready.append(owner)
                self._changed.notify()
            queue = self._queues[owner]
            if len(queue) >= self._waiting:
                raise PoolFull("Too many calls of this tenant are waiting for a plugin thread.")
            future: Future[Any] = Future()
            queue.append(_Call(owner, future, call, arguments))
        return future

    def close(self) -> None:
        """Accept no more calls, and cancel those that wait."""
        with self._changed:
            self._is_closed = True
            for queue in self._queues.values():
                for waiting in queue:
                    waiting.future.cancel()
            self._changed.notify_all()

    def _run(self) -> None:
        while (due := self._next()) is not None:
            if due.future.set_running_or_notify_cancel():
                _work(due)
            self._done(due.owner)

    def _next(self) -> _Call | None:
        with self._changed:
            while not self._ready:
                if self._is_closed:
                    return None
                self._changed.wait()
            return self._queues[self._ready.popleft()].popleft()

    def _done(self, owner: str) -> None:
        with self._changed:
            if self._queues[owner]:
                self._ready.append(owner)  # behind the others
                self._changed.notify()
            else:
                del self._queues[owner]


def _work(due: _Call) -> None:
    try:
        due.future.set_result(due.call(*due.arguments))
    except BaseException as error:  # noqa: BLE001 -- a thread that ends would leave calls waiting
        due.future.set_exception(error)
