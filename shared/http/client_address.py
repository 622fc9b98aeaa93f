"""The address of the client, behind trusted proxies."""

import re
from collections.abc import Sequence
from functools import lru_cache

from shared.core.addresses import UNKNOWN, Address, Network, is_in, plain_address
from shared.model.messages import Headers

# A port behind an address, where that cannot be read in two ways: 192.0.2.1:443, [2001:db8::1]:443.
_PORT = re.compile(r"(?<=[0-9]):[0-9]{1,5}\Z")


def client_address(peer: str, headers: Headers, trusted: Sequence[Network]) -> str:
    """Return the address of the socket; behind trusted proxies, the right-most untrusted X-Forwarded-For.

    It is `UNKNOWN` when that entry is not an address: a client may have written the entries left of it.
    """
    address, text = _parsed(peer)
    if not trusted or not is_in(address, trusted):
        return text
    for entry in reversed(",".join(headers.all("x-forwarded-for")).split(",")):
        if not entry.strip():
            continue  # RFC 9110, 5.6.1.2: an empty element of a list is nothing
        try:
            address = _forwarded(entry.strip())
        except ValueError:
            return UNKNOWN
        if not is_in(address, trusted):
            break
    return str(address)


def _forwarded(entry: str) -> Address:
    """The address of an entry, which may have a port. Raises ValueError."""
    if entry.startswith("["):
        host, bracket, port = entry.partition("]")
        if not bracket or (port and not _PORT.fullmatch(f"0{port}", 1)):
            raise ValueError("This is not an address.")
        return plain_address(host)
    return plain_address(_PORT.sub("", entry) if entry.count(":") == 1 else entry)


@lru_cache(4096)  # a connection brings many requests
def _parsed(peer: str) -> tuple[Address, str]:
    address = plain_address(peer)
    return address, str(address)
