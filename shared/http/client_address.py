"""The address of the client, behind trusted proxies."""

from collections.abc import Sequence
from functools import lru_cache

from shared.core.addresses import Address, Network, is_in, plain_address
from shared.model.messages import Headers


def client_address(peer: str, headers: Headers, trusted: Sequence[Network]) -> str:
    """Return the address of the socket; behind trusted proxies, the right-most untrusted X-Forwarded-For.

    The search ends at an entry that is not an address: any client can have written the entries left of it.
    """
    address, text = _parsed(peer)
    if not trusted or not is_in(address, trusted):
        return text
    for entry in reversed(",".join(headers.all("x-forwarded-for")).split(",")):
        try:
            address = plain_address(entry)
        except ValueError:
            break
        if not is_in(address, trusted):
            break
    return str(address)


@lru_cache(4096)  # a connection brings many requests
def _parsed(peer: str) -> tuple[Address, str]:
    address = plain_address(peer)
    return address, str(address)
