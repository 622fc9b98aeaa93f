"""The cancellation of the task that serves the requests of a connection."""

import asyncio

from mitm_engine.wire_error import WireError


class Cancellation:
    """Of the exchange that is served now.

    Attributes:
        why: why it was canceled; None if it was not.
        is_ending: whether the exchange is ending, so that nothing cancels it any more.
    """

    __slots__ = ("is_ending", "why")

    def __init__(self) -> None:
        self.why: WireError | None = None
        self.is_ending = False

    def cancel(self, task: asyncio.Task[None], why: WireError) -> None:
        """Cancel `task`, which serves the exchange. The first reason counts."""
        if not self.is_ending:
            self.why = self.why or why
            task.cancel()

    def take(self) -> WireError | None:
        """Return why `cancel` ended the running task; None if something else did."""
        task = asyncio.current_task()
        if self.why is not None and task is not None:
            for _ in range(task.cancelling()):  # more than one if an addon swallowed the first
                task.uncancel()
        return self.why


def raise_cancellation() -> None:
    """Raise the cancellation that an addon has swallowed."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
