"""Names into addresses, every one of them judged before one is called.

The check when something is saved is a courtesy: names change. What protects is the check at connect
time, which gives back the very address to connect to.
"""

import socket
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from ipaddress import ip_address

from shared.core.errors import OutsideError, TargetForbidden
from shared.model.targets import parse_target
from shared.net.lookup_pool import LookUps, done
from shared.net.policy import Policy, judge

#: Seconds that a check at save time waits for a name.
SAVE_TIMEOUT = 1.0

_FORBIDDEN = (
    "The address of {host} must not be called: it is private, local, reserved or the gateway's own. "
    "An operator can open networks with security.allowed_target_networks."
)
# The system's resolver cannot be interrupted; so many may hang at a time, the others wait for their turn.
_look_ups = LookUps(64)


def check_target(url: str, policy: Policy, *, allow_query: bool = False) -> list[str]:
    """Warnings about a URL that is about to be saved.

    Raises ValueError when it is no URL that may be called, and `TargetForbidden` when an address of
    its host is one that must not be called. Waits for at most `SAVE_TIMEOUT`.
    """
    target = parse_target(url, allow_query=allow_query)
    try:
        resolve(target.host, target.port, policy, SAVE_TIMEOUT)
    except TargetForbidden:
        raise
    except OutsideError as error:
        return [f"{error} It is saved all the same, and checked again with every connection."]
    return []


def resolve(host: str, port: int, policy: Policy, timeout: float) -> list[str]:
    """The addresses of `host`, the first to try first. `timeout` is in seconds.

    Raises `TargetForbidden` when one of them must not be called, and `OutsideError` when there is none.
    """
    found = look_up(host, port, policy)
    try:
        return found.result(timeout)
    except TimeoutError:
        found.cancel()
        raise too_slow(host) from None


def look_up(host: str, port: int, policy: Policy) -> Future[list[str]]:
    """What `resolve` gives or raises, in its time. Cancelled in time, the name is not looked up."""
    work = partial(_judged, host, port, policy)
    # Addresses take no place from names, and wait for none.
    return done(work) if _is_literal(host) else _look_ups.begin(work)


def _judged(host: str, port: int, policy: Policy) -> list[str]:
    # Without AI_ADDRCONFIG a machine that has no IPv6 would be given IPv6 addresses.
    flags = 0 if _is_literal(host) else socket.AI_ADDRCONFIG
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    except (OSError, UnicodeError):
        raise OutsideError(f"The name {host} could not be resolved.") from None
    addresses = [str(address[0]) for *_, address in found]
    if any(judge(address, port, policy) for address in addresses):
        raise TargetForbidden(_FORBIDDEN.format(host=host))
    # IPv4 first: a server that listens on 127.0.0.1 alone is found under the name localhost.
    return sorted(addresses, key=lambda address: ":" in address)


def _is_literal(host: str) -> bool:
    with suppress(ValueError):
        return bool(ip_address(host))
    return False


def too_slow(host: str) -> OutsideError:
    """Nobody waits for the name any longer."""
    return OutsideError(f"The name {host} was not resolved in time.")
