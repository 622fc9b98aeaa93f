"""A bound on failed logins: after ten within a minute, an address must wait before its next attempt."""

import threading
from collections import OrderedDict
from typing import cast

from flask import current_app

from shared.core.addresses import client_network
from shared.core.clock import Clock

MAX_FAILURES = 10
WINDOW_SECONDS = 60.0
#: Addresses held at a time. The address whose last failure is oldest is dropped first.
MAX_ADDRESSES = 10_000
#: The key of `FailedLogins` in `flask.Flask.extensions`.
EXTENSION = "gateway_failed_logins"


class FailedLogins:
    """The failures of the last minute by address. Thread-safe; IPv6 counts by /64."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def retry_after(self, address: str | None) -> float:
        """Seconds until `address` may try again; 0 when it may now."""
        with self._lock:
            recent = self._recent(_network(address))
        if len(recent) < MAX_FAILURES:
            return 0.0
        return recent[-MAX_FAILURES] + WINDOW_SECONDS - self._clock.monotonic()

    def add(self, address: str | None) -> None:
        """Count a failure of `address`."""
        network = _network(address)
        with self._lock:
            self._failures[network] = [*self._recent(network), self._clock.monotonic()][-MAX_FAILURES:]
            self._failures.move_to_end(network)
            if len(self._failures) > MAX_ADDRESSES:
                self._failures.popitem(last=False)

    def _recent(self, network: str) -> list[float]:
        since = self._clock.monotonic() - WINDOW_SECONDS
        return [moment for moment in self._failures.get(network, ()) if moment > since]


def failed_logins() -> FailedLogins:
    """The failed logins of the app that handles the current request."""
    return cast(FailedLogins, current_app.extensions[EXTENSION])


def _network(address: str | None) -> str:
    """The addresses that count as one caller. A peer without an address (a unix socket) is one caller."""
    return client_network(address) if address else ""
