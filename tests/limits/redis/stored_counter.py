"""A counter of a window as Redis keeps it (counter.lua), read by other means than the scripts'."""

from dataclasses import dataclass

import redis

from shared.limits.values import Limit

WIDTH = 7  # bytes of a number in the head


@dataclass(frozen=True)
class StoredCounter:
    """The charge in all, and in each stored bucket."""

    total: int
    newest: int
    oldest: int
    ring: dict[int, int]


def stored_counter(store: redis.Redis, limit: Limit) -> StoredCounter | None:
    """The counter of a limit; None when there is none."""
    text = store.get(limit.key)
    return parsed(text) if text is not None else None


def used(store: redis.Redis, limit: Limit) -> int:
    """The units that Redis has counted."""
    counter = stored_counter(store, limit)
    return counter.total if counter else 0


def parsed(text: bytes) -> StoredCounter:
    total, newest = (int.from_bytes(text[at : at + WIDTH], "little") for at in (0, WIDTH))
    oldest = newest - text[2 * WIDTH]
    charged = int.from_bytes(text[2 * WIDTH + 1 : 3 * WIDTH + 1], "little")
    ring, bucket, rest = {}, oldest, list(text[3 * WIDTH + 1 :])
    while rest:
        units = shift = 0
        while (byte := rest.pop(0)) > 127:
            units |= (byte - 128) << shift
            shift += 7
        ring[bucket] = units | byte << shift
        bucket += rest.pop(0)
    assert bucket == newest
    return StoredCounter(total, newest, oldest, {**ring, newest: charged})
