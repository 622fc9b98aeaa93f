"""IP addresses as values."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def plain_address(text: str) -> Address:
    """An address without brackets, zone or IPv4-mapping. Raises ValueError when it is none."""
    address = ip_address(text.strip().removeprefix("[").removesuffix("]").partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def is_in(address: Address, networks: Sequence[Network]) -> bool:
    """True when one of `networks` holds `address`."""
    return any(address in network for network in networks)
