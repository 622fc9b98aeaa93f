"""Parsers of single values, which come typed from YAML or as text from the environment.

Every parser raises ValueError that says what is allowed.
"""

import contextlib
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from shared.core.addresses import Network
from shared.core.durations import parse_duration
from shared.core.errors import nearest
from shared.core.http_tokens import LABEL
from shared.core.sizes import parse_size
from shared.net.egress import parse_egress_proxy

Reader = Callable[[Any], Any]

_HOST = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\]")
_IPV6_FIRST = re.compile(r"\s*\[[0-9a-f]*:[0-9a-f:.]*\]", re.IGNORECASE)
#: A host and a port.
NODE = re.compile(r"([A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")
_DOMAIN = re.compile(rf"{LABEL}(?:\.{LABEL})*")


def suggest(word: str, allowed: Iterable[str]) -> str:
    """``; did you mean …?`` with the most similar allowed word; empty text when none is similar."""
    near = nearest(word, allowed)
    return f"; did you mean {near}?" if near else ""


def text(value: Any) -> str:
    """Text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be text; write it in quotes")
    return value


def any_text(value: Any) -> str:
    """Text, which may be empty."""
    if not isinstance(value, str):
        raise ValueError("must be text; write it in quotes")
    return value


def whole(lowest: int, highest: int | None = None) -> Reader:
    """A whole number from `lowest` to `highest`."""

    def read(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value.strip()):
            value = int(value)
        fits = isinstance(value, int) and not isinstance(value, bool)
        if not fits or value < lowest or (highest is not None and value > highest):
            end = "up" if highest is None else f"to {highest}"
            raise ValueError(f"must be a whole number from {lowest} {end}")
        return int(value)

    return read


port_number = whole(1, 65535)


def cores() -> int:
    """The number of CPU cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choice(*allowed: str) -> Reader:
    """One of the words in `allowed`."""

    def read(value: Any) -> str:
        word = str(value)
        if word not in allowed:
            raise ValueError(f"must be one of: {', '.join(allowed)}{suggest(word, allowed)}")
        return word

    return read


def truth(value: Any) -> bool:
    """true or false."""
    if isinstance(value, str):
        value = {"true": True, "false": False}.get(value.strip().lower(), value)
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def size(value: Any) -> int:
    """A number of bytes above 0, with an optional unit. 1 KB is 1024 bytes."""
    return _parse(parse_size, value)


def seconds(value: Any) -> float:
    """A duration above 0, in seconds."""
    milliseconds = _parse(parse_duration, value)
    if milliseconds == 0:
        raise ValueError("must be longer than 0")
    return milliseconds / 1000


def _parse(parse: Callable[[Any], int], value: Any) -> int:
    """The result of a parser of `shared.core`, whose error becomes a clause instead of a sentence."""
    try:
        return parse(value)
    except ValueError as error:
        raise ValueError(str(error).rstrip(".").replace("Must", "must", 1)) from None


def network(value: Any) -> Network:
    """An address, or a network such as 10.0.0.0/8."""
    try:
        return ip_network(text(value).strip())
    except ValueError:
        raise ValueError("must be an IP address or a network such as 10.0.0.0/8 or fd00::/8") from None


def path(value: Any) -> Path:
    """A path, with ``~`` expanded. A relative path starts at the folder of config.yaml."""
    return Path(text(value)).expanduser()


def domain(value: Any) -> str:
    """A DNS name in lower case, without a port and without a final dot."""
    name = text(value).strip().lower()
    if len(name) > 253 or not _DOMAIN.fullmatch(name):
        raise ValueError("must be a DNS name without port, such as example.com")
    return name


def hosts(value: Any) -> tuple[str, ...]:
    """Addresses and names to listen on. Those that a wildcard among them covers are left out."""
    names = tuple(dict.fromkeys(_host(item) for item in several(text)(value)))
    if not names:
        raise ValueError("must be at least one address, such as 127.0.0.1")
    if "::" in names:  # it takes IPv4, too
        return ("::",)
    if "0.0.0.0" in names:
        return tuple(name for name in names if name == "0.0.0.0" or ":" in name)
    return names


