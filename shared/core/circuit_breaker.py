"""A circuit breaker without a clock and without I/O.

           `open_after` failures in a row
    closed ------------------------------> open
      ^                                     |
      +-------------------------------------+
        `close_after` successes in a row, and `close`

Closed, all calls go to the service. Open, only probes do.
"""


class CircuitBreaker:
    """Decides whether to call a service that failed. Times are seconds of one monotonic clock.

    >>> breaker = CircuitBreaker(open_after=2, close_after=1)
    >>> breaker.record_failure(began=1.0, now=1.1), breaker.record_failure(began=1.1, now=1.2)
    (False, True)
    >>> breaker.record_success()
    >>> breaker.is_open, breaker.may_close
    (True, True)
    """

    __slots__ = ("_close_after", "_failed_at", "_failures", "_open_after", "_successes", "is_open")

    def __init__(self, open_after: int, close_after: int) -> None:
        self._open_after = open_after
        self._close_after = close_after
        self._successes = self._failures = 0
        self._failed_at = float("-inf")
        self.is_open = False

    def record_success(self) -> None:
        """Count a call, or a probe, that succeeded."""
        self._failures = 0
        self._successes += 1

    def record_failure(self, began: float, now: float) -> bool:
        """Count a failed call that began at `began`. Returns True when it opened the breaker.

        A call that was under way at the last failure does not count: under any load, one stall of the
        service is one failure.
        """
        self._successes = 0
        if began < self._failed_at:
            return False
        self._failed_at = now
        self._failures += 1
        if self.is_open or self._failures < self._open_after:
            return False
        self.is_open = True
        return True

    @property
    def may_close(self) -> bool:
        """True when enough calls in a row succeeded."""
        return self._successes >= self._close_after

    def close(self) -> None:
        """Send all calls to the service again."""
        self.is_open = False
