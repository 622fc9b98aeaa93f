"""Names that were asked for and are nobody's: not asked for again for a short time."""

# Most names held: strangers choose them. About 200 bytes each.
_MOST = 10_000

#: Seconds. The longest that a new name may stay unknown when the news of it is lost.
ABSENT_FOR = 2.0


class NegativeCache:
    """Names with the time until which they count as absent; the oldest goes when there are too many."""

    def __init__(self, most: int = _MOST) -> None:
        self._until: dict[tuple[str, str], float] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self._until)

    def add(self, name: tuple[str, str], now: float) -> None:
        self._until.pop(name, None)
        if len(self._until) >= self._most:
            del self._until[next(iter(self._until))]
        self._until[name] = now + ABSENT_FOR

    def holds(self, name: tuple[str, str], now: float) -> bool:
        return self._until.get(name, now) > now
