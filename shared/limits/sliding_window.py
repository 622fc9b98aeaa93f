"""One counter of the bucketed sliding window, in this process.

The window is divided into 64 buckets. The newest 64 count, and the oldest, which overlaps in part, counts
in full. So no window admits more than the limit, and a window that is one bucket longer would reject the
same requests. Times are whole microseconds.
"""

from collections.abc import Mapping

from shared.limits.values import NEVER, Limit, LimitState

BUCKETS = 64


def bucket_width(window_ms: int) -> int:
    """The length of a bucket, in microseconds."""
    return -(-window_ms * 1000 // BUCKETS)


class BucketedWindow:
    """The charges of the last window: at most 65 numbers, whatever the limit."""

    __slots__ = ("_charged", "_width")

    def __init__(self, window_ms: int) -> None:
        self._width = bucket_width(window_ms)
        self._charged: dict[int, int] = {}  # bucket -> units, the oldest first

    def total(self, now: int) -> int:
        """The units that count at the time `now`."""
        return sum(units for _, units in self._live(now))

    def charged(self, now: int) -> Mapping[int, int]:
        """The units that count at the time `now`, by bucket."""
        return dict(self._live(now))

    def charge(self, now: int, cost: int) -> None:
        """Add `cost` to the bucket of `now`, whether there is room or not."""
        bucket = self._bucket(now)
        self._charged = dict(self._live(now))
        self._charged[bucket] = self._charged.get(bucket, 0) + cost

    def refund(self, now: int, cost: int, charged_at: int = 0) -> None:
        """Remove up to `cost` from the bucket of `charged_at`; when that is 0, from the oldest that count.

        An older bucket than the charged one never admits too many requests; a newer one would.
        """
        live = dict(self._live(now))
        for bucket in [charged_at // self._width] if charged_at else list(live):
            taken = min(cost, live.get(bucket, 0))
            cost -= taken
            if taken:
                live[bucket] -= taken
                self._charged[bucket] -= taken
        if not any(live.values()):
            self._charged.clear()

    def correct(self, now: int, units: int, charged_at: int = 0) -> None:
        """Add units to the bucket of `charged_at`, if it counts; when that is 0, to that of `now`.

        A negative number is a refund.
        """
        if units < 0:
            self.refund(now, -units, charged_at)
        elif charged_at:
            self._add(now, units, charged_at // self._width)
        else:
            self.charge(now, units)

    def wait_ms(self, now: int, units: int) -> int:
        """Milliseconds until at least `units` have left the window; 0 when it is empty."""
        until = now
        for bucket, charged in self._live(now):
            until = (bucket + BUCKETS + 1) * self._width
            units -= charged
            if units <= 0:
                break
        return -(-(until - now) // 1000)

    def _add(self, now: int, units: int, bucket: int) -> None:
        last = self._bucket(now)
        # The newest bucket stays the newest, also without units.
        newest = next(reversed(self._charged), bucket)
        if newest <= last and last - BUCKETS <= bucket <= last:
            live = {newest: 0, **dict(self._live(now))}
            live[bucket] = live.get(bucket, 0) + units
            self._charged = dict(sorted(live.items()))

    def _bucket(self, now: int) -> int:
        """The bucket of `now`. It goes back only when the clock goes back by more than a window."""
        bucket = now // self._width
        newest = next(reversed(self._charged), 0)
        return newest if bucket < newest <= bucket + BUCKETS else bucket

    def _live(self, now: int) -> list[tuple[int, int]]:
        bucket = self._bucket(now)
        return [
            (charged, units)
            for charged, units in self._charged.items()
            if bucket - BUCKETS <= charged <= bucket and units
        ]


def window_state(limit: Limit, window: BucketedWindow, now: int) -> LimitState:
    """The state of a window limit."""
    room = limit.quota.limit
    used = window.total(now)
    lacking = used + limit.cost - room
    wait = window.wait_ms(now, max(lacking, 1)) if limit.cost <= room else NEVER
    return LimitState(limit, max(room - used, 0), wait)
