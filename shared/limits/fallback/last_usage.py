"""The usage that Redis last returned: a process counts on from it while Redis does not respond."""

from collections.abc import Sequence

from shared.limits.values import CONCURRENT, LimitState


class LastUsage:
    """The used units of at most `max_entries` keys, the oldest first. Times are microseconds."""

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._used: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._used)

    def record(self, states: Sequence[LimitState], now: int) -> None:
        """Keep the usage that Redis returned at `now`."""
        used = self._used
        for state in states:
            limit = state.limit
            if limit.kind != CONCURRENT:
                used.pop(limit.key, None)
                used[limit.key] = (limit.quota.limit - state.remaining, now)
        while len(used) > self._max_entries:
            del used[next(iter(used))]

    def get(self, key: str) -> tuple[int, int]:
        """The used units of a key and the time of that reply; (0, 0) when none is known."""
        return self._used.get(key, (0, 0))

    def sweep(self, before: int, most: int) -> bool:
        """Drop at most `most` keys whose last reply is older than `before`. False when there was none."""
        for dropped in range(most):
            key = next(iter(self._used), None)
            if key is None or self._used[key][1] >= before:
                return dropped > 0
            del self._used[key]
        return True
