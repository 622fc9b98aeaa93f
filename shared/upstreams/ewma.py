"""How long a target takes to its first content: a peak EWMA, and the age of the calls that still wait.

A peak EWMA (Finagle's word) takes a slower sample at once and forgets it slowly:

    slower than the estimate:   e = sample
    else:                       e = e * d + sample * (1 - d),   d = exp(-seconds since the last one / 10)

Without samples for 10 s it begins to halve, every 10 s, so that a target that was slow is tried again.
"""

import math

#: The seconds in which an old sample loses most of its weight, and after which an idle estimate is halved.
DECAY_SECONDS = 10.0


class PeakEwma:
    """The estimate of one target, in seconds.

    >>> latency = PeakEwma()
    >>> first, second = latency.begin(0.0), latency.begin(1.0)
    >>> latency.arrived(first, 0.3)
    >>> latency.estimate(1.1), latency.estimate(4.0)  # the second call has waited for 3 seconds
    (0.3, 3.0)
    """

    __slots__ = ("_at", "_next", "_value", "_waiting")

    def __init__(self) -> None:
        self._value: float | None = None
        self._at = 0.0
        self._next = 0
        self._waiting: dict[int, float] = {}  # when each call began, the oldest first

    def begin(self, now: float) -> int:
        """Note a call that was sent. Returns its number."""
        self._next += 1
        self._waiting[self._next] = now
        return self._next

    def arrived(self, call: int, now: float) -> None:
        """Take the time to the first content of a call as a sample."""
        if call not in self._waiting:
            return
        sample, value = now - self._waiting.pop(call), self._value
        if value is not None and sample < value:
            kept = math.exp((self._at - now) / DECAY_SECONDS)
            sample = value * kept + sample * (1 - kept)
        self._value, self._at = sample, now

    def failed(self, call: int, now: float, timeout: float) -> None:
        """Take a failed call as one that lasted its whole `timeout`."""
        self._waiting[call] = now - timeout
        self.arrived(call, now)

    @property
    def calls(self) -> int:
        """A number that grows with each call."""
        return self._next

    def ended(self, call: int) -> None:
        """Forget a call that says nothing about the target."""
        self._waiting.pop(call, None)

    def restart(self) -> None:
        """Forget all samples: the target has recovered, and they are from before."""
        self._value = None

    def estimate(self, now: float) -> float | None:
        """The expected time to the first content; at least the age of the oldest call that waits for it.

        None before the first sample, unless a call waits.
        """
        value = self._value
        if value is not None:
            idle = now - self._at - DECAY_SECONDS
            value = value * 0.5 ** (idle / DECAY_SECONDS) if idle > 0 else value
        oldest = next(iter(self._waiting.values()), None)
        if oldest is not None and now - oldest > (value or 0.0):
            return now - oldest
        return value
