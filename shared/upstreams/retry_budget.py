"""The bound on retries of one model, so that failing targets do not get several times the load.

Finagle's and Envoy's idea: retries are a part of the requests, not a number per request. When all targets
fail, each request would otherwise become `Retry.attempts` calls, at the worst moment.
"""

from shared.upstreams.recent import RecentCount

#: Retries per request within the window, and how many of them are always allowed.
RATIO, FREE = 0.2, 10
WINDOW_SECONDS = 10.0


class RetryBudget:
    """Counts the requests and the retries of the last seconds. `request` counts a request at a time.

    >>> budget = RetryBudget()
    >>> for _ in range(100):
    ...     budget.request(0.0)
    >>> sum(budget.take(1.0) for _ in range(100))  # a fifth of the requests
    20
    >>> sum(budget.take(12.0) for _ in range(100))  # without requests: those that are free
    10
    """

    __slots__ = ("_requests", "_retries", "request")

    def __init__(self) -> None:
        self._requests = RecentCount(WINDOW_SECONDS)
        self._retries = RecentCount(WINDOW_SECONDS)
        self.request = self._requests.add

    def take(self, now: float) -> bool:
        """Count a retry, if there may be one. Returns whether there may."""
        if self._retries.total(now) >= max(FREE, RATIO * self._requests.total(now)):
            return False
        self._retries.add(now)
        return True
