"""The addresses that the gateway may call for a tenant.

Tenants name targets and validators. So an address must be public, or in a network that the operator
allowed (`security.allowed_target_networks`). The gateway's own listeners, and Redis, are never allowed.
"""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from shared.core.addresses import Address, Network, is_in, plain_address
from shared.net.egress import EgressProxy

# IPv6 addresses with an IPv4 address in their last 32 bits, to which routers or the system forward:
# IPv4-translated (RFC 2765), NAT64 (RFC 6052), IPv4-compatible (RFC 4291, 2.5.5.1).
_EMBEDDING = tuple(IPv6Network(text) for text in ("::ffff:0:0:0/96", "64:ff9b::/96", "::/96"))
# Never public, whatever Python says: Azure's platform address (metadata, DNS), the relays of 6to4 (RFC 7526),
# site-local addresses, and special-purpose ones (IANA) that older releases of Python 3.12 call global.
_SPECIAL: tuple[Network, ...] = (
    *(IPv4Network(text) for text in ("168.63.129.16/32", "192.88.99.0/24", "192.0.0.0/24")),
    *(IPv6Network(text) for text in ("64:ff9b:1::/48", "2001::/23", "3fff::/20", "5f00::/16", "fec0::/10")),
)


@dataclass(frozen=True, slots=True)
class Policy:
    """Allows public addresses and `allowed_networks`, and never `own_listeners`.

    `own_listeners` are (host, port) pairs of the admin API, the proxy, its web view and Redis. A host is a
    name or an address. An unspecified one (``0.0.0.0``, ``::``) means every address of this machine.
    Connections lead through the proxy `egress`, if there is one.
    """

    allowed_networks: tuple[Network, ...] = ()
    own_listeners: tuple[tuple[str, int], ...] = ()
    egress: EgressProxy | None = None


def forbidden_reason(address: str, port: int, policy: Policy) -> str | None:
    """The reason why (`address`, `port`) is not allowed; None when it is allowed.

    The reason is for logs, not for tenants. Raises ValueError when `address` is not an address.
    """
    plain = plain_address(address)
    meanings = tuple(_meanings(plain))
    for meaning in meanings:
        if meaning.is_unspecified or meaning.is_multicast:
            return "it is an unspecified or a multicast address"
        is_public = meaning.is_global and not meaning.is_reserved and not is_in(meaning, _SPECIAL)
        if not is_public and not is_in(meaning, policy.allowed_networks):
            return "it is a private, local or reserved address"
    hosts = [host for host, own_port in policy.own_listeners if own_port == port]
    if any(_is_at(meaning, host, port) for meaning in meanings for host in hosts):
        return "it is a listener of this gateway"
    return None


def _meanings(address: Address) -> Iterable[Address]:
    """All addresses that a packet to `address` can reach."""
    if isinstance(address, IPv4Address):
        yield address
        return
    embedded = any(address in network for network in _EMBEDDING)
    if embedded and int(address) > 1:  # :: and ::1 are in ::/96 and embed nothing
        yield IPv4Address(int(address) & 0xFFFFFFFF)
        return
    yield address
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo


def _is_at(address: Address, host: str, port: int) -> bool:
    """True when the listener at `host` has this address; also when its name cannot be resolved."""
    try:
        found = {plain_address(str(info[4][0])) for info in socket.getaddrinfo(host, port)}
    except OSError:
        return True
    return address in found or (any(own.is_unspecified for own in found) and _is_local(address))


def _is_local(address: Address) -> bool:
    """True for an address of this machine: only such an address can be bound. Sends no packet."""
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
