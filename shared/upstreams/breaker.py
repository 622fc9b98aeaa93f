"""The circuit breaker of one target: takes it out of its pool while it fails.

           `consecutive` failures in a row, or `rate` of at least `of` calls in `window`
    closed -----------------------------------------------------------------------> open
      ^                                                                             |  ^
      |                                    `open` seconds; twice as long each time  |  |
      |                                    in a row, at most `longest`              v  |  the trial fails
      +------------------------------------------------------------------------ half-open
                                 the trial succeeds

Half-open, one call at a time is a trial. Workers begin their trials at different times. Another worker may
say that the target fails, which opens the breaker. It never closes on another worker's word: the other may
reach a target that this one does not. Probes of the fleet and operators open and close it (`hold_open`).

`core.circuit_breaker` takes all calls that were under way during one stall for one failure, and leaves the
time to others. Here each call counts, because a target that fails all of them at once has to leave at once.
"""

from shared.model.pools import Breaker
from shared.upstreams.recent import RecentCount

# A shift of more bits would only be cut to `longest`, and could overflow.
_MAX_DOUBLINGS = 30


class OutlierBreaker:
    """Decides whether a target may be called. Each call is `begin`, then one of the three results.

    Attributes:
        settings: when it opens, and for how long.
        until: when it becomes half-open; None while it is closed.
        reason: why it opened last; empty before the first time.
    """

    __slots__ = (
        "_calls",
        "_delay",
        "_failures",
        "_in_a_row",
        "_opened",
        "_trying",
        "reason",
        "settings",
        "until",
    )

    def __init__(self, settings: Breaker, trial_delay: float = 0.0) -> None:
        """`trial_delay` is how long this worker waits with its trial, in seconds."""
        self.until: float | None = None
        self.reason = ""
        self._delay = trial_delay
        self._in_a_row = self._opened = 0
        self._trying = False
        self.configure(settings)

    def configure(self, settings: Breaker) -> None:
        """Take other settings. The calls in the window are counted from zero; an open breaker stays open."""
        self.settings = settings
        self._calls, self._failures = RecentCount(settings.window), RecentCount(settings.window)

    def admits(self, now: float) -> bool:
        """True when it is closed, or half-open without a trial under way."""
        return self.until is None or (not self._trying and now >= self.until + self._delay)

    def begin(self, now: float) -> bool:
        """Note that a call begins. Returns True when it is the trial."""
        if self.until is None or not self.admits(now):
            return False
        self._trying = True
        return True

    def succeeded(self, now: float, *, is_trial: bool) -> None:
        """Count a call that the target served. A trial closes the breaker."""
        if is_trial:
            self.close()
        elif self.until is None:
            self._in_a_row = 0
            self._calls.add(now)

    def failed(self, now: float, reason: str, *, is_trial: bool) -> bool:
        """Count a call that failed by the target's fault. Returns True when it opened the breaker.

        Calls that began before it opened, and fail later, do not open it again.
        """
        if not is_trial:
            if self.until is not None:
                return False
            self._in_a_row += 1
            self._calls.add(now)
            self._failures.add(now)
            if not self._is_outlier(now):
                return False
        self._open(now, reason)
        return True

    def abandoned(self, *, is_trial: bool) -> None:
        """End a call that says nothing about the target, such as one whose client has left."""
        if is_trial:
            self._trying = False

    def open_until(self, until: float, now: float, reason: str) -> None:
        """Open it on another worker's word, for at most `longest`. The later end counts."""
        until = min(until, now + self.settings.longest)
        if until > now and (self.until is None or until > self.until):
            self.until, self.reason = until, reason

    def hold_open(self, until: float, reason: str) -> None:
        """Open it on the word of a probe or an operator: until then, whatever calls have shown."""
        self.until, self.reason = until, reason

    def close(self) -> None:
        """Admit all calls, and count from zero again."""
        self.until = None
        self._calls.clear()
        self._failures.clear()
        self._in_a_row = self._opened = 0
        self._trying = False

    def _is_outlier(self, now: float) -> bool:
        settings, calls = self.settings, self._calls.total(now)
        if self._in_a_row >= settings.consecutive:
            return True
        return calls >= settings.of and self._failures.total(now) >= settings.rate * calls

    def _open(self, now: float, reason: str) -> None:
        seconds = self.settings.open * 2 ** min(self._opened, _MAX_DOUBLINGS)
        self.until, self.reason = now + min(seconds, self.settings.longest), reason
        self._opened += 1
        self._trying = False
