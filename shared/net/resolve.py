"""Resolves names to addresses, and checks each of them against the policy.

The check when a URL is saved is only a help for its author, because names change. The check at connect
time protects: its result is the address to connect to.
"""

import re
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

from shared.core.addresses import is_address, is_in, plain_address
from shared.core.errors import OutsideError, TargetForbidden
from shared.model.targets import parse_target
from shared.net.policy import Policy, forbidden_reason

#: Seconds that a check at save time waits for a name.
SAVE_TIMEOUT = 1.0

# Names of the machine that resolves them (RFC 6761, 6.3).
_LOCAL_NAME = re.compile(r"(?:.+\.)?localhost")

_Work = Callable[[], list[str]]


class LookupPool:
    """At most `max_threads` look-ups at a time. Further ones wait in a queue; the callers have timeouts.

    Its threads do not keep the process from ending, unlike those of an executor. The resolver of the
    system cannot be interrupted.
    """

    def __init__(self, max_threads: int) -> None:
        self._lock = threading.Lock()
        self._free = max_threads
        self._waiting: deque[tuple[Future[list[str]], _Work]] = deque()

    def submit(self, work: _Work) -> Future[list[str]]:
        """The result of `work`. A future that is canceled while it waits is never run."""
        found: Future[list[str]] = Future()
        with self._lock:
            self._waiting.append((found, work))
            needs_thread = self._free > 0
            self._free -= needs_thread
        if needs_thread:
            threading.Thread(target=self._run, name="look-up", daemon=True).start()
        return found

    def _run(self) -> None:
        while todo := self._next():
            _do(*todo)

    def _next(self) -> tuple[Future[list[str]], _Work] | None:
        """The oldest waiting look-up. When there is none, the thread ends."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._free += 1
            return None


def _do(found: Future[list[str]], work: _Work) -> None:
    if not found.set_running_or_notify_cancel():
        return
    try:
        found.set_result(work())
    except Exception as error:  # noqa: BLE001 -- the future carries it, and the thread goes on
        found.set_exception(error)


_pool = LookupPool(64)


class CheckedTarget(NamedTuple):
    """A URL that may be saved. `is_internal` is True if all its addresses are in allowed networks."""

    warnings: Sequence[str] = ()
    is_internal: bool = False


def check_target(url: str, policy: Policy, *, allow_query: bool = False) -> CheckedTarget:
    """Check a URL that is about to be saved.

    Raises ValueError when the URL is invalid, and `TargetForbidden` when an address of its host is not
    allowed. Waits for at most `SAVE_TIMEOUT`.
    """
    target = parse_target(url, allow_query=allow_query)
    try:
        addresses = resolve(target.host, target.port, policy, SAVE_TIMEOUT)
    except TargetForbidden:
        raise
    except OutsideError as error:
        return CheckedTarget([f"{error} The URL is saved, and checked again at each connection."])
    return CheckedTarget((), _is_internal(addresses, policy))


def _is_internal(addresses: Sequence[str], policy: Policy) -> bool:
    """Whether all are in allowed networks. A name that the operator's proxy resolves is not."""
    try:
        return all(is_in(plain_address(address), policy.allowed_networks) for address in addresses)
    except ValueError:
        return False


def resolve(host: str, port: int, policy: Policy, timeout: float) -> list[str]:
    """The addresses of `host`, the first to try first. `timeout` is in seconds.

    A name that the egress proxy resolves is its own address.

    Raises `TargetForbidden` when one of them is not allowed, and `OutsideError` when there is none.
    """
    found = look_up(host, port, policy)
    try:
        return found.result(timeout)
    except TimeoutError:
        found.cancel()
        raise too_slow(host) from None


def look_up(host: str, port: int, policy: Policy) -> Future[list[str]]:
    """The future result of `resolve`. A look-up that is canceled while it waits does not start."""
    work = partial(_checked_addresses, host, port, policy)
    if not is_address(host):
        return _pool.submit(work)
    found: Future[list[str]] = Future()
    _do(found, work)  # an address needs no look-up, so it needs no thread
    return found


def _checked_addresses(host: str, port: int, policy: Policy) -> list[str]:
    if policy.egress and policy.egress.resolves_name(host):
        return [_judged_by_name(host, port, policy)]
    # Without AI_ADDRCONFIG, a machine without IPv6 gets IPv6 addresses.
    flags = 0 if is_address(host) else socket.AI_ADDRCONFIG
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError):
        raise OutsideError(f"The name {host} could not be resolved.") from None
    addresses = [str(address[0]) for *_, address in found]
    if any(forbidden_reason(address, port, policy) for address in addresses):
        raise _forbidden(host)
    # IPv4 first: a server on 127.0.0.1 alone must be found under the name localhost.
    return sorted(addresses, key=lambda address: ":" in address)


def _judged_by_name(host: str, port: int, policy: Policy) -> str:
    """Return a name that the egress proxy resolves, and that only the proxy can judge by its addresses."""
    if _LOCAL_NAME.fullmatch(host) and forbidden_reason("127.0.0.1", port, policy):
        raise _forbidden(host)
    return host


def _forbidden(host: str) -> TargetForbidden:
    return TargetForbidden(
        f"The address of {host} is not allowed: it is private, local, reserved or the gateway's own. "
        "An operator can allow networks with security.allowed_target_networks."
    )


def too_slow(host: str) -> OutsideError:
    return OutsideError(f"The name {host} was not resolved in time.")
