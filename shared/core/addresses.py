"""IP addresses as values."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

#: The address of a client that a trusted proxy does not name (RFC 7239, 6.2).
UNKNOWN = "unknown"

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def plain_address(text: str) -> Address:
    """An address without brackets, zone or IPv4-mapping. Raises ValueError when `text` is not an address."""
    address = ip_address(text.strip().removeprefix("[").removesuffix("]").partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def is_address(text: str) -> bool:
    """True for an IP address without brackets, and not for a name.

    >>> is_address("192.0.2.7"), is_address("2001:db8::7"), is_address("example.com")
    (True, True, False)
    """
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(text: str) -> bool:
    """True for an address of this machine alone. Brackets and spaces are not allowed.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("::ffff:127.0.0.1"), is_loopback("[::1]")
    (True, True, True, False)
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def is_own_name(name: str) -> bool:
    """True when the host of a URL, without port and brackets, is this machine by itself.

    >>> is_own_name("localhost."), is_own_name("::1"), is_own_name("localhost.example.com")
    (True, True, False)
    """
    return name.removesuffix(".") == "localhost" or is_loopback(name)


def is_in(address: Address, networks: Sequence[Network]) -> bool:
    """True when one of `networks` contains `address`."""
    return any(address in network for network in networks)


@lru_cache(4096)
def client_network(address: str) -> str:
    """The text under which a client is counted: its address, or in IPv6 its /64, which one client owns.

    All clients of unknown address are counted together.

    >>> client_network("192.0.2.7"), client_network("2001:db8::7"), client_network("::ffff:192.0.2.7")
    ('192.0.2.7', '2001:db8::/64', '192.0.2.7')
    """
    if address == UNKNOWN:
        return UNKNOWN
    plain = plain_address(address)
    return str(IPv6Network((plain, 64), strict=False) if isinstance(plain, IPv6Address) else plain)
