"""Bounds the memory of all request records in Redis together: the largest streams are trimmed first.

A job of one admin process. Where Redis has a `maxmemory`, records also give way when little of it is left.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import batched
from typing import Any, Final

from redis import Redis

from shared.core.sizes import trim_plan
from shared.records.keys import ALL, TENANTS_KEY, records_key
from shared.records.recorder import FULL

logger = logging.getLogger(__name__)

# Streams that one call looks at.
_AT_ONCE: Final = 200


class Sweeper:
    """Trims the streams of records. The client must return bytes. Raises redis-py's errors."""

    def __init__(self, client: Redis, max_bytes: int) -> None:
        self._client = client
        self._max_bytes = max_bytes

    def run(self, may_go_on: Callable[[], bool] = lambda: True) -> None:
        """Compare the sizes of all streams once, and trim what is too much."""
        sizes, lengths = self._measure()
        bound = min(self._max_bytes, sum(sizes.values()) - self._shortage())
        for owner, most in trim_plan(sizes, max(bound, 0)).items():
            if not may_go_on():
                return
            kept = lengths[owner] * most // max(sizes[owner], 1)
            self._client.xtrim(records_key(owner), maxlen=kept, approximate=False)

    def _measure(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """The bytes and the number of records of each owner that has any. Forget tenants that have none."""
        sizes: dict[str, int] = {}
        lengths: dict[str, int] = {}
        gone = []
        for owner, size, length in self._sizes():
            if length:
                sizes[owner], lengths[owner] = size, length
            elif owner != ALL:
                gone.append(owner)
        if gone:
            self._client.srem(TENANTS_KEY, *gone)
        return sizes, lengths

    def _sizes(self) -> Iterator[tuple[str, int, int]]:
        members: Any = self._client.smembers(TENANTS_KEY)
        owners: Iterable[str] = [ALL, *sorted(member.decode() for member in members)]
        for some in batched(owners, _AT_ONCE):
            with self._client.pipeline(transaction=False) as pipeline:
                for owner in some:
                    pipeline.memory_usage(records_key(owner))
                    pipeline.xlen(records_key(owner))
                replies = pipeline.execute()
            for owner, (size, length) in zip(some, batched(replies, 2), strict=True):
                yield owner, size or 0, length

    def _shortage(self) -> int:
        """The bytes by which Redis is fuller than it may be; below 0: the bytes that are left."""
        info: Any = self._client.info("memory")
        most = int(info.get("maxmemory", 0))
        return int(info["used_memory"] - most * FULL) if most else 0
