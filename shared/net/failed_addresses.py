"""Addresses that could not be connected to: for a while they are tried last."""

from collections.abc import Sequence

#: Seconds that an address is tried last after a connection to it failed.
LAST_FOR = 30.0
#: Addresses that are remembered. Tenants choose the names, so there must be an end.
MOST = 1024

_NEVER = float("-inf")


class DeadAddresses:
    """Remembers by host and port, without a clock: `now` is in seconds of any clock that never goes back."""

    def __init__(self) -> None:
        self._failed: dict[tuple[str, int, str], float] = {}

    def failed(self, host: str, port: int, address: str, now: float) -> None:
        """A connection to this address of the host failed."""
        key = host, port, address
        self._failed.pop(key, None)
        self._failed[key] = now
        if len(self._failed) > MOST:
            del self._failed[next(iter(self._failed))]

    def first(self, host: str, port: int, addresses: Sequence[str], now: float) -> str:
        """The one to try: the first that did not fail, else the one that failed longest ago.

        Raises ValueError when there are none.
        """

        def failed_at(address: str) -> float:
            moment = self._failed.get((host, port, address), _NEVER)
            return moment if now - moment < LAST_FOR else _NEVER

        return min(addresses, key=failed_at)
