"""The Host headers that the admin API accepts from callers without a key.

By DNS rebinding a web page can make a browser call this machine under the page's own host name. Without a
key such a call would have the platform's rights, so only names of this machine are accepted.
"""

import re
from ipaddress import ip_address

from shared.settings import is_loopback

_PORT = re.compile(r":[0-9]{1,5}$")


def is_own_host(host: str | None, admin_host: str) -> bool:
    """True for localhost and loopback addresses.

    Bound off loopback, the admin API is reached under names that only the operator knows. Then every Host is
    accepted: the settings require a token, so no operation is open to callers without a key.
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
    """True when the caller's socket is on this machine. Headers are not considered."""
    return address is not None and _is_loopback_address(address)


def _is_loopback_address(text: str) -> bool:
    # Stricter than `plain_address`, which also takes brackets, zones and spaces.
    try:
        address = ip_address(text)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
