"""Whether to ask a store that failed: a circuit breaker without a clock."""

#: Failures in a row that open it, and successful probes in a row after which it may close.
OPEN_AFTER, CLOSE_AFTER = 3, 2


class Breaker:
    """Closed while the store answers. While it is open only probes ask, and whoever probes closes it."""

    __slots__ = ("_answered", "_unanswered", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._answered = self._unanswered = 0

    def answered(self) -> None:
        """The store answered a call, or a probe."""
        self._unanswered = 0
        self._answered += 1

    def unanswered(self) -> bool:
        """The store did not answer. True when that opened the breaker."""
        self._answered = 0
        self._unanswered += 1
        if self.is_open or self._unanswered < OPEN_AFTER:
            return False
        self.is_open = True
        return True

    @property
    def may_close(self) -> bool:
        """True when the last probes were all answered."""
        return self._answered >= CLOSE_AFTER

    def close(self) -> None:
        """Ask the store again."""
        self.is_open = False
