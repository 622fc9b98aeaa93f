"""Whose address a request comes from, as far as the network can be believed."""

from collections.abc import Sequence
from functools import lru_cache

from shared.core.addresses import Address, Network, is_in, plain_address
from shared.model.messages import Headers


def client_address(peer: str, headers: Headers, trusted: Sequence[Network]) -> str:
    """The socket's address; behind trusted proxies the right-most untrusted of X-Forwarded-For.

    An entry that is no address ends the search: what stands left of it was written by anybody.
    """
    here, own = _plain(peer)
    if not trusted or not is_in(here, trusted):
        return own
    for entry in reversed(",".join(headers.all("x-forwarded-for")).split(",")):
        try:
            here = plain_address(entry)
        except ValueError:
            break
        if not is_in(here, trusted):
            break
    return str(here)


@lru_cache(4096)
def _plain(peer: str) -> tuple[Address, str]:
    """A socket's address as value and as text. A connection brings many requests."""
    address = plain_address(peer)
    return address, str(address)
