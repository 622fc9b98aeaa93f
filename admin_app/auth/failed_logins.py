"""How often an address has failed to log in: ten times a minute, then its guesses are not even looked at."""

import threading
from collections import OrderedDict

from shared.core.addresses import client_network
from shared.core.clock import Clock

LIMIT = 10
WINDOW = 60.0
#: Addresses remembered at a time. The one that failed longest ago is forgotten first.
MAX_ADDRESSES = 10_000


class FailedLogins:
    """Failures of the last minute by address. Safe between threads; IPv6 counts by /64."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, address: str | None) -> float:
        """Seconds until `address` may try again; 0 when it may now."""
        with self._lock:
            recent = self._recent(_network(address))
            return recent[-LIMIT] + WINDOW - self._clock.monotonic() if len(recent) >= LIMIT else 0.0

    def note(self, address: str | None) -> None:
        """Count a failure of `address`."""
        network = _network(address)
        with self._lock:
            self._failures[network] = [*self._recent(network), self._clock.monotonic()][-LIMIT:]
            self._failures.move_to_end(network)
            if len(self._failures) > MAX_ADDRESSES:
                self._failures.popitem(last=False)

    def _recent(self, network: str) -> list[float]:
        since = self._clock.monotonic() - WINDOW
        return [moment for moment in self._failures.get(network, ()) if moment > since]


def _network(address: str | None) -> str:
    """What counts as one caller. A peer without an address (a unix socket) is one too."""
    return client_network(address) if address else ""
