"""The slots of one concurrent limit, in this process. Times are whole microseconds."""


class Leases:
    """Leases and their ends. A lease that is not renewed for its length ends.

    A lease that ends later than two lengths from now was acquired before the clock went back. It does not
    count: its holder renews it, if there still is one.
    """

    __slots__ = ("_ends", "_length")

    def __init__(self, length_ms: int) -> None:
        self._length = length_ms * 1000
        self._ends: dict[str, int] = {}

    def taken(self, now: int, besides: str = "") -> int:
        """The number of slots that are taken, without that of the lease `besides`."""
        return sum(self._is_live(end, now) and lease != besides for lease, end in self._ends.items())

    def acquire(self, now: int, lease: str) -> None:
        """Take a slot from now on for one length, whether there is room or not."""
        self._ends = {name: end for name, end in self._ends.items() if self._is_live(end, now)}
        self._ends[lease] = now + self._length

    def release(self, lease: str) -> None:
        """Free the slot of the lease, if it holds one."""
        self._ends.pop(lease, None)

    def is_over(self, now: int) -> bool:
        """True when all leases have ended."""
        return all(end <= now for end in self._ends.values())

    def _is_live(self, end: int, now: int) -> bool:
        return now < end <= now + 2 * self._length
