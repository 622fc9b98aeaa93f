"""Whether to ask a store that failed: a circuit breaker without a clock."""

#: Failures in a row that open it, and successful probes in a row after which it may close.
OPEN_AFTER, CLOSE_AFTER = 3, 2


class Breaker:
    """Closed while the store answers. While it is open only probes ask, and whoever probes closes it."""

    __slots__ = ("_failed_at", "_failures", "_successes", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._successes = self._failures = 0
        self._failed_at = float("-inf")

    def record_success(self) -> None:
        """The store answered a call, or a probe."""
        self._failures = 0
        self._successes += 1

    def record_failure(self, began: float, now: float) -> bool:
        """The store did not answer a call that began at `began`. True when that opened the breaker.

        Calls that were under way at the last failure failed with it: one stall is one failure, whatever
        the load. Times are seconds of any clock that never goes back.
        """
        self._successes = 0
        if began < self._failed_at:
            return False
        self._failed_at = now
        self._failures += 1
        if self.is_open or self._failures < OPEN_AFTER:
            return False
        self.is_open = True
        return True

    @property
    def may_close(self) -> bool:
        """True when the last probes were all answered."""
        return self._successes >= CLOSE_AFTER

    def close(self) -> None:
        """Ask the store again."""
        self.is_open = False
