"""Requests that are over wait here until a thread sends their spans.

A span is never worth a request: above the queue, and while the collector takes none, they are dropped and
counted.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from shared.core.process.failures import Failures
from shared.metrics.spans import Finished, Span, spans_of

logger = logging.getLogger(__name__)

#: The most requests whose spans wait.
MAX_WAITING: Final = 2_048
# Requests of one call of the collector, and those whose spans are made before other threads get a turn.
_BATCH: Final = 512
_BUILT: Final = 16
_PAUSE_SECONDS: Final = 0.5  # between two calls, unless more than a batch waits
_CLOSE_SECONDS: Final = 2.0

#: Encodes a span.
Encode = Callable[[Span], bytes]
#: Sends encoded spans. Returns why it could not; empty if it could.
Send = Callable[[Sequence[bytes]], str]


class SpanQueue:
    """Collects requests that are over, and sends their spans in batches. Close it at the end.

    Attributes:
        dropped: requests whose spans were lost.
    """

    def __init__(self, send: Send, encode: Encode) -> None:
        self.dropped = 0
        self._send, self._encode = send, encode
        self._waiting: deque[Finished] = deque()
        self._ending = threading.Event()
        self._failures = Failures()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def put(self, one: Finished) -> None:
        """Take a request that is over."""
        if len(self._waiting) >= MAX_WAITING:
            self.dropped += 1
            return
        self._waiting.append(one)

    def close(self) -> None:
        """Send what waits, as far as the collector takes it at once."""
        self._ending.set()
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._ending.wait(0.0 if len(self._waiting) > _BATCH else _PAUSE_SECONDS)
            self._send_next()
            while is_last and self._waiting:
                self._send_next()

    def _send_next(self) -> None:
        some = [self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH))]
        if not some:
            return
        try:
            why = self._send(self._built(some))
        except Exception as error:  # noqa: BLE001 -- the boundary of the thread: no request may end it
            why = f"{type(error).__name__}: {error}"
        if not why:
            self._failures.end()
            return
        self.dropped += len(some)
        if self._failures.is_new(why):
            logger.warning("Spans are dropped: %s", why)

    def _built(self, some: Sequence[Finished]) -> list[bytes]:
        found: list[bytes] = []
        for number, one in enumerate(some):
            if number % _BUILT == 0:
                time.sleep(0)  # gives the interpreter to the thread of requests
            found += map(self._encode, spans_of(one))
        return found
