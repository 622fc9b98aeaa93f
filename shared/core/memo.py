"""Small answers that are asked for again and again: the same few header names, hosts, paths."""

from collections.abc import Callable

# Clients choose what is asked for, so there must be an end: keys, and characters of one.
_MOST, _LONGEST = 4096, 128


class Memo[K: str | bytes, V](dict[K, V]):
    """What `work` makes of a key, worked out once for each key that is not long. Full, it begins anew.

    A look into it costs no call, a third of what `functools.lru_cache` takes. What `work` raises is raised.

    >>> lower = Memo(str.lower)
    >>> lower["Host"], len(lower)
    ('host', 1)
    """

    def __init__(self, work: Callable[[K], V]) -> None:
        super().__init__()
        self._work = work

    def __missing__(self, key: K) -> V:
        value = self._work(key)
        if len(key) <= _LONGEST:
            if len(self) >= _MOST:
                self.clear()
            self[key] = value
        return value
