"""Calls of addresses of tenants for which a request to the admin API waits.

An address that does not respond keeps a thread for seconds, and there are few: a tenant could stop the API
for all others. So a tenant has some at a time, and all tenants have as many as leave threads for others.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

from flask import current_app

from admin_app.http.errors import ApiError
from shared.secrets.context import PLATFORM

#: The calls at a time in one worker: of a tenant, and of all. A worker has 8 threads.
MAX_OF_TENANT: Final = 2
MAX_OF_ALL: Final = 4
#: The key of the `_Running` in `flask.Flask.extensions`.
EXTENSION: Final = "gateway_outside_calls"
_RETRY_SECONDS: Final = "5"


class _Running:
    """The calls that tenants wait for now."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._calls = Counter[str]()

    def begin(self, owner: str) -> bool:
        """Return whether the owner may have one more, which then runs."""
        with self._lock:
            if self._calls[owner] >= MAX_OF_TENANT or self._calls.total() >= MAX_OF_ALL:
                return False
            self._calls[owner] += 1
            return True

    def end(self, owner: str) -> None:
        """One of them is over."""
        with self._lock:
            self._calls[owner] -= 1
            self._calls += Counter[str]()  # without those that have none


@contextmanager
def outside_call(owner: str) -> Iterator[None]:
    """Around a call of an address of an owner. Raises 429 while too many of tenants run."""
    if owner == PLATFORM:
        yield
        return
    running: _Running = current_app.extensions.setdefault(EXTENSION, _Running())
    if not running.begin(owner):
        detail = f"Too many tests of addresses run now. Retry in {_RETRY_SECONDS} seconds."
        raise ApiError("too_many_tests", detail, headers={"Retry-After": _RETRY_SECONDS})
    try:
        yield
    finally:
        running.end(owner)
