"""Under which Host the admin API answers callers that bring no key.

A web page can make a browser call this machine under a name of its own (DNS rebinding). Without a key
such a call would count as the platform's, so only names that mean this machine are answered.
"""

import re
from ipaddress import ip_address

from shared.settings import is_loopback

_PORT = re.compile(r":[0-9]{1,5}$")


def is_own_host(host: str | None, admin_host: str) -> bool:
    """True for localhost, loopback addresses and the address that the admin API is bound to.

    Bound off loopback it is reached under names that only the operator knows. Then every Host will do:
    the start demands a token, and nothing is open to callers without a key.
    """
    if not is_loopback(admin_host):
        return True
    if not host:
        return False
    name = _PORT.sub("", host.lower())
    if name.startswith("["):
        name = name.removeprefix("[").removesuffix("]")
    elif name.count(":"):
        return False
    return name.removesuffix(".") == "localhost" or _is_loopback_address(name)


def is_loopback_peer(address: str | None) -> bool:
    """True when the caller's socket is on this machine. Headers that claim so are not looked at."""
    return bool(address) and _is_loopback_address(address or "")


def _is_loopback_address(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
