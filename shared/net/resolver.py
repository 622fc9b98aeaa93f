"""The addresses of upstreams: names are resolved once for concurrent requests, failed addresses come last."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial

from shared.net.policy import Policy
from shared.net.resolve import look_up, too_slow

#: Seconds that resolved addresses are used again. The system does not return their TTL, and this is shorter
#: than the TTLs in use.
CACHE_SECONDS = 5.0
#: Names that are cached, and failed addresses that are kept. Tenants choose the names.
MAX_NAMES = 1024
#: Seconds that an address is tried last after a connection to it failed.
FAILED_SECONDS = 30.0

_NEVER = float("-inf")
_Name = tuple[str, int]


class Resolver:
    """The checked addresses of a host and port, the first to try first. One event loop only.

    Cached addresses were checked when they were resolved; the policy does not change while the process
    runs. An error goes to all requests that wait for the name, and is not cached.
    """

    def __init__(self, policy: Policy, monotonic: Callable[[], float]) -> None:
        self._policy = policy
        self._monotonic = monotonic
        self._cached: OrderedDict[_Name, tuple[float, list[str]]] = OrderedDict()
        self._under_way: dict[_Name, asyncio.Future[list[str]]] = {}

    async def __call__(self, host: str, port: int, timeout: float = 5.0) -> list[str]:
        """Does not block the loop. `timeout` (seconds) excludes connecting. Raises as `resolve.resolve`."""
        name = host, port
        found = self._cached.get(name)
        if found and self._monotonic() < found[0]:
            self._cached.move_to_end(name)
            return found[1]
        look_up = self._under_way.get(name)
        if look_up is None or look_up.done():  # `_end` is called a moment after the end
            look_up = self._begin(name)
        try:
            # Other requests may wait for it too, so it goes on without this one.
            return await asyncio.wait_for(asyncio.shield(look_up), timeout)
        except TimeoutError:
            raise too_slow(host) from None

    def _begin(self, name: _Name) -> asyncio.Future[list[str]]:
        found = asyncio.wrap_future(look_up(*name, self._policy))
        self._under_way[name] = found
        found.add_done_callback(partial(self._end, name))
        return found

    def _end(self, name: _Name, found: asyncio.Future[list[str]]) -> None:
        if self._under_way.get(name) is found:
            del self._under_way[name]
        if found.cancelled() or found.exception():
            return
        self._cached[name] = self._monotonic() + CACHE_SECONDS, found.result()
        self._cached.move_to_end(name)
        if len(self._cached) > MAX_NAMES:
            self._cached.popitem(last=False)


class FailedAddresses:
    """The addresses that could not be connected to. `now` is in seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._failed: dict[tuple[str, int, str], float] = {}

    def add(self, host: str, port: int, address: str, now: float) -> None:
        key = host, port, address
        self._failed.pop(key, None)
        self._failed[key] = now
        if len(self._failed) > MAX_NAMES:
            del self._failed[next(iter(self._failed))]

    def first(self, host: str, port: int, addresses: Sequence[str], now: float) -> str:
        """The address to try: the first that did not fail, else the one whose failure is the oldest.

        Raises ValueError when there are no addresses.
        """

        def failed_at(address: str) -> float:
            moment = self._failed.get((host, port, address), _NEVER)
            return moment if now - moment < FAILED_SECONDS else _NEVER

        return min(addresses, key=failed_at)