def _host(name: str) -> str:
    name = name.strip().removeprefix("[").removesuffix("]")
    try:
        return str(ip_address(name))
    except ValueError:
        return name


def is_loopback(host: str) -> bool:
    """True for localhost and loopback addresses, which no other machine can reach."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def node(value: Any) -> str:
    """The host and port of a server."""
    written = text(value).strip()
    host, _, port = written.rpartition(":")
    if not NODE.fullmatch(written) or not 0 < int(port) <= 65535:
        raise ValueError("must be a host and a port, such as 10.0.0.1:6379 or [fd00::1]:6379")
    return f"{host.lower()}:{int(port)}"


def host_or_network(value: Any) -> str | Network:
    """A DNS name, or a network."""
    name = text(value).strip().lower()
    with contextlib.suppress(ValueError):
        return network(name)
    if not _DOMAIN.fullmatch(name):
        raise ValueError("must be a DNS name such as models.internal, or a network such as 10.0.0.0/8")
    return name


def egress_url(value: Any) -> str:
    """The URL of a proxy for outgoing calls."""
    url = text(value).strip()
    parse_egress_proxy(url)
    return url


def opened_variable(value: Any) -> str:
    """The name of a variable with a credential; never one of the gateway's own."""
    name = text(value).strip()
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name.upper().startswith("GATEWAY"):
        raise ValueError("must be the name of a variable that does not begin with GATEWAY")
    return name


def host(value: Any) -> str:
    """A name or an IP address as in a Host header, in lower case and without the port."""
    name = text(value).strip().lower().removesuffix(".")
    if not _HOST.fullmatch(name):
        raise ValueError("must be a host name or an IP address, without scheme and port")
    return name


def public_url(value: Any) -> str:
    """An http or https URL without a path. `{subdomain}` stands for that of a tenant."""
    url = text(value).strip().removesuffix("/")
    parts = urlsplit(url.replace("{subdomain}", "a"))
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", url):
        raise ValueError("must be a URL such as https://{subdomain}.example.com")
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("must have no path, query, fragment or user")
    return url


def http_url(value: Any) -> str:
    """The http or https URL of a server, without a query."""
    url = text(value).strip().rstrip("/")
    if not re.fullmatch(r"https?://[^/?#@\s]+(?:/[^?#\s]*)?", url):
        raise ValueError("must be a URL such as http://localhost:4318, without user, query and fragment")
    return url


def share(value: Any) -> float:
    """A number from 0 to 1."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0.0 <= number <= 1.0:
        raise ValueError("must be a number from 0 to 1")
    return number


def named[T](allowed: Sequence[str] | re.Pattern[str], read: Callable[[Any], T], example: str) -> Reader:
    """A map with values of one kind, or the same as JSON. Its names are some of `allowed`, or match it."""

    def read_all(value: Any) -> Mapping[str, T]:
        found = _json(value) if isinstance(value, str) else value
        if not isinstance(found, Mapping):
            raise ValueError(f"must be a map; in a variable: {example}")
        for name in found:
            if isinstance(allowed, re.Pattern):
                if not allowed.fullmatch(str(name)):
                    raise ValueError(f"{name!r} is not a valid name")
            elif name not in allowed:
                raise ValueError(f"{name!r} is none of {', '.join(allowed)}")
        return MappingProxyType({str(name): read(inner) for name, inner in found.items()})

    return read_all


def redis_url(value: Any) -> str:
    """The URL of a Redis server."""
    if not re.match(r"(rediss?|unix)://", text(value)):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    return str(value)


def several(read: Reader) -> Reader:
    """A list, or text: comma-separated items, or a list in JSON."""

    def read_all(value: Any) -> tuple[Any, ...]:
        items = _items(value) if isinstance(value, str) else value
        if not isinstance(items, list | tuple):
            raise ValueError('must be a list; in a variable: a,b or ["a", "b"]')
        return tuple(read(item) for item in items)

    return read_all


def _items(text: str) -> Any:
    is_list = re.fullmatch(r"\s*\[.*\]\s*", text, re.DOTALL) and not _IPV6_FIRST.match(text)
    if not is_list:
        return [item.strip() for item in text.split(",") if item.strip()]
    return _json(text)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
