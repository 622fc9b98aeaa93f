"""What the store last said about windows: where a process starts counting when the store is gone."""

from collections.abc import Sequence

from shared.limits.values import WINDOW, LimitState


class LastUsage:
    """The last used units of at most `most` keys, the longest unheard first. Times are microseconds."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._used)

    def record(self, states: Sequence[LimitState], now: int) -> None:
        """Remember what the store says now."""
        used = self._used
        for state in states:
            limit = state.limit
            if limit.kind == WINDOW:
                used.pop(limit.key, None)
                used[limit.key] = (limit.quota.limit - state.remaining, now)
        while len(used) > self._most:
            del used[next(iter(used))]

    def get(self, key: str) -> tuple[int, int]:
        """The used units and when that was heard; nothing, never, for a key that is not known."""
        return self._used.get(key, (0, 0))

    def sweep(self, before: int, most: int) -> bool:
        """Drop at most `most` keys that were not heard of since `before`. False when there was none."""
        for dropped in range(most):
            key = next(iter(self._used), None)
            if key is None or self._used[key][1] >= before:
                return dropped > 0
            del self._used[key]
        return True
