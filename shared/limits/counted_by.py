"""What a request counts as, under each of the things that limits tell requests apart by."""

from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network

from shared.core.addresses import plain_address
from shared.model.messages import Exchange


def value_of(by: str, exchange: Exchange, model: str) -> str:
    """The value under `by`, one of those that a `LimitSpec` has; empty when the request has none.

    `model` is the one that the body names. No spelling of the same path buys a counter of its own.
    """
    kind, _, name = by.partition(":")
    match kind:
        case "ip":
            return network_of(exchange.client)
        case "key":
            return exchange.key.id if exchange.key else ""
        case "method":
            return exchange.request.method
        case "path":
            return exchange.request.path.rstrip("/") or "/"
        case "model":
            return model
        case "header":
            values = (value.strip() for value in exchange.request.headers.all(name))
            return ", ".join(value for value in values if value)
    raise ValueError(f"Requests cannot be told apart by {by}.")


@lru_cache(4096)
def network_of(client: str) -> str:
    """What an address counts as: itself, or its /64 in IPv6, where one client has that many addresses.

    >>> network_of("192.0.2.7"), network_of("2001:db8::7"), network_of("::ffff:192.0.2.7")
    ('192.0.2.7', '2001:db8::/64', '192.0.2.7')
    """
    address = plain_address(client)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, 64), strict=False))
    return str(address)
