"""The pool of connections to upstreams that are kept for the next exchange.

A mistake here could send one client the response of another. So a connection serves one owner only, is only
kept after a complete response, is checked before it serves again, and is closed when an unexpected byte
arrives.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterator

from mitm_engine.exchange.turn import Turn
from mitm_engine.metrics import Metrics
from mitm_engine.upstream_connection import AnyKey, UpstreamConnection
from mitm_engine.wire_error import WireError

#: Seconds that an unused connection is kept, unless the upstream announces less. Many servers close after 5.
IDLE = 4.0
#: Seconds that a connection serves, so that the pool follows changes in DNS.
MAX_AGE = 300.0
#: The most unused connections per key, and the most connections per key.
MAX_IDLE, MAX_TOTAL = 128, 8_192


class Pool:
    """Unused connections by key; the last used serves first, so that the others expire."""

    def __init__(
        self,
        metrics: Metrics,
        turn: Turn,
        ended: Callable[[UpstreamConnection], None],
        head_limit: int,
        read_ahead: int,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.turn = turn
        self.head_limit = head_limit
        self.read_ahead = read_ahead
        self._metrics = metrics
        self._ended = ended
        self._idle: dict[AnyKey, deque[UpstreamConnection]] = {}
        self._counted: set[UpstreamConnection] = set()
        self._total: defaultdict[AnyKey, int] = defaultdict(int)
        self._emptied = 0.0

    def take(self, key: AnyKey) -> UpstreamConnection | None:
        """Return a connection that can serve now, None if a new one is needed."""
        now = self.loop.time()
        idle = self._idle.get(key)
        while idle:
            found = idle.pop()
            if now <= found.idle_until and found.is_usable():
                self._metrics.pool_hits += 1
                return found
            found.close()
        self._metrics.pool_misses += 1
        return None

    def reserve(self, connection: UpstreamConnection) -> None:
        """Count a connection before it is made. Raises `WireError` above the limit of its key."""
        if self._total[connection.key] >= MAX_TOTAL:
            raise WireError("overloaded", "The upstream has the most connections that it may have.")
        self._total[connection.key] += 1
        self._counted.add(connection)
        self._metrics.upstream_connections += 1

    def free(self, connection: UpstreamConnection) -> None:
        """Undo `reserve`: the connection was not made, or has ended."""
        if connection not in self._counted:
            return
        self._counted.discard(connection)
        self._metrics.upstream_connections -= 1
        self._total[connection.key] -= 1
        if not self._total[connection.key]:
            del self._total[connection.key]

    def release(self, connection: UpstreamConnection) -> None:
        """Keep a connection after its exchange if it can serve again, else close it."""
        idle = self._idle.get(connection.key)
        is_full = idle is not None and len(idle) >= MAX_IDLE
        if is_full or connection.born <= self._emptied or not connection.is_reusable():
            connection.close()
            return
        now, reader = self.loop.time(), connection.reader
        # A second earlier than the upstream.
        limit = IDLE if reader.idle_limit is None else max(reader.idle_limit - 1, 0)
        connection.idle_until = min(now + limit, connection.born + MAX_AGE)
        if idle is None:
            idle = self._idle[connection.key] = deque()
        idle.append(connection)

    def ended(self, connection: UpstreamConnection) -> None:
        """Remove a connection that has ended."""
        key = connection.key
        idle = self._idle.get(key)
        if idle and connection in idle:
            idle.remove(connection)
        if idle is not None and not idle:
            del self._idle[key]
        self.free(connection)
        self._ended(connection)

    def sweep(self, now: float) -> None:
        """Close connections that were not used for too long."""
        for connection in [one for one in self._unused() if one.idle_until < now]:
            connection.close()

    def empty(self) -> None:
        """Close all unused connections, and the others when they are released."""
        self._emptied = self.loop.time()
        for connection in list(self._unused()):
            connection.close()

    def _unused(self) -> Iterator[UpstreamConnection]:
        for idle in self._idle.values():
            yield from idle
