"""Whose address a request comes from, as far as the network can be believed."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from shared.core.messages import Headers

Network = IPv4Network | IPv6Network


def plain_address(text: str) -> IPv4Address | IPv6Address:
    """An address without brackets, zone or IPv4-mapping. Raises ValueError when it is none."""
    address = ip_address(text.strip().removeprefix("[").removesuffix("]").partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


def client_address(peer: str, headers: Headers, trusted: Sequence[Network]) -> str:
    """The socket's address; behind trusted proxies the right-most untrusted of X-Forwarded-For.

    An entry that is no address ends the search: what stands left of it was written by anybody.
    """
    here = plain_address(peer)
    if not _is_in(here, trusted):
        return str(here)
    for entry in reversed(",".join(headers.all("x-forwarded-for")).split(",")):
        try:
            here = plain_address(entry)
        except ValueError:
            break
        if not _is_in(here, trusted):
            break
    return str(here)


def _is_in(address: IPv4Address | IPv6Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
