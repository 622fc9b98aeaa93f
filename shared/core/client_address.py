"""Whose address a request comes from, as far as the network can be believed."""

from collections.abc import Sequence

from shared.core.addresses import Network, is_in, plain_address
from shared.core.messages import Headers


def client_address(peer: str, headers: Headers, trusted: Sequence[Network]) -> str:
    """The socket's address; behind trusted proxies the right-most untrusted of X-Forwarded-For.

    An entry that is no address ends the search: what stands left of it was written by anybody.
    """
    here = plain_address(peer)
    if not is_in(here, trusted):
        return str(here)
    for entry in reversed(",".join(headers.all("x-forwarded-for")).split(",")):
        try:
            here = plain_address(entry)
        except ValueError:
            break
        if not is_in(here, trusted):
            break
    return str(here)
