"""The deadlines of all calls, with one timer."""

import asyncio
from collections import deque
from collections.abc import Callable

from shared.core.errors import StoreDown
from shared.redis_client.protocol import Call

# Seconds. A loop that was blocked reads the replies that have arrived before it fails their calls.
_GRACE = 0.001


class Deadlines:
    """Fails calls without a reply after `seconds`, and calls `missed` then."""

    def __init__(self, seconds: float, missed: Callable[[], None]) -> None:
        self._seconds = seconds
        self._missed = missed
        self._new: list[Call] = []
        self._calls: deque[tuple[float, Call]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, call: Call) -> None:
        """Start the time of a call at the end of this turn of the loop, when the call is sent."""
        self._new.append(call)
        if len(self._new) == 1:
            # The clock of uvloop stands still within a turn, so after a long turn the call would be late.
            asyncio.get_running_loop().call_soon(self._begin)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
        self._calls.clear()

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._seconds
        self._calls.extend((due, call) for call in self._new)
        self._new.clear()
        if self._timer is None:
            self._timer = loop.call_at(due, self._check)

    def _check(self) -> None:
        self._drop_replied()
        loop = asyncio.get_running_loop()
        if not self._calls:
            self._timer = None
        elif self._calls[0][0] > loop.time():
            self._timer = loop.call_at(self._calls[0][0], self._check)
        else:
            self._timer = loop.call_later(_GRACE, self._fail_late, loop.time())

    def _fail_late(self, due: float) -> None:
        missed = False
        while self._calls and self._calls[0][0] <= due:
            _, call = self._calls.popleft()
            missed = missed or not call.reply.done()
            call.fail(StoreDown("Redis did not respond in time."))
        self._check()
        if missed:
            self._missed()

    def _drop_replied(self) -> None:
        while self._calls and self._calls[0][1].reply.done():
            self._calls.popleft()
