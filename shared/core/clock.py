"""Time as a parameter."""

from typing import Protocol


class Clock(Protocol):
    """Time as a parameter, so that tests turn the hands."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, from an arbitrary start."""
        ...
