"""Paths and where they lead: one normal form, the longest rule, one upstream URL.

The form that is matched is the form that is forwarded, so that no upstream reads a path otherwise
than the gateway did (RFC 3986, section 6; nginx' `merge_slashes` for doubled slashes).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shared.model.config import Rule
from shared.model.targets import Target, parse_target


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
