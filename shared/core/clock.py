"""Time as a parameter."""

from typing import Protocol


class Clock(Protocol):
    """The current time, passed as a parameter, so that tests can set it."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary start."""
        ...
