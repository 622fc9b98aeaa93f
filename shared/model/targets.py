"""URLs in a tenant's configuration, parsed in one place.

If two parsers disagree about a URL, a check of its address can be bypassed. So this parser is strict: it
rejects a URL that can be read in two ways.
"""

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?]*)?"
    r"(?P<query>\?.*)?",
    re.IGNORECASE,
)
# Printable ASCII.
_PLAIN = re.compile(r"[\x21-\x7e]+")
# A DNS label, as in `http_tokens.LABEL`, but with the underscore: names of containers have it.
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# inet_aton and browsers read these as IPv4 addresses: 2130706433, 0x7f.1, 127.1 (WHATWG URL, 3.5).
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Target:
    """An http or https URL.

    Attributes:
        host: in lower case; an IPv6 address without brackets.
        path: as written; may be empty.
        query: with its question mark; may be empty.
        authority: the value of a Host header: with the port unless it is the default of the scheme.
    """

    scheme: str
    host: str
    port: int
    path: str = ""
    query: str = ""
    authority: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own = self.port == _DEFAULT_PORTS[self.scheme]
        object.__setattr__(self, "authority", self._bracketed if own else f"{self._bracketed}:{self.port}")

    @property
    def origin(self) -> str:
        """Scheme, host and port (RFC 6454). Stored credentials belong to an origin."""
        return f"{self.scheme}://{self._bracketed}:{self.port}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def parse_target(url: str, *, allow_query: bool = False) -> Target:
    """Parse `url`. Raises ValueError, with a full sentence, when it is not a URL that may be called."""
    if not _PLAIN.fullmatch(url):
        raise ValueError("Must be a URL of printable ASCII characters without spaces.")
    for character, name in (("\\", "a backslash"), ("#", "a fragment")):
        if character in url:
            raise ValueError(f"Must be a URL without {name}.")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise ValueError("Must be an absolute http:// or https:// URL with a host and without a user.")
    if parts["query"] and not allow_query:
        raise ValueError("Must be a URL without a query.")
    scheme = parts["scheme"].lower()
    port = int(parts["port"] or _DEFAULT_PORTS[scheme])
    if not 1 <= port <= 65535:
        raise ValueError("Must be a URL with a port from 1 to 65535.")
    return Target(scheme, _host(parts["host"].lower()), port, parts["path"] or "", parts["query"] or "")


def _host(text: str) -> str:
    if text.startswith("["):
        return _address(IPv6Address, text[1:-1])
    name = text.removesuffix(".")
    labels = name.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        return _address(IPv4Address, name)
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("Must be a URL whose host is a DNS name or an IP address.")
    return name


def _address(kind: type[IPv4Address | IPv6Address], text: str) -> str:
    try:
        return str(kind(text))
    except ValueError:
        raise ValueError(
            "Must be a URL whose host is a name, four decimal numbers, or an IPv6 address in brackets."
        ) from None
