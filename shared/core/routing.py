"""Paths and where they lead: one normal form, the longest rule, one upstream URL.

The form that is matched is the form that is forwarded, so that no upstream reads a path otherwise
than the gateway did (RFC 3986, section 6; nginx' `merge_slashes` for doubled slashes).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from shared.core.model import Rule
from shared.core.targets import Target, parse_target

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Characters that some upstream would read as the end of a path, of a segment or of a string.
_FORBIDDEN_ENCODED = {"%5C": "\\", "%00": "NUL", "%3B": ";", "%25": "%", "%3F": "?", "%23": "#"}
_FORBIDDEN_RAW = re.compile(r"[^\x21-\x7e]|[\\#?]")
_PERCENT = re.compile(r"%(..?)?", re.DOTALL)
# Dot segments that an upstream may find where we see none: '..;' (servlets), '..%2F' (decoded too early).
_HIDDEN_DOTS = re.compile(r"(?:/|%2F)\.\.?;|%2F\.\.?(?:%2F|/|$)|/\.\.?%2F")
_ENCODED_SLASH = "%2F"


@lru_cache(4096)
def normalise_path(path: str) -> str:
    """The one form of a request path: escapes decoded where that changes nothing, no dot segments.

    Encoded slashes stay ``%2F``; whether a rule accepts them is decided after the match. Idempotent.
    Raises ValueError, in a full sentence, on a path that upstreams could read in two ways.
    """
    if not path.startswith("/"):
        raise ValueError("The path must begin with a slash.")
    if found := _FORBIDDEN_RAW.search(path):
        raise ValueError(f"The path must not hold the character {found.group()!a}.")
    decoded = _PERCENT.sub(_decode, path)
    if _HIDDEN_DOTS.search(decoded):
        raise ValueError("The path must not hold a hidden dot segment (such as '..;' or '..%2F').")
    return _remove_dots(decoded)


def _decode(escape: re.Match[str]) -> str:
    digits = escape.group(1) or ""
    if not re.fullmatch("[0-9A-Fa-f]{2}", digits):
        raise ValueError("Each '%' of the path must be followed by two hexadecimal digits.")
    upper = "%" + digits.upper()
    if upper in _FORBIDDEN_ENCODED:
        raise ValueError(f"The path must not hold {upper} (an encoded {_FORBIDDEN_ENCODED[upper]}).")
    character = chr(int(digits, 16))
    if character < " " or character == "\x7f":
        raise ValueError(f"The path must not hold {upper} (an encoded control character).")
    return character if character in _UNRESERVED else upper


def _remove_dots(path: str) -> str:
    """Dot segments removed (RFC 3986, 5.2.4: an empty segment is one too), then empty ones."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    names = [segment for segment in kept if segment]
    folder = names and segments[-1] in ("", ".", "..")
    return "/" + "/".join(names) + ("/" if folder else "")


def rule_path(path: str, match: str) -> str:
    """The form in which a rule's path is stored: a prefix has no slash at its end."""
    normal = normalise_path(path)
    return normal.rstrip("/") or "/" if match == "prefix" else normal


def path_warnings(rule: Rule) -> list[str]:
    """What a writer of this rule may not have meant."""
    if not rule.strip_path or rule.path == "/":
        return []
    seen = upstream_path(rule, parse_target(rule.target), rule.path)
    return [
        f"strip_path removes all of {rule.path}: for a call of {rule.path} the upstream will see {seen}. "
        "Set strip_path to false if the upstream should see the whole path."
    ]


def upstream_path(rule: Rule, target: Target, path: str) -> str:
    """The path that the upstream sees for the request path `path`: joined with exactly one slash."""
    base = target.path.rstrip("/")
    rest = path[len(rule.path) :] if rule.strip_path and rule.path != "/" else path
    return base + rest or "/"


class Routed(Protocol):
    """What a router holds: anything that has a rule."""

    @property
    def rule(self) -> Rule: ...


@dataclass(frozen=True, slots=True)
class Router[R: Routed]:
    """All active rules of a tenant, ready for look-ups: one dict access a path segment."""

    exact: Mapping[str, Sequence[R]] = field(default_factory=dict)
    prefixes: Mapping[str, Sequence[R]] = field(default_factory=dict)

    @classmethod
    def build(cls, routes: Iterable[R]) -> "Router[R]":
        exact: dict[str, list[R]] = {}
        prefixes: dict[str, list[R]] = {}
        for route in routes:
            if route.rule.active:
                table = exact if route.rule.match == "exact" else prefixes
                table.setdefault(route.rule.path, []).append(route)
        return cls(exact, prefixes)

    def routes(self) -> Iterator[R]:
        """All of them, in no particular order."""
        for table in (self.exact, self.prefixes):
            for routes in table.values():
                yield from routes

    def match_path(self, path: str) -> Sequence[R]:
        """The routes of the longest rule path that matches on a segment boundary; empty when none does.

        An exact rule goes before a prefix rule of the same path; both are in the answer.
        """
        here = path
        found = (*self.exact.get(path, ()), *self.prefixes.get(path, ()))
        while not found and here != "/":
            here = here.rpartition("/")[0] or "/"
            found = tuple(self.prefixes.get(here, ()))
        return found


def match_method[R: Routed](routes: Sequence[R], method: str) -> R | None:
    """The first of `routes` that takes `method`; a rule without methods takes all."""
    for route in routes:
        if not route.rule.methods or method in route.rule.methods:
            return route
    return None


def allowed_methods(routes: Sequence[Routed]) -> str:
    """The value of an ``Allow`` header for `routes`."""
    return ", ".join(sorted({method for route in routes for method in route.rule.methods}))


def has_encoded_slash(path: str) -> bool:
    """True when a normalised path holds ``%2F``, which a rule must allow."""
    return _ENCODED_SLASH in path
