"""Readers of single values: each takes what was written and returns what the gateway works with.

A value may come from YAML (typed) or from the environment (text); both forms are read alike.
Every reader raises ValueError with a sentence that says what is allowed.
"""

import difflib
import os
import re
import sys
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from shared.core.durations import parse_duration

Network = IPv4Network | IPv6Network
Reader = Callable[[Any], Any]

_SIZES = {"": 1, "B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3}
_SIZE = re.compile(r"([0-9]{1,12}) ?([KMG]?B|)", re.IGNORECASE)
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def suggest(word: str, allowed: Iterable[str]) -> str:
    """``; did you mean …?`` when something allowed looks like `word`, else nothing."""
    close = difflib.get_close_matches(word, list(allowed), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def text(value: Any) -> str:
    """Any text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be text; write it in quotes")
    return value


def any_text(value: Any) -> str:
    """Any text, the empty one too."""
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


port = whole(1, 65535)


def cores() -> int:
    """How many cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choice(*allowed: str) -> Reader:
    """One of the words `allowed`."""

    def read(value: Any) -> str:
        word = str(value)
        if word not in allowed:
            raise ValueError(f"must be one of: {', '.join(allowed)}{suggest(word, allowed)}")
        return word

    return read


def size(value: Any) -> int:
    """A number of bytes, with an optional unit. Units are binary: 1 KB is 1024 bytes."""
    match = _SIZE.fullmatch(str(value).strip())
    if match is None or isinstance(value, bool) or int(match[1]) == 0:
        raise ValueError("must be a size above 0 such as 65536, 64KB or 20MB (1 KB = 1024 bytes)")
    return int(match[1]) * _SIZES[match[2].upper()]


def seconds(value: Any) -> float:
    """A duration above 0, in seconds."""
    try:
        milliseconds = parse_duration(value)
    except ValueError as error:
        raise ValueError(str(error).rstrip(".").replace("Must", "must", 1)) from None
    if milliseconds == 0:
        raise ValueError("must be longer than 0")
    return milliseconds / 1000


def network(value: Any) -> Network:
    """An address, or a network such as 10.0.0.0/8."""
    try:
        return ip_network(text(value).strip())
    except ValueError:
        raise ValueError("must be an IP address or a network such as 10.0.0.0/8 or fd00::/8") from None


def path(value: Any) -> Path:
    """A path, ``~`` expanded. A relative one starts at the folder of config.yaml."""
    return Path(text(value)).expanduser()


def domain(value: Any) -> str:
    """A DNS name in lower case, without port and without a dot at its end."""
    name = text(value).strip().lower()
    if len(name) > 253 or not _DOMAIN.fullmatch(name):
        raise ValueError("must be a DNS name such as example.com, without port")
    return name


def redis_url(value: Any) -> str:
    """The URL of a Redis server."""
    if not re.match(r"(rediss?|unix)://", text(value)):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    return str(value)


def several(read: Reader) -> Reader:
    """A list, or text with commas between the items."""

    def read_all(value: Any) -> tuple[Any, ...]:
        if isinstance(value, str):
            value = [item.strip() for item in value.split(",") if item.strip()]
        if not isinstance(value, list | tuple):
            raise ValueError("must be a list")
        return tuple(read(item) for item in value)

    return read_all
