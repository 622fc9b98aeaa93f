"""A bound on failed logins: after ten within a minute, an address must wait before its next attempt.

Redis counts for all workers of all machines, in the order in which the attempts reach it. So of attempts that
are made at once, a right one counts only if it comes before the bound is reached. While Redis is away, each
process counts alone, with its share of the bound, so that those of a machine together allow no more.
"""

import threading
from collections import OrderedDict
from typing import Final, cast

from flask import current_app

from admin_app.auth.attempts import WINDOW_SECONDS, CountAttempt
from shared.config_store import layout
from shared.core.addresses import client_network
from shared.core.clock import Clock
from shared.core.errors import StoreDown

MAX_FAILURES: Final = 10
#: Addresses that a process holds at a time. The one whose last failure is oldest is dropped first.
MAX_ADDRESSES: Final = 10_000
#: Failures per minute that a process adds to the audit log.
MAX_SAMPLES: Final = 10
#: The key of `FailedLogins` in `flask.Flask.extensions`.
EXTENSION: Final = "gateway_failed_logins"


class FailedLogins:
    """The failures of the last minute by address. Thread-safe; IPv6 counts by /64."""

    def __init__(self, clock: Clock, count: CountAttempt, workers: int = 1) -> None:
        """`count` counts for all processes; `workers` is the number of those of this machine."""
        self._clock = clock
        self._count = count
        self._share = max(1, MAX_FAILURES // workers)
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._samples: dict[str, float] = {}
        self._lock = threading.Lock()

    def attempt(self, address: str | None, *, failed: bool) -> float:
        """Count an attempt. Returns the seconds until the next one; 0 if this one counts."""
        network = _network(address)
        try:
            wait = self._count(layout.login_key(network), MAX_FAILURES, failed)
        except StoreDown:
            wait = self._wait(network)
        if failed and not wait:
            self._add(network)
        return wait

    def is_sample(self, address: str | None) -> bool:
        """Whether a failure of `address` is to be noted: its first of the minute, ten in all per minute."""
        now, network = self._clock.monotonic(), _network(address)
        with self._lock:
            recent = {one: at for one, at in self._samples.items() if at > now - WINDOW_SECONDS}
            if len(recent) >= MAX_SAMPLES or network in recent or self._recent(network):
                return False
            self._samples = {**recent, network: now}
            return True

    def _wait(self, network: str) -> float:
        with self._lock:
            recent = self._recent(network)
        if len(recent) < self._share:
            return 0.0
        return recent[-self._share] + WINDOW_SECONDS - self._clock.monotonic()

    def _add(self, network: str) -> None:
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
