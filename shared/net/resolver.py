"""What names lead to while requests come: one look-up for all who ask at a time, kept for a moment."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from shared.net.policy import Policy
from shared.net.resolve import look_up, too_slow

#: Seconds that addresses are used again. The system does not tell how long they hold; less than any TTL in
#: use is never wrong for long, and more would save little: it is one look-up a name and worker already.
KEPT_FOR = 5.0
#: Names that are kept. Tenants choose them, so there must be an end.
NAMES_KEPT = 1024
#: Seconds that a connection waits for a name; connecting itself has its own limit.
CONNECT_TIMEOUT = 5.0

_Name = tuple[str, int]


class Resolver:
    """The judged addresses of a host and port, the first to try first. Belongs to one event loop.

    What is kept was judged when it was found, under the policy that holds as long as the process. Errors
    are shared by who waits for them and not kept.
    """

    def __init__(self, policy: Policy, monotonic: Callable[[], float]) -> None:
        self._policy = policy
        self._monotonic = monotonic
        self._kept: OrderedDict[_Name, tuple[float, list[str]]] = OrderedDict()
        self._under_way: dict[_Name, asyncio.Future[list[str]]] = {}

    async def __call__(self, host: str, port: int, timeout: float = CONNECT_TIMEOUT) -> list[str]:
        """Does not block the loop. `timeout` is in seconds. Raises as `resolving.resolve`."""
        name = host, port
        found = self._kept.get(name)
        if found and self._monotonic() < found[0]:
            self._kept.move_to_end(name)
            return found[1]
        look_up = self._under_way.get(name) or self._begin(name)
        try:
            # Others wait for it too, and whoever comes next: it goes on without this one.
            return await asyncio.wait_for(asyncio.shield(look_up), timeout)
        except TimeoutError:
            raise too_slow(host) from None

    def _begin(self, name: _Name) -> asyncio.Future[list[str]]:
        found = asyncio.wrap_future(look_up(*name, self._policy))
        self._under_way[name] = found
        found.add_done_callback(partial(self._end, name))
        return found

    def _end(self, name: _Name, found: asyncio.Future[list[str]]) -> None:
        del self._under_way[name]
        if found.cancelled() or found.exception():
            return
        self._kept[name] = self._monotonic() + KEPT_FOR, found.result()
        self._kept.move_to_end(name)
        if len(self._kept) > NAMES_KEPT:
            self._kept.popitem(last=False)
