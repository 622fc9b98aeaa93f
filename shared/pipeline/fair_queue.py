"""A few threads for calls that compute, at most one for each owner. Owners take turns."""

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
    """`threads` calls run at a time: many that compute would keep the event loop from the interpreter.

    An owner has at most one of them, and `waiting` in its queue; so one that sends much, or what takes long,
    holds up nobody else.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._waiting = waiting
        self._queues: dict[str, deque[_Call]] = {}  # of owners that wait or run
        self._ready: deque[str] = deque()  # owners that wait and do not run, the next one first
        self._changed = threading.Condition()
        self._is_closed = False
        for _ in range(threads):
            threading.Thread(target=self._run, name="plugin-turns", daemon=True).start()

    def submit(self, owner: str, call: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Raises `PoolFull` when the owner's queue is full, RuntimeError after `close`."""
        with self._changed:
            if self._is_closed:
                raise RuntimeError("The plugins' threads have ended.")
            if owner not in self._queues:
                self._queues[owner] = deque()
                self._ready.append(owner)
                self._changed.notify()
            queue = self._queues[owner]
            if len(queue) >= self._waiting:
                raise PoolFull("Too many bodies of this tenant wait to be judged.")
            future: Future[Any] = Future()
            queue.append(_Call(owner, future, call, arguments))
        return future

    def close(self) -> None:
        """Take no more calls, and give up those that wait."""
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
    except BaseException as error:  # noqa: BLE001 -- a thread that ended would leave others waiting
        due.future.set_exception(error)
